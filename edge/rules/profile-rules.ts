import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { CompiledProfile } from "../../shared/rules/device-alarms.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { readProfileBodies } from "../store/alarm-rule-store.ts";
import { forgetOtherRules } from "../store/rule-alarms.ts";

/** The rules of the device profiles on this edge, ready to be used, kept in memory. */
export interface ProfileRules {
  /** Those that have rules. */
  byId(): ReadonlyMap<Uuid, CompiledProfile>;
  /** A profile was changed. `onRead` is called when the new rules are there. */
  readAgain(onRead: () => void): void;
  /** Resolves when the rules of all that was changed are there; null: they are. */
  reading(): Promise<void> | null;
}

export interface ProfileRulesDeps {
  readonly db: Queryable;
  readonly log: Log;
}

export async function openProfileRules({ db, log }: ProfileRulesDeps): Promise<ProfileRules> {
  let profiles = await readAndCompile(db, log);
  let reading: Promise<void> | null = null;
  let isWanted = false;

  async function readWanted(onRead: () => void): Promise<void> {
    if (!isWanted) return;
    isWanted = false;
    try {
      profiles = await readAndCompile(db, log);
      onRead();
    } catch (thrown) {
      log.warn("Alarm rules of device profiles could not be read again", { error: thrown });
    }
  }

  async function readAfter(before: Promise<void> | null, onRead: () => void): Promise<void> {
    await before;
    await readWanted(onRead);
  }

  return {
    byId: () => profiles,
    readAgain: (onRead) => {
      isWanted = true;
      const mine = readAfter(reading, onRead).finally(() => {
        if (reading === mine) reading = null;
      });
      reading = mine;
    },
    reading: () => reading,
  };
}

async function readAndCompile(db: Queryable, log: Log): Promise<ReadonlyMap<Uuid, CompiledProfile>> {
  const bodies = await readProfileBodies(db);
  // Rules take memory that sites without any need not give.
  const compiled = bodies.values().some(hasAlarms)
    ? await (await import("./compile-rules.ts")).compileRulesOf(bodies, log)
    : new Map<Uuid, CompiledProfile>();
  for (const profileId of bodies.keys()) {
    const ruleIds = compiled.get(profileId)?.rules.map(({ rule }) => rule.id) ?? [];
    await forgetOtherRules(db, { profileId, ruleIds });
  }
  return compiled;
}

function hasAlarms(body: unknown): boolean {
  const data = typeof body === "object" && body !== null && "profileData" in body ? body.profileData : null;
  const alarms = typeof data === "object" && data !== null && "alarms" in data ? data.alarms : null;
  return Array.isArray(alarms) && alarms.length > 0;
}
