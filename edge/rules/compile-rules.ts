import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { compileAlarmRule, type CompiledRule } from "../../shared/rules/alarm-evaluator.ts";
import { readAlarmRules, usesCel, type ReadRules } from "../../shared/rules/alarm-rule.ts";
import { loadCel, type Cel } from "../../shared/rules/cel.ts";
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
