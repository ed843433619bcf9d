import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { compileAlarmRule, type CompiledRule } from "../../shared/rules/alarm-evaluator.ts";
import { usesCel, type ReadRules } from "../../shared/rules/alarm-rule.ts";
import { loadCel, type Cel } from "../../shared/rules/cel.ts";
import { compileProfile, type CompiledProfile } from "../../shared/rules/device-alarms.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { readProfileRules } from "../store/alarm-rule-store.ts";
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
  const read = await readProfileRules(db);
  const isCelUsed = [...read.values()].some(({ rules }) => rules.some(usesCel));
  const cel = isCelUsed ? await loadCel() : null;
  const compiled = new Map<Uuid, CompiledProfile>();
  for (const [profileId, found] of read) {
    await forgetOtherRules(db, { profileId, ruleIds: found.rules.map(({ id }) => id) });
    const rules = compileRules(found, { profileId, cel, log });
    if (rules.length > 0) compiled.set(profileId, compileProfile(rules));
  }
  return compiled;
}

/** A rule that can't be read is left out: the others go on. */
function compileRules(
  { problems, rules }: ReadRules,
  { cel, log, profileId }: { readonly cel: Cel | null; readonly log: Log; readonly profileId: Uuid },
): readonly CompiledRule[] {
  const failures = [...problems];
  const compiled = rules.flatMap((rule) => {
    try {
      return [compileAlarmRule(rule, cel)];
    } catch (thrown) {
      failures.push(`${rule.id}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return [];
    }
  });
  if (failures.length > 0)
    log.warn("Alarm rules of a device profile can't be read, and are left out", { profileId, failures });
  return compiled;
}
