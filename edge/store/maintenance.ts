import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import { UPLINK_LANES } from "../../shared/sync/frames.ts";
import type { Outbox } from "./outbox.ts";
import { MERGED_ROW_ITEMS } from "./outbox.ts";

/** How often small rows are merged. */
const INTERVAL_MS = 5_000;
/** How many of these rounds lie between two looks for partitions to drop. */
const ROUNDS_PER_DROP = 120;
/** Transferred rows stay at least so long, for the list of events. */
const TRANSFERRED_KEPT_MS = 7 * 24 * 3_600_000;
/** Merges in a row; the rest waits for the next round, so that devices are not held up. */
const MERGES_PER_ROUND_MAX = 64;

export interface MaintenanceDeps {
  readonly outbox: Outbox;
  /** Sequence that the next telemetry record will get. */
  readonly nextTelemetrySeq: () => number;
  /** Up to where telemetry is on its way; rows above it may be merged. */
  readonly sentTelemetrySeq: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Keeps the outbox small: merges what waits, drops what the cloud has long committed. Asks the database only when there is work. */
export function runMaintenance(
  { outbox, nextTelemetrySeq, sentTelemetrySeq, clock, log }: MaintenanceDeps,
  signal: AbortSignal,
): Promise<void> {
  let rounds = 0;
  const round = async (): Promise<void> => {
    let from = sentTelemetrySeq();
    for (let merges = 0; merges < MERGES_PER_ROUND_MAX && nextTelemetrySeq() - from > MERGED_ROW_ITEMS; merges += 1) {
      const lookedUpTo = await outbox.mergeSmallRows(from);
      if (lookedUpTo === null || signal.aborted) break;
      from = lookedUpTo;
    }
    rounds += 1;
    if (rounds % ROUNDS_PER_DROP !== 0) return;
    for (const lane of UPLINK_LANES) {
      const dropped = await outbox.dropPartitions(lane, clock.nowMs() - TRANSFERRED_KEPT_MS);
      if (dropped.length > 0) log.info("Dropped transferred events", { lane, partitions: dropped });
    }
  };
  const onError = (error: unknown): void => log.warn("Maintenance of the outbox failed; it is tried again", { error });
  return repeat(
    round,
    { intervalMs: INTERVAL_MS, sleep: (delayMs, abort) => clock.sleep(delayMs, abort), onError },
    signal,
  );
}
