import type { CommitRules, Decision, Stored } from "../store/commit-rules.ts";
import { NOTHING_DECIDED } from "../store/commit-rules.ts";
import type { CalculatedFields } from "./calculated-fields.ts";

/** Calculated fields first: the rules look at what they derive as at what came. */
export function withCalculatedFields(
  fields: Pick<CalculatedFields, "isIdle" | "derive">,
  rules: CommitRules,
): CommitRules {
  return {
    get isIdle() {
      return fields.isIdle && rules.isIdle;
    },
    isUrgent: (records) => rules.isUrgent(records),
    decide: async (db, stored): Promise<Decision> => {
      if (fields.isIdle) return rules.decide(db, stored);
      const derived = await fields.derive(db, stored);
      const seen: Stored = derived.records.length === 0 ? stored : { ...stored, records: derived.all };
      const decision = rules.isIdle ? NOTHING_DECIDED : await rules.decide(db, seen);
      return {
        records: [...derived.records, ...decision.records],
        isEmpty: decision.isEmpty,
        write: (tx, earlier) => decision.write(tx, earlier),
        committed: () => {
          derived.committed();
          decision.committed();
        },
      };
    },
  };
}
