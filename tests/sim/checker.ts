import type { SeqRange } from "../../shared/core/seq-range.ts";
import { addRange, includesRange, unionOf } from "../../shared/core/seq-range.ts";
import type { Lane, UplinkLane } from "../../shared/sync/lanes.ts";
import type { SessionState } from "../../shared/sync/session-state.ts";
import { REMOVED } from "./contents.ts";

// What must hold, whatever fails. The checker sees every commit of both databases and every step of both machines; it keeps its own
// books, so that a store that deceives itself does not deceive it.

/** A guarantee was broken. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.name = "Violation";
    this.invariant = invariant;
  }
}

/** What a database of an edge has written and the cloud has applied of it. Shared by clones. */
export interface LaneBook {
  /** Content by sequence, from 1. */
  readonly written: number[];
  /** Sequences whose records the edge removed before they were sent, each told in the config lane. */
  readonly removed: Set<number>;
  /** How often each sequence took effect in the cloud database of now. */
  applied: number[];
  /** What the cloud ever committed. */
  committed: readonly SeqRange[];
  /** What was given up because the edge no longer had it, or belongs to the store id before. */
  skipped: readonly SeqRange[];
  /** Sequences up to here were written before the edge was set back: it may have forgotten what was refused of them. -1: it never was. */
  forgivenUpTo: number;
}

export class Checker {
  readonly #books = new Map<string, LaneBook>();
  #effects = 0;
  #lives = 0;

  /** Items that took effect in the cloud. */
  get effects(): number {
    return this.#effects;
  }

  book(storeId: string, lane: UplinkLane): LaneBook {
    const key = `${storeId} ${lane}`;
    let book = this.#books.get(key);
    if (book === undefined) {
      book = { written: [], removed: new Set(), applied: [], committed: [], skipped: [], forgivenUpTo: -1 };
      this.#books.set(key, book);
    }
    return book;
  }

  books(): IterableIterator<[string, LaneBook]> {
    return this.#books.entries();
  }

  /** Numbers the histories that edges write. */
  nextLife(): number {
    this.#lives += 1;
    return this.#lives;
  }

  /** A database of an edge was set back: what it had written above `last` never was. */
  storeSetBack(storeId: string, lane: UplinkLane, last: number): void {
    const book = this.book(storeId, lane);
    book.written.length = Math.min(book.written.length, last);
    book.applied.length = Math.min(book.applied.length, last);
    book.forgivenUpTo = last;
  }

  /** A database of an edge goes on under a new id: what it has not had acknowledged belongs to that from now on. */
  storeRenewed(
    storeId: string,
    lane: UplinkLane,
    { skippedUpTo, waiting }: { readonly skippedUpTo: number; readonly waiting: readonly number[] },
  ): void {
    const book = this.book(storeId, lane);
    book.written.push(...Array.from({ length: skippedUpTo }, () => REMOVED), ...waiting);
    for (const [index, content] of waiting.entries()) {
      if (content === REMOVED) book.removed.add(skippedUpTo + index + 1);
    }
    book.skipped = unionOf([{ first: 1, last: skippedUpTo }]);
    book.committed = book.skipped;
  }

  /** One item took effect in the cloud. */
  appliedUplink(storeId: string, lane: UplinkLane, seq: number, content: number): void {
    const book = this.book(storeId, lane);
    this.#effects += 1;
    const written = book.written[seq - 1];
    if (content === REMOVED) {
      if (!book.removed.has(seq))
        throw new Violation("removed is told", `${lane} ${seq} is missing, and no gap names it`);
    } else if (written !== content)
      throw new Violation("applied is written", `${lane} ${seq} holds ${content}, written was ${written}`);
    const count = (book.applied[seq - 1] ?? 0) + 1;
    book.applied[seq - 1] = count;
    if (count > 1)
      throw new Violation("applied at most once", `${lane} ${seq} of ${storeId} took effect ${count} times`);
    // The order of telemetry is that of its courses, which the machines check.
    const hasFollowed = seq === 1 || (book.applied[seq - 2] ?? 0) > 0 || includesRange(book.skipped, only(seq - 1));
    if (lane === "config" && !hasFollowed) {
      throw new Violation("applied in order", `${lane} ${seq} took effect before ${seq - 1}`);
    }
  }

  /** What the sender is told must be committed. */
  ackSent(lane: Lane, seq: number, committed: readonly SeqRange[]): void {
    if (includesRange(committed, only(seq))) return;
    throw new Violation("ack after commit", `${lane} ${seq} is acknowledged, committed is ${show(committed)}`);
  }

  /** The cloud committed it, with its effects or because it was given up. */
  committed(storeId: string, lane: UplinkLane, range: SeqRange): void {
    const book = this.book(storeId, lane);
    book.committed = addRange(book.committed, range);
  }

  cursorMoved(storeId: string, lane: UplinkLane, cursor: readonly SeqRange[]): void {
    const { committed } = this.book(storeId, lane);
    if (cursor.every((range) => includesRange(committed, range))) return;
    throw new Violation(
      "cursor within what is committed",
      `cursor of ${lane} is ${show(cursor)}, the cloud committed ${show(committed)}`,
    );
  }

  /** What the cloud says it has is what took effect there. */
  checkCommitted(storeId: string, lane: UplinkLane, committed: readonly SeqRange[]): void {
    const { applied, forgivenUpTo, skipped, written } = this.book(storeId, lane);
    // The cloud has what the edge no longer knows of, until one of both finds out.
    if (forgivenUpTo >= 0) return;
    const given = new Set<number>();
    for (const { first, last } of skipped) for (let seq = first; seq <= last; seq += 1) given.add(seq);
    let next = 1;
    const expectApplied = (upTo: number, isCommitted: boolean): void => {
      for (; next <= upTo; next += 1) {
        if ((applied[next - 1] ?? 0) > 0 === isCommitted || given.has(next)) continue;
        const text = isCommitted ? "is committed without effect" : "took effect and is not committed";
        throw new Violation("committed is applied", `${lane} ${next} ${text}: ${show(committed)}`);
      }
    };
    for (const { first, last } of committed) {
      expectApplied(first - 1, false);
      expectApplied(last, true);
    }
    expectApplied(written.length, false);
  }

  /** Invariants of SPEC.md that one end can see by itself. */
  stepTaken(state: SessionState): void {
    const { window } = state;
    for (const { lane, inFlight, inFlightBytes, inFlightItems } of state.senders) {
      if (inFlight.length > 1 && (inFlightItems > window.items || inFlightBytes > window.bytes)) {
        throw new Violation("window", `${lane}: ${inFlightItems} items, ${inFlightBytes} bytes in flight`);
      }
    }
    let applying = 0;
    for (const receiver of state.receivers) {
      const items = receiver.pending.reduce((sum, { count }) => sum + count, receiver.applying?.items ?? 0);
      if (items !== receiver.waitingItems)
        throw new Violation("waiting items", `${receiver.lane}: ${items} wait, ${receiver.waitingItems} are counted`);
      if (receiver.applying !== null) applying += 1;
    }
    if (applying > 1) throw new Violation("one apply at a time", `${applying} lanes are being applied`);
  }
}

function only(seq: number): SeqRange {
  return { first: seq, last: seq };
}

function show(ranges: readonly SeqRange[]): string {
  return ranges.map(({ first, last }) => `${first}-${last}`).join(", ");
}
