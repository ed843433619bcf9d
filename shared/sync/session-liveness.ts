import { nextRoundLookMs } from "./session-rounds.ts";
import type { SessionState, SessionEffect, Step } from "./session-state.ts";
import { fail, stay } from "./session-state.ts";

// Whether the peer is still there and gets on with its work.

/** Silence after which a ping is sent, the wait for any answer to it, and the wait for the first frame and for acknowledgements. */
export const PING_AFTER_MS = 10_000;
export const PONG_WITHIN_MS = 5_000;
export const GREETING_WITHIN_MS = 15_000;
export const ACK_WITHIN_MS = 60_000;
/** Behind the last chunk a content is read again for its hash; no storage reads slower than this. */
const VERIFIED_BYTES_PER_MS = 4 * 1024;

/** When the next tick is due, monotonic ms; the driver may tick more often. */
export function nextTickMs(state: SessionState): number {
  if (state.phase === "greeting" || state.phase === "opening") return state.lastReceivedMs + GREETING_WITHIN_MS;
  return Math.min(pingDueMs(state), nextRoundLookMs(state), ...stallDeadlines(state).map(({ atMs }) => atMs));
}

/** When the next ping, or the answer to the last one, is due. */
function pingDueMs({ lastReceivedMs, pingSentMs }: SessionState): number {
  return pingSentMs === null ? lastReceivedMs + PING_AFTER_MS : pingSentMs + PONG_WITHIN_MS;
}

/** The peer applies lanes in their order, so an acknowledgement of an earlier lane explains the silence of a later one. */
function stallDeadlines(state: SessionState): readonly { readonly what: string; readonly atMs: number }[] {
  let progressMs = -Infinity;
  const deadlines: { readonly what: string; readonly atMs: number }[] = [];
  for (const sender of state.senders) {
    progressMs = Math.max(progressMs, sender.progressMs);
    if (sender.inFlight.length > 0) deadlines.push({ what: `Lane ${sender.lane}`, atMs: progressMs + ACK_WITHIN_MS });
  }
  const { transfer } = state.blobSender;
  if (transfer !== null) {
    const patienceMs = ACK_WITHIN_MS + transfer.blob.bytes / VERIFIED_BYTES_PER_MS;
    deadlines.push({ what: "A content", atMs: transfer.progressMs + patienceMs });
  }
  return deadlines;
}

/** Pings, or gives up, when it is time. */
export function onTick(state: SessionState, _tick: unknown, nowMs: number): Step {
  if (nowMs < nextTickMs(state)) return stay(state);
  if (state.phase !== "live") return fail(state, "LINK_DOWN", "The peer did not open the session in time", 0);
  const stalled = stallDeadlines(state).find(({ atMs }) => nowMs >= atMs);
  if (stalled !== undefined) {
    return fail(state, "STALLED", `${stalled.what} was not acknowledged for ${ACK_WITHIN_MS} ms`);
  }
  // A digest round may be due, which is looked at after every step.
  if (nowMs < pingDueMs(state)) return stay(state);
  if (state.pingSentMs !== null)
    return fail(state, "LINK_DOWN", `The peer was silent for ${PING_AFTER_MS + PONG_WITHIN_MS} ms`);
  const ping: SessionEffect = { type: "send", frame: { type: "ping", nonce: state.nextNonce } };
  return { state: { ...state, pingSentMs: nowMs, nextNonce: state.nextNonce + 1 }, effects: [ping] };
}
