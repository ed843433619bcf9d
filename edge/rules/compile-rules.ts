import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { readAlarmRules, usesCel } from "../../shared/rules/alarm-rule.ts";
import { loadCel } from "../../shared/rules/cel.ts";
import { compileReadRules } from "../../shared/rules/compile-rules.ts";
import { compileProfile, type CompiledProfile } from "../../shared/rules/device-alarms.ts";

/** The rules of those profiles that have some, loaded when the first does. */
export async function compileRulesOf(
  bodies: ReadonlyMap<Uuid, unknown>,
  log: Log,
): Promise<ReadonlyMap<Uuid, CompiledProfile>> {
  const read = new Map(Array.from(bodies, ([profileId, body]) => [profileId, readAlarmRules(body)]));
  const isCelUsed = read.values().some(({ rules }) => rules.some(usesCel));
  const cel = isCelUsed ? await loadCel() : null;
  const compiled = new Map<Uuid, CompiledProfile>();
  for (const [profileId, found] of read) {
    const { problems: failures, rules } = compileReadRules(found, cel);
    if (failures.length > 0)
      log.warn("Alarm rules of a device profile can't be read, and are left out", { profileId, failures });
    if (rules.length > 0) compiled.set(profileId, compileProfile(rules));
  }
  return compiled;
}
