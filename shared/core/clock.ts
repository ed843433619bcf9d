/** Wall clock, monotonic clock and timers, as an input: logic never reads the time by itself. */
export interface Clock {
  /** Wall time in ms since 1970 UTC. May jump; use it for what people see, never for waiting. */
  nowMs(): number;
  /** Monotonic time in ms from an arbitrary start; use it for durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Resolves as soon as everything that has arrived meanwhile (bytes, timers) was looked at. */
  yield(): Promise<void>;
}
