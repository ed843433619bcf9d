import type { SessionState } from "./session-state.ts";

/**
 * How long what is in flight has waited for an acknowledgement, in ms; null when nothing is in flight. As for ACK_WITHIN_MS, an
 * acknowledgement of a preferred lane explains the silence of the others.
 */
export function ackWaitMs(state: SessionState, nowMs: number): number | null {
  let progressMs = -Infinity;
  let waitMs: number | null = null;
  for (const { inFlight, progressMs: ownMs } of state.senders) {
    progressMs = Math.max(progressMs, ownMs);
    if (inFlight.length > 0) waitMs = Math.max(waitMs ?? 0, nowMs - progressMs);
  }
  return waitMs;
}
