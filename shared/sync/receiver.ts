import type { Batch, Lane, Window } from "./frames.ts";
import { lastSeqOf } from "./frames.ts";

// The receiving end of one lane. Pure: each function returns the next state.
//
// Invariants: applied <= received; pending batches lie in (applied, received] without a gap, after those being applied.
// At most one apply of a session is under way; the session decides which lane's.

export interface ReceiverState {
  readonly lane: Lane;
  /** Last sequence committed here. */
  readonly applied: number;
  /** Last sequence that arrived. */
  readonly received: number;
  readonly pending: readonly Batch[];
  /** Last sequence of the apply that is under way, else null. */
  readonly applying: number | null;
}

export function createReceiver(lane: Lane, watermark: number): ReceiverState {
  return { lane, applied: watermark, received: watermark, pending: [], applying: null };
}

/** @returns a text that says what is wrong, when the batch does not follow the one before or exceeds the window granted */
export function arrived(receiver: ReceiverState, batch: Batch, window: Window): ReceiverState | string {
  if (batch.count < 1) return `Batch of lane ${batch.lane} has ${batch.count} items, expected at least 1`;
  if (batch.firstSeq !== receiver.received + 1) {
    return `Batch of lane ${batch.lane} begins at ${batch.firstSeq}, expected ${receiver.received + 1}`;
  }
  const waiting = receiver.received - receiver.applied;
  if (waiting > 0 && waiting + batch.count > window.items) {
    return `Batch of lane ${batch.lane} exceeds the window of ${window.items} items`;
  }
  return { ...receiver, received: lastSeqOf(batch), pending: [...receiver.pending, batch] };
}

/** Takes what is to be applied in one transaction: at most `itemsMax` items, but at least one batch. */
export function takeApplicable(
  receiver: ReceiverState,
  itemsMax: number,
): { readonly receiver: ReceiverState; readonly batches: readonly Batch[] } {
  let items = 0;
  let taken = 0;
  for (const batch of receiver.pending) {
    if (taken > 0 && items + batch.count > itemsMax) break;
    items += batch.count;
    taken += 1;
  }
  const batches = receiver.pending.slice(0, taken);
  const last = batches.at(-1);
  if (last === undefined) return { receiver, batches };
  return { receiver: { ...receiver, applying: lastSeqOf(last), pending: receiver.pending.slice(taken) }, batches };
}

export function applyFinished(receiver: ReceiverState): ReceiverState {
  return { ...receiver, applied: receiver.applying ?? receiver.applied, applying: null };
}
