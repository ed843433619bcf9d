import { createDeferred } from "../core/deferred.ts";
import type { Deferred } from "../core/deferred.ts";
import type { Frame } from "./frames.ts";

/**
 * Outgoing frames of a session as an async iterable. Acks, pings and the like overtake batches, so that a backlog on a slow link
 * delays neither liveness nor the other direction. Bounded by the protocol: batches by the window, acks by what was received.
 */
export class FrameQueue implements AsyncIterable<Frame> {
  readonly #urgent: Frame[] = [];
  readonly #batches: Frame[] = [];
  #waiter: Deferred<void> | null = null;
  #closed = false;

  push(frame: Frame): void {
    if (this.#closed) return;
    (frame.type === "batch" ? this.#batches : this.#urgent).push(frame);
    this.#waiter?.resolve();
  }

  /** What is queued is still delivered, but no batches. */
  close(): void {
    this.#closed = true;
    this.#batches.length = 0;
    this.#waiter?.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Frame> {
    for (;;) {
      const frame = this.#urgent.shift() ?? this.#batches.shift();
      if (frame !== undefined) {
        yield frame;
        continue;
      }
      if (this.#closed) return;
      this.#waiter = createDeferred<void>();
      await this.#waiter.promise;
      this.#waiter = null;
    }
  }
}
