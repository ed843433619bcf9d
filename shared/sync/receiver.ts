import { courseBehind, faultOf } from "./course.ts";
import type { Batch, Course, Window } from "./frames.ts";
import { lastSeqOf } from "./frames.ts";
import type { Lane } from "./lanes.ts";

// The receiving end of one lane. Pure: each function returns the next state.
//
// Invariants: applied and received are ends of batches, in this order along the course; pending batches follow what is being applied
// along it without a gap up to `received`; `course` is what comes after `received`; waitingItems counts pending and applying.
// At most one apply of a session is under way; the session decides which lane's.

export interface ReceiverState {
  readonly lane: Lane;
  /** What is still to arrive. */
  readonly course: Course;
  /** Last sequence committed here. */
  readonly applied: number;
  /** Last sequence that arrived. */
  readonly received: number;
  readonly pending: readonly Batch[];
  readonly waitingItems: number;
  /** The apply that is under way, else null. */
  readonly applying: { readonly lastSeq: number; readonly items: number } | null;
}

export function createReceiver(lane: Lane, course: Course): ReceiverState {
  const watermark = (course[0]?.first ?? 1) - 1;
  return { lane, course, applied: watermark, received: watermark, pending: [], waitingItems: 0, applying: null };
}

/** @returns a text that says what is wrong, when the batch does not follow the one before or exceeds the window granted */
export function arrived(receiver: ReceiverState, batch: Batch, window: Window): ReceiverState | string {
  const fault = faultOf(receiver.course, batch);
  if (fault !== null) return fault;
  const waitingItems = receiver.waitingItems + batch.count;
  if (receiver.waitingItems > 0 && waitingItems > window.items) {
    return `Batch of lane ${batch.lane} exceeds the window of ${window.items} items`;
  }
  const received = lastSeqOf(batch);
  const course = courseBehind(receiver.course, received);
  return { ...receiver, course, received, waitingItems, pending: [...receiver.pending, batch] };
}

/** Takes what is to be applied in one transaction: batches that continue each other, at most `itemsMax` items, but at least one batch. */
export function takeApplicable(
  receiver: ReceiverState,
  itemsMax: number,
): { readonly receiver: ReceiverState; readonly batches: readonly Batch[] } {
  let items = 0;
  let taken = 0;
  let lastSeq: number | null = null;
  for (const batch of receiver.pending) {
    if (lastSeq !== null && (batch.firstSeq !== lastSeq + 1 || items + batch.count > itemsMax)) break;
    items += batch.count;
    taken += 1;
    lastSeq = lastSeqOf(batch);
  }
  if (lastSeq === null) return { receiver, batches: [] };
  const batches = receiver.pending.slice(0, taken);
  return { receiver: { ...receiver, applying: { lastSeq, items }, pending: receiver.pending.slice(taken) }, batches };
}

export function applyFinished(receiver: ReceiverState): ReceiverState {
  const { applying, waitingItems } = receiver;
  if (applying === null) return receiver;
  return { ...receiver, applied: applying.lastSeq, waitingItems: waitingItems - applying.items, applying: null };
}
