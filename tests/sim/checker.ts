import type { Lane, UplinkLane } from "../../shared/sync/frames.ts";
import type { SessionState } from "../../shared/sync/session.ts";
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
  /** Highest sequence that the cloud ever committed. */
  committedMax: number;
  /** Sequences that were given up because the edge no longer had them. */
  skippedUpTo: number;
}

export class Checker {
  readonly #books = new Map<string, LaneBook>();
  #effects = 0;

  /** Items that took effect in the cloud. */
  get effects(): number {
    return this.#effects;
  }

  book(storeId: string, lane: UplinkLane): LaneBook {
    const key = `${storeId} ${lane}`;
    let book = this.#books.get(key);
    if (book === undefined) {
      book = { written: [], removed: new Set(), applied: [], committedMax: 0, skippedUpTo: 0 };
      this.#books.set(key, book);
    }
    return book;
  }

  books(): IterableIterator<[string, LaneBook]> {
    return this.#books.entries();
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
    if (seq > 1 && seq - 1 > book.skippedUpTo && (book.applied[seq - 2] ?? 0) === 0) {
      throw new Violation("applied in order", `${lane} ${seq} took effect before ${seq - 1}`);
    }
  }

  /** What the sender is told must be committed. */
  ackSent(lane: Lane, seq: number, committed: number): void {
    if (seq > committed)
      throw new Violation("ack after commit", `${lane} ${seq} is acknowledged, committed is ${committed}`);
  }

  cursorMoved(storeId: string, lane: UplinkLane, cursor: number): void {
    const { committedMax } = this.book(storeId, lane);
    if (cursor > committedMax) {
      throw new Violation(
        "cursor within watermark",
        `cursor of ${lane} is ${cursor}, the cloud committed ${committedMax}`,
      );
    }
  }

  /** Invariants of SPEC.md that one end can see by itself. */
  stepTaken(state: SessionState): void {
    const { window } = state;
    for (const { lane, acked, sent, loaded, inFlight, inFlightBytes } of state.senders) {
      if (acked > sent || sent > loaded)
        throw new Violation("acked <= sent <= loaded", `${lane}: ${acked}, ${sent}, ${loaded}`);
      if (inFlight.length > 1 && (sent - acked > window.items || inFlightBytes > window.bytes)) {
        throw new Violation("window", `${lane}: ${sent - acked} items, ${inFlightBytes} bytes in flight`);
      }
    }
    let applying = 0;
    for (const { lane, applied, received, applying: upTo } of state.receivers) {
      if (applied > received) throw new Violation("applied <= received", `${lane}: ${applied}, ${received}`);
      if (upTo !== null) applying += 1;
    }
    if (applying > 1) throw new Violation("one apply at a time", `${applying} lanes are being applied`);
  }
}
