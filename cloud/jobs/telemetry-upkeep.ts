import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { TelemetryRound } from "../store/telemetry-partitions.ts";

const INTERVAL_MS = 600_000;

export interface TelemetryUpkeepDeps {
  /** Makes partitions ahead and drops old ones. */
  readonly keep: (nowMs: number) => Promise<TelemetryRound>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface TelemetryUpkeepJob {
  /** Before the first measurements come. Never fails. */
  start(): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

/** Keeps the partitions of telemetry in step with time. */
export function createTelemetryUpkeep({ clock, keep, log }: TelemetryUpkeepDeps): TelemetryUpkeepJob {
  const round = async (): Promise<void> => {
    const { dropped, isDefaultTooLarge, made, removedRows } = await keep(clock.nowMs());
    if (made.length > 0) log.info("Made partitions of telemetry", { partitions: made });
    if (dropped.length > 0) log.info("Dropped old telemetry", { partitions: dropped });
    if (removedRows > 0) log.info("Removed old telemetry that came late", { rows: removedRows });
    if (isDefaultTooLarge) log.warn("Partitions of telemetry are not made: telemetry_default is too large", {});
  };
  const onError = (error: unknown): void =>
    log.warn("Partitions of telemetry were not kept; it is tried again", { error });
  const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
  return {
    start: () => round().catch(onError),
    run: (signal) => repeat(round, { intervalMs: INTERVAL_MS, sleep, onError }, signal),
  };
}
