import { backoffDelayMs } from "../../shared/core/backoff.ts";
import type { Random } from "../../shared/core/random.ts";
import type { SessionEnd } from "../../shared/sync/session-driver.ts";

/** Refusals that only a person can end. They are tried again all the same, slowly. */
const REFUSALS: ReadonlySet<string> = new Set([
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "NOT_FOUND",
  "PEER_UNSUPPORTED",
  "SESSION_FENCED",
  "IDENTITY_CONFLICT",
  "CERTIFICATE_REFUSED",
]);
const REFUSED_RETRY_MS = 5_000;
/**
 * Within this time a stable session whose link was cut is tried anew. Not after a go-away, which comes with a time of its own: so ten
 * thousand edges come back at once only where a network in front of all of them was cut, and each with one attempt before the backoff.
 */
const RECONNECT_WITHIN_MS = 50;

/** Whether trying again helps only after somebody acted. */
export function isRefusal(code: string): boolean {
  return REFUSALS.has(code);
}

/** The pause before the next session, in ms. `attempt` counts sessions that were not stable, from 0. */
export function reconnectDelayMs(
  end: Pick<SessionEnd, "code" | "retryAfterMs">,
  { attempt, wasStable }: { readonly attempt: number; readonly wasStable: boolean },
  random: Random,
): number {
  const floorMs = Math.max(end.retryAfterMs, isRefusal(end.code) ? REFUSED_RETRY_MS : 0);
  if (wasStable && end.code === "LINK_DOWN" && floorMs === 0) return random.float() * RECONNECT_WITHIN_MS;
  return backoffDelayMs(attempt, random, floorMs);
}
