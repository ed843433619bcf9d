import type { Clock } from "../../shared/core/clock.ts";
import { createDeferred } from "../../shared/core/deferred.ts";
import type { Deferred } from "../../shared/core/deferred.ts";

/** A clock that stands still until it is moved. */
export interface VirtualClock extends Clock {
  /** Sleeps that end in this time resolve one after the other, each with the time it waited for. */
  advance(deltaMs: number): Promise<void>;
  /** Sleeps that nobody ended. */
  sleepers(): number;
}

interface Sleeper {
  readonly untilMs: number;
  readonly done: Deferred<void>;
}

export function createVirtualClock(): VirtualClock {
  let timeMs = 0;
  const sleepers = new Set<Sleeper>();
  const earliest = (): Sleeper | undefined => [...sleepers].toSorted((left, right) => left.untilMs - right.untilMs)[0];
  return {
    nowMs: () => 1_700_000_000_000 + timeMs,
    monotonicMs: () => timeMs,
    sleep: async (delayMs, signal) => {
      signal?.throwIfAborted();
      const sleeper = { untilMs: timeMs + delayMs, done: createDeferred<void>() };
      const onAbort = (): void => sleeper.done.reject(signal?.reason);
      sleepers.add(sleeper);
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        await sleeper.done.promise;
      } finally {
        sleepers.delete(sleeper);
        signal?.removeEventListener("abort", onAbort);
      }
    },
    yield: () => Promise.resolve(),
    advance: async (deltaMs) => {
      const endMs = timeMs + deltaMs;
      for (let next = earliest(); next !== undefined && next.untilMs <= endMs; next = earliest()) {
        timeMs = Math.max(timeMs, next.untilMs);
        next.done.resolve();
        sleepers.delete(next);
        await settle();
      }
      timeMs = endMs;
      await settle();
    },
    sleepers: () => sleepers.size,
  };
}

/** Lets everything run that waits for nothing but other promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}
