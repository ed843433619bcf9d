import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";

const INTERVAL_MS = 3_600_000;

export interface BlobUpkeepDeps {
  /** Removes contents that were not used for long. @returns how many */
  readonly removeUnused: (nowMs: number) => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Removes contents after a while: what goes down is made from the entity again, what came up was applied or given up. */
export function runBlobUpkeep({ removeUnused, clock, log }: BlobUpkeepDeps, signal: AbortSignal): Promise<void> {
  const round = async (): Promise<void> => {
    const removed = await removeUnused(clock.nowMs());
    if (removed > 0) log.info("Removed contents that nobody used", { contents: removed });
  };
  const onError = (error: unknown): void => log.warn("Contents were not looked through; it is tried again", { error });
  const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
  return repeat(round, { intervalMs: INTERVAL_MS, sleep, onError }, signal);
}
