import type { Clock } from "../../shared/core/clock.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";

/** The machine's clock, which a test can put forward. */
export interface TestClock extends Clock {
  /** From now on `deltaMs` later than it would be; both clocks move. */
  advance(deltaMs: number): void;
}

export function createTestClock(): TestClock {
  let offsetMs = 0;
  return {
    nowMs: () => systemClock.nowMs() + offsetMs,
    monotonicMs: () => systemClock.monotonicMs() + offsetMs,
    sleep: (delayMs, signal) => systemClock.sleep(delayMs, signal),
    yield: () => systemClock.yield(),
    advance: (deltaMs) => {
      offsetMs += deltaMs;
    },
  };
}
