import type { Batch, Lane, Window } from "./frames.ts";
import { lastSeqOf } from "./frames.ts";

// The sending end of one lane. Pure: each function returns the next state.
//
// Modes, by what the sender knows of its outbox above `loaded`:
//   more     rows may be there: a load is wanted when the window has room
//   loading  a load is under way
//   drained  a load found nothing; a wake leads back to `more`
// Invariants: acked <= sent <= loaded; staged batches follow `sent` without a gap; inFlight is what lies in (acked, sent].

export interface SenderState {
  readonly lane: Lane;
  readonly mode: "more" | "loading" | "drained";
  /** A wake came while loading: the load may have missed the new rows. */
  readonly wokenWhileLoading: boolean;
  readonly acked: number;
  readonly sent: number;
  readonly loaded: number;
  readonly staged: readonly OutgoingBatch[];
  readonly inFlight: readonly InFlight[];
  readonly inFlightBytes: number;
  /** When `acked` last moved, or the first batch went out after silence; monotonic ms. */
  readonly progressMs: number;
}

export interface OutgoingBatch extends Batch {
  /** The batch may go out only after this sequence of the config lane has; 0 when it depends on nothing. */
  readonly configSeq: number;
}

interface InFlight {
  readonly lastSeq: number;
  readonly bytes: number;
}

/**
 * @param watermark the last sequence that the receiver has committed
 * @param ackedSeq the last one that this side knows of; the acks between the two come behind the handshake
 */
export function createSender(
  lane: Lane,
  { watermark, ackedSeq }: { readonly watermark: number; readonly ackedSeq: number },
  nowMs: number,
): SenderState {
  return {
    lane,
    mode: "more",
    wokenWhileLoading: false,
    acked: Math.min(ackedSeq, watermark),
    sent: watermark,
    loaded: watermark,
    staged: [],
    inFlight: [],
    inFlightBytes: 0,
    progressMs: nowMs,
  };
}

/** What to load next, or null when nothing is wanted now. Waits for half a window, so that loads stay large. */
export function wantedLoad(
  sender: SenderState,
  window: Window,
): { readonly bytesMax: number; readonly itemsMax: number } | null {
  if (sender.mode !== "more" || sender.staged.length > 0) return null;
  const bytesMax = window.bytes - sender.inFlightBytes;
  const itemsMax = window.items - (sender.sent - sender.acked);
  return bytesMax * 2 >= window.bytes && itemsMax * 2 >= window.items ? { bytesMax, itemsMax } : null;
}

export function loadStarted(sender: SenderState): SenderState {
  return { ...sender, mode: "loading", wokenWhileLoading: false };
}

/** @returns null when the batches don't follow what was loaded before: the store broke its promise */
export function loadFinished(
  sender: SenderState,
  batches: readonly OutgoingBatch[],
  drained: boolean,
): SenderState | null {
  let { loaded } = sender;
  for (const batch of batches) {
    if (batch.firstSeq !== loaded + 1 || batch.count < 1) return null;
    loaded = lastSeqOf(batch);
  }
  const mode = drained && !sender.wokenWhileLoading ? "drained" : "more";
  return { ...sender, mode, wokenWhileLoading: false, loaded, staged: [...sender.staged, ...batches] };
}

/** New rows were committed. */
export function wake(sender: SenderState): SenderState {
  switch (sender.mode) {
    case "drained":
      return { ...sender, mode: "more" };
    case "loading":
      return { ...sender, wokenWhileLoading: true };
    case "more":
      return sender;
  }
}

/** Takes the staged batches that may go out now: in order, inside the window, after the config that they depend on. */
export function takeSendable(
  sender: SenderState,
  window: Window,
  configSent: number,
  nowMs: number,
): { readonly sender: SenderState; readonly batches: readonly OutgoingBatch[] } {
  let { sent, inFlightBytes, progressMs } = sender;
  const inFlight = [...sender.inFlight];
  let taken = 0;
  for (const batch of sender.staged) {
    const bytes = batch.payload.length;
    const fits = inFlightBytes + bytes <= window.bytes && sent - sender.acked + batch.count <= window.items;
    // A batch larger than the window travels alone.
    if (batch.configSeq > configSent || (!fits && inFlight.length > 0)) break;
    if (inFlight.length === 0) progressMs = nowMs;
    sent = lastSeqOf(batch);
    inFlightBytes += bytes;
    inFlight.push({ lastSeq: sent, bytes });
    taken += 1;
  }
  if (taken === 0) return { sender, batches: [] };
  const next = { ...sender, sent, inFlight, inFlightBytes, progressMs, staged: sender.staged.slice(taken) };
  return { sender: next, batches: sender.staged.slice(0, taken) };
}

/** @returns null when the peer acknowledges what was never sent, or goes back */
export function acknowledged(sender: SenderState, seq: number, nowMs: number): SenderState | null {
  if (seq < sender.acked || seq > sender.sent) return null;
  const inFlight = sender.inFlight.filter((batch) => batch.lastSeq > seq);
  const inFlightBytes = inFlight.reduce((sum, batch) => sum + batch.bytes, 0);
  return { ...sender, acked: seq, inFlight, inFlightBytes, progressMs: seq > sender.acked ? nowMs : sender.progressMs };
}
