/** A promise with its two ends in hand. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function createDeferred<T>(): Deferred<T> {
  return Promise.withResolvers<T>();
}

/** Lets loops wait for "something changed": signals between two waits count as one. */
export class WakeUp {
  #pending = false;
  #waiter: Deferred<void> | null = null;

  signal(): void {
    this.#pending = true;
    this.#waiter?.resolve();
  }

  /** Resolves at once when a signal came since the last wait; rejects when `abort` aborts. */
  async wait(abort: AbortSignal): Promise<void> {
    abort.throwIfAborted();
    if (!this.#pending) {
      const waiter = createDeferred<void>();
      const onAbort = (): void => waiter.reject(abort.reason);
      this.#waiter = waiter;
      abort.addEventListener("abort", onAbort, { once: true });
      try {
        await waiter.promise;
      } finally {
        abort.removeEventListener("abort", onAbort);
        this.#waiter = null;
      }
    }
    this.#pending = false;
  }
}

/** Calls that come while one is under way get its answer. */
export function shareAnswer<T>(ask: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | null = null;
  return () => {
    underWay ??= ask().finally(() => {
      underWay = null;
    });
    return underWay;
  };
}
