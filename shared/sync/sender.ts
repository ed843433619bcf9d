import type { BlobRef } from "../core/blob-ref.ts";
import type { SeqRange } from "../core/seq-range.ts";
import { SEQ_MAX } from "../core/seq-range.ts";
import { courseBehind, faultOf } from "./course.ts";
import type { Batch, Course, LaneCourse, Window } from "./frames.ts";
import { lastSeqOf } from "./frames.ts";
import type { Lane } from "./lanes.ts";
import type { Pace } from "./pace.ts";
import { createPace, frameBytesFor, paceAfter, paceWindow } from "./pace.ts";

// The sending end of one lane. Pure: each function returns the next state.
//
// Modes, by what the sender knows of the rows of its course that it did not load:
//   more     rows may be there: a load is wanted when the window has room
//   loading  a load is under way
//   drained  a load found nothing; a wake leads back to `more`
// Invariants: acked, sent and loaded are ends of batches, in this order along the course; staged batches follow `sent` along it without
// a gap up to `loaded`; inFlight is what lies between acked and sent; `course` is what comes after `loaded`.

export interface SenderState {
  readonly lane: Lane;
  readonly mode: "more" | "loading" | "drained";
  /** A wake came while loading: the load may have missed the new rows. */
  readonly wokenWhileLoading: boolean;
  /** What is still to be loaded. */
  readonly course: Course;
  /** What the receiver committed in earlier sessions, and whose acks come behind the handshake. */
  readonly missed: readonly SeqRange[];
  readonly acked: number;
  readonly sent: number;
  readonly loaded: number;
  readonly staged: readonly OutgoingBatch[];
  readonly inFlight: readonly InFlight[];
  readonly inFlightBytes: number;
  readonly inFlightItems: number;
  readonly pace: Pace;
  /** When `acked` last moved, or the first batch went out after silence; monotonic ms. */
  readonly progressMs: number;
}

export interface OutgoingBatch extends Batch {
  /** The batch may go out only after this sequence of the config lane has; 0 when it depends on nothing. */
  readonly configSeq: number;
  /** Contents that its items name; the peer is done with them before the batch goes out. @default none */
  readonly blobs?: readonly BlobRef[];
}

/** Where a lane that goes out begins. */
export interface LaneSending extends LaneCourse {
  /** Committed by the receiver, but not acknowledged as far as is known here. */
  readonly missed: readonly SeqRange[];
}

interface InFlight extends SeqRange {
  readonly bytes: number;
  readonly sentMs: number;
  /** Bytes of the lane that were acknowledged when it was sent. */
  readonly deliveredBefore: number;
}

/** What to read of the outbox: rows from above `afterSeq` up to `upToSeq`, in frames of about `frameBytesMax`. */
export interface WantedLoad {
  readonly afterSeq: number;
  readonly upToSeq: number;
  readonly bytesMax: number;
  readonly itemsMax: number;
  readonly frameBytesMax: number;
}

/** One load is never larger, however wide the window: what is staged is in memory. */
const LOAD_BYTES_MAX = 1024 * 1024;

export function createSender({ lane, course, missed }: LaneSending, nowMs: number): SenderState {
  const watermark = (course[0]?.first ?? 1) - 1;
  return {
    lane,
    mode: "more",
    wokenWhileLoading: false,
    course,
    missed,
    acked: (missed[0]?.first ?? watermark + 1) - 1,
    sent: watermark,
    loaded: watermark,
    staged: [],
    inFlight: [],
    inFlightBytes: 0,
    inFlightItems: 0,
    pace: createPace(),
    progressMs: nowMs,
  };
}

/** What may be in flight: what the peer granted, as far as the link takes it. */
export function windowOf({ pace }: SenderState, granted: Window): Window {
  return { bytes: paceWindow(pace, granted.bytes), items: granted.items };
}

/** What to load next, or null when nothing is wanted now. Waits for half a window, so that loads stay large. */
export function wantedLoad(sender: SenderState, granted: Window): WantedLoad | null {
  const [run] = sender.course;
  if (run === undefined || sender.mode !== "more" || sender.staged.length > 0) return null;
  const window = windowOf(sender, granted);
  const bytesFree = window.bytes - sender.inFlightBytes;
  const itemsMax = window.items - sender.inFlightItems;
  if (bytesFree * 2 < window.bytes || itemsMax * 2 < window.items) return null;
  return {
    afterSeq: run.first - 1,
    upToSeq: run.last,
    bytesMax: Math.min(bytesFree, LOAD_BYTES_MAX),
    itemsMax,
    frameBytesMax: frameBytesFor(window.bytes),
  };
}

export function loadStarted(sender: SenderState): SenderState {
  return { ...sender, mode: "loading", wokenWhileLoading: false };
}

/** @returns null when the batches don't follow what was loaded before, or a run ends early: the store broke its promise */
export function loadFinished(
  sender: SenderState,
  batches: readonly OutgoingBatch[],
  drained: boolean,
): SenderState | null {
  let { course, loaded } = sender;
  for (const batch of batches) {
    if (faultOf(course, batch) !== null) return null;
    loaded = lastSeqOf(batch);
    course = courseBehind(course, loaded);
  }
  // Only in a run without an end may rows be missing: they are not written yet.
  const isOpen = course[0]?.last === SEQ_MAX;
  if (batches.length === 0 && !isOpen) return null;
  const mode = drained && isOpen && !sender.wokenWhileLoading ? "drained" : "more";
  return { ...sender, mode, wokenWhileLoading: false, course, loaded, staged: [...sender.staged, ...batches] };
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

/** Takes the staged batches that may go out now: in order, inside the window, up to the first one that `mayGo` holds back. */
export function takeSendable(
  sender: SenderState,
  granted: Window,
  mayGo: (batch: OutgoingBatch) => boolean,
  nowMs: number,
): { readonly sender: SenderState; readonly batches: readonly OutgoingBatch[] } {
  if (sender.staged.length === 0) return { sender, batches: [] };
  const window = windowOf(sender, granted);
  let { sent, inFlightBytes, inFlightItems, progressMs } = sender;
  const inFlight = [...sender.inFlight];
  let taken = 0;
  for (const batch of sender.staged) {
    const bytes = batch.payload.length;
    // The pace is an estimate, which rounding down to whole frames would never let grow; what the peer granted is a limit.
    const isPaced = inFlightBytes < window.bytes;
    const fits = isPaced && inFlightBytes + bytes <= granted.bytes && inFlightItems + batch.count <= granted.items;
    // A batch larger than the window travels alone.
    if (!mayGo(batch) || (!fits && inFlight.length > 0)) break;
    if (inFlight.length === 0) progressMs = nowMs;
    sent = lastSeqOf(batch);
    inFlightBytes += bytes;
    inFlightItems += batch.count;
    inFlight.push({
      first: batch.firstSeq,
      last: sent,
      bytes,
      sentMs: nowMs,
      deliveredBefore: sender.pace.delivered,
    });
    taken += 1;
  }
  if (taken === 0) return { sender, batches: [] };
  const next = { ...sender, sent, inFlight, inFlightBytes, inFlightItems, progressMs };
  return { sender: { ...next, staged: sender.staged.slice(taken) }, batches: sender.staged.slice(0, taken) };
}

/**
 * Takes off what the peer has committed: everything up to `seq` in the order in which it was sent, first what was sent in earlier sessions.
 *
 * @returns null when `seq` is neither there nor in flight: the peer acknowledges what was never sent, or goes back
 */
export function acknowledged(
  sender: SenderState,
  seq: number,
  nowMs: number,
): { readonly sender: SenderState; readonly committed: readonly SeqRange[] } | null {
  if (seq === sender.acked) return { sender, committed: [] };
  const missed = splitAt(sender.missed, seq);
  if (missed !== null) {
    const next = { ...sender, missed: missed.left, acked: seq, progressMs: nowMs };
    return { sender: next, committed: missed.committed };
  }
  const split = splitAt(sender.inFlight, seq);
  if (split === null) return null;
  const committed = [...sender.missed, ...split.committed];
  return { sender: { ...takeOff(sender, split, nowMs), missed: [], acked: seq, progressMs: nowMs }, committed };
}

interface Split<T extends SeqRange> {
  readonly committed: readonly T[];
  readonly left: readonly T[];
}

/** The ranges up to `seq`, the one that holds it cut in two. Null when none does. */
function splitAt<T extends SeqRange>(ranges: readonly T[], seq: number): Split<T> | null {
  const index = ranges.findIndex(({ first, last }) => first <= seq && seq <= last);
  const cut = ranges[index];
  if (cut === undefined) return null;
  const rest = cut.last > seq ? [{ ...cut, first: seq + 1 }] : [];
  return { committed: [...ranges.slice(0, index), { ...cut, last: seq }], left: [...rest, ...ranges.slice(index + 1)] };
}

function takeOff(sender: SenderState, { committed, left }: Split<InFlight>, nowMs: number): SenderState {
  // A batch counts whole until its last item is committed.
  const whole = sender.inFlight.length - left.length;
  const bytes = sender.inFlight.slice(0, whole).reduce((sum, batch) => sum + batch.bytes, 0);
  const items = committed.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const next = {
    ...sender,
    inFlight: left,
    inFlightBytes: sender.inFlightBytes - bytes,
    inFlightItems: sender.inFlightItems - items,
  };
  const newest = sender.inFlight[whole - 1];
  if (newest === undefined) return next;
  const pace = paceAfter(sender.pace, {
    bytes,
    deliveredBefore: newest.deliveredBefore,
    elapsedMs: nowMs - newest.sentMs,
    isBusy: sender.staged.length > 0 || (sender.mode !== "drained" && sender.course.length > 0),
  });
  return { ...next, pace };
}
