import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { CommitRules, Decision, Stored } from "../store/commit-rules.ts";
import { NOTHING_DECIDED } from "../store/commit-rules.ts";
import type { CalculatedFields, DerivedRecords } from "./calculated-fields.ts";

type Fields = Pick<CalculatedFields, "isIdle" | "derive">;

/**
 * Calculated fields first: the rules look at what they derive as at what came. When they fail, they derive nothing: they must not keep what
 * devices send from the disk.
 */
export function withCalculatedFields({ log }: { readonly log: Log }, fields: Fields, rules: CommitRules): CommitRules {
  const derive = async (db: Queryable, stored: Stored): Promise<DerivedRecords> => {
    try {
      return await fields.derive(db, stored);
    } catch (thrown) {
      const error = databaseError(thrown);
      if (error.code === "DATABASE_UNAVAILABLE") throw thrown;
      log.error("Calculated fields failed, and derive nothing in this commit", { error });
      return { records: [], all: stored.records, committed: () => undefined };
    }
  };
  return {
    get isIdle() {
      return fields.isIdle && rules.isIdle;
    },
    get revision() {
      return rules.revision ?? 0;
    },
    isUrgent: (records) => rules.isUrgent(records),
    decide: async (db, stored): Promise<Decision> => {
      if (fields.isIdle) return rules.decide(db, stored);
      const derived = await derive(db, stored);
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
