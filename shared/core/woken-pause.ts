import type { Clock } from "./clock.ts";
import type { WakeUp } from "./deferred.ts";
import { AppError } from "./errors.ts";

export interface WokenPauseDeps {
  readonly clock: Pick<Clock, "sleep">;
  readonly wakeUp: WakeUp;
}

/** How long a loop rests. */
export interface PauseMs {
  readonly atMostMs: number;
  /** After a signal, for others that come right behind it. */
  readonly gatherMs: number;
}

/** Resolves when the time is over, or somebody signalled; rejects when `signal` aborts. */
export async function pauseUntilWoken(
  { clock, wakeUp }: WokenPauseDeps,
  { atMostMs, gatherMs }: PauseMs,
  signal: AbortSignal,
): Promise<void> {
  const waiting = new AbortController();
  const both = AbortSignal.any([signal, waiting.signal]);
  await Promise.race([
    clock.sleep(Math.max(0, atMostMs), both),
    wakeUp.wait(both).then(() => clock.sleep(gatherMs, both)),
  ]).finally(() => waiting.abort(new AppError("CANCELLED", "The pause is over")));
}
