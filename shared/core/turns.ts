import { createDeferred, type Deferred } from "./deferred.ts";

/** Lets a few pieces of work run at a time, in the order in which they came. */
export class Turns {
  readonly #waiting: Deferred<void>[] = [];
  #free: number;

  /** @param atOnce @default 1: one after the other */
  constructor(atOnce = 1) {
    this.#free = atOnce;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      const turn = createDeferred<void>();
      this.#waiting.push(turn);
      await turn.promise;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next.resolve();
    }
  }
}
