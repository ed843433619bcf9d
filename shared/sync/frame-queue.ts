import { createDeferred } from "../core/deferred.ts";
import type { Deferred } from "../core/deferred.ts";
import type { Frame } from "./frames.ts";
import { LANES } from "./lanes.ts";

/**
 * Outgoing frames of a session as an async iterable. Acks, pings and the like overtake batches, and batches those of lanes behind theirs,
 * so that a backlog on a slow link delays neither liveness nor fresh data nor the other direction. Chunks share the place of the last
 * lane, in turn with its batches. Bounded by the protocol: batches and chunks by the window, acks by what was received.
 */
export class FrameQueue implements AsyncIterable<Frame> {
  /** In the order of preference: first what is no batch, then a queue per lane. */
  readonly #queues: readonly Frame[][] = [[], ...LANES.map(() => [])];
  #waiter: Deferred<void> | null = null;
  #closed = false;

  push(frame: Frame): void {
    if (this.#closed) return;
    this.#queues[rankOf(frame)]?.push(frame);
    this.#waiter?.resolve();
  }

  /** What is queued is still delivered, but no batches and no chunks. */
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

/** What is sent first: 0, then 1, and so on. */
export function rankOf(frame: Frame): number {
  if (frame.type === "chunk") return LANES.length;
  return frame.type === "batch" ? LANES.indexOf(frame.lane) + 1 : 0;
}
