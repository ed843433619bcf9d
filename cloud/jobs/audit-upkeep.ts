import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";

const INTERVAL_MS = 3_600_000;

export interface AuditUpkeepDeps {
  /** Removes entries of before `beforeMs`. @returns how many */
  readonly removeOld: (beforeMs: number) => Promise<number>;
  readonly keptMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Removes entries of the audit log that are old enough. */
export function runAuditUpkeep({ removeOld, keptMs, clock, log }: AuditUpkeepDeps, signal: AbortSignal): Promise<void> {
  const round = async (): Promise<void> => {
    const removed = await removeOld(clock.nowMs() - keptMs);
    if (removed > 0) log.info("Removed old entries of the audit log", { entries: removed });
  };
  const onError = (error: unknown): void => log.warn("The audit log was not shortened; it is tried again", { error });
  const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
  return repeat(round, { intervalMs: INTERVAL_MS, sleep, onError }, signal);
}
