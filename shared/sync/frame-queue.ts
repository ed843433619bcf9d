import { createDeferred } from "../core/deferred.ts";
import type { Deferred } from "../core/deferred.ts";
import type { Frame } from "./frames.ts";
import { LANES } from "./frames.ts";

/**
 * Outgoing frames of a session as an async iterable. Acks, pings and the like overtake batches, and batches those of lanes behind theirs,
 * so that a backlog on a slow link delays neither liveness nor fresh data nor the other direction. Bounded by the protocol: batches by
 * the window, acks by what was received.
 */
export class FrameQueue implements AsyncIterable<Frame> {
  /** In the order of preference: first what is no batch, then a queue per lane. */
  readonly #queues: readonly Frame[][] = [[], ...LANES.map(() => [])];
  #waiter: Deferred<void> | null = null;
  #closed = false;

  push(frame: Frame): void {
    if (this.#closed) return;
    this.#queues[frame.type === "batch" ? LANES.indexOf(frame.lane) + 1 : 0]?.push(frame);
    this.#waiter?.resolve();
  }

  /** What is queued is still delivered, but no batches. */
  close(): void {
    this.#closed = true;
    for (const batches of this.#queues.slice(1)) batches.length = 0;
    this.#waiter?.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Frame> {
    for (;;) {
      const frame = this.#queues.find((queue) => queue.length > 0)?.shift();
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
