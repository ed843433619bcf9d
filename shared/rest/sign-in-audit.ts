import type { Clock } from "../core/clock.ts";
import { TokenBuckets } from "../core/token-buckets.ts";
import { writeAudit, type AuditEntry } from "../store/audit-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import type { AuthDeps } from "./auth.ts";

/**
 * Failed sign-ins of one user. Who guesses passwords needs no account: without a limit the guesses would push everything else out of a
 * log that keeps its newest entries only.
 */
const FAILURES = { perS: 1 / 60, burst: 100 } as const;

/** Writes into the audit log who signed in and out, who failed to, and whose account was locked for it. */
export function createSignInAudit({
  clock,
  db,
}: {
  readonly clock: Clock;
  readonly db: Queryable;
}): NonNullable<AuthDeps["note"]> {
  const failures = new TokenBuckets(clock, FAILURES);
  return async ({ customerId, email, id, tenantId }, actionType, { failure = "", remoteAddress } = {}) => {
    const isFailure = failure !== "" || actionType === "LOCKOUT";
    if (isFailure && failures.take(id, 1) > 0) return;
    const actionData: AuditEntry["actionData"] = remoteAddress === undefined ? {} : { clientAddress: remoteAddress };
    const what = { entityType: "USER", entityId: id, entityName: email, actionType, actionData, failure };
    await writeAudit(db, { ...what, tenantId, customerId, userId: id, userName: email, createdMs: clock.nowMs() });
  };
}
