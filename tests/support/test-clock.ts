import type { Clock } from "../../shared/core/clock.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";

/** The machine's clock, which a test can put forward. */
export interface TestClock extends Clock {
  /** From now on `deltaMs` later than it would be; both clocks move, and what sleeps for no longer than that wakes. */
  advance(deltaMs: number): void;
}

interface Sleeper {
  readonly untilMs: number;
  readonly wake: () => void;
}

export function createTestClock(): TestClock {
  let offsetMs = 0;
  const sleepers = new Set<Sleeper>();
  const monotonicMs = (): number => systemClock.monotonicMs() + offsetMs;
  return {
    nowMs: () => systemClock.nowMs() + offsetMs,
    monotonicMs,
    sleep: async (delayMs, signal) => {
      const woken = Promise.withResolvers<void>();
      const sleeper = { untilMs: monotonicMs() + delayMs, wake: woken.resolve };
      const over = new AbortController();
      sleepers.add(sleeper);
      try {
        const both = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
        await Promise.race([systemClock.sleep(delayMs, both), woken.promise]);
      } finally {
        sleepers.delete(sleeper);
        over.abort(new Error("The sleep is over"));
      }
    },
    yield: () => systemClock.yield(),
    advance: (deltaMs) => {
      offsetMs += deltaMs;
      const nowMs = monotonicMs();
      for (const { untilMs, wake } of sleepers) if (untilMs <= nowMs) wake();
    },
  };
}
