import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { CompiledProfile } from "../../shared/rules/device-alarms.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { forgetOtherRules } from "../store/rule-alarms.ts";
import { hasProfileList, openProfileReader, type ProfileReader } from "./profile-reader.ts";

/** The alarm rules of the device profiles on this edge. */
export type ProfileRules = ProfileReader<CompiledProfile>;

export interface ProfileRulesDeps {
  readonly db: Queryable;
  readonly log: Log;
}

export function openProfileRules({ db, log }: ProfileRulesDeps): Promise<ProfileRules> {
  const compile = async (bodies: ReadonlyMap<Uuid, unknown>): Promise<ReadonlyMap<Uuid, CompiledProfile>> => {
    // Rules take memory that sites without any need not give.
    const compiled = bodies.values().some((body) => hasProfileList(body, "alarms"))
      ? await (await import("./compile-rules.ts")).compileRulesOf(bodies, log)
      : new Map<Uuid, CompiledProfile>();
    for (const profileId of bodies.keys()) {
      const ruleIds = compiled.get(profileId)?.rules.map(({ rule }) => rule.id) ?? [];
      await forgetOtherRules(db, { profileId, ruleIds });
    }
    return compiled;
  };
  return openProfileReader({ db, log, what: "Alarm rules", compile });
}
