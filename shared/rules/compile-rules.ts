import { compileAlarmRule, type CompiledRule } from "./alarm-evaluator.ts";
import type { ReadRules } from "./alarm-rule.ts";
import type { Cel } from "./cel.ts";

export interface CompiledRules {
  readonly rules: readonly CompiledRule[];
  /** Of rules that are left out. */
  readonly problems: readonly string[];
}

/** A rule that can't be compiled is left out: the others go on. @param cel null: no rule has an expression */
export function compileReadRules({ problems, rules }: ReadRules, cel: Cel | null): CompiledRules {
  const failures = [...problems];
  const compiled = rules.flatMap((rule) => {
    try {
      return [compileAlarmRule(rule, cel)];
    } catch (thrown) {
      failures.push(`${rule.id}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return [];
    }
  });
  return { rules: compiled, problems: failures };
}
