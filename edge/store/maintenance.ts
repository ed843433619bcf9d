import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { DiskGuard } from "./disk-guard.ts";
import type { Outbox } from "./outbox.ts";
import { MERGED_ROW_ITEMS } from "./outbox.ts";
import type { Retention } from "./retention.ts";

const MERGE_EVERY_MS = 5_000;
/** Merges in a row; the rest waits for the next round, so that devices are not held up. */
const MERGES_PER_ROUND_MAX = 64;
const RECORDS_PER_CUT_CHECK = 10_000;
const DISK_EVERY_MS = 1_000;
/** Walking through the files takes some ms. */
const ROUNDS_PER_QUOTA_CHECK = 5;
const RETENTION_EVERY_MS = 600_000;

export interface MaintenanceDeps {
  readonly outbox: Outbox;
  /** Sequence that the next telemetry record will get. */
  readonly nextTelemetrySeq: () => number;
  /** Up to where telemetry is on its way; rows above it may be merged. */
  readonly sentTelemetrySeq: () => number;
  readonly retention: Retention;
  /** Lets the next rows take the room of those between two sequences that were merged. */
  readonly reuseRoom: (fromSeq: number, toSeq: number) => Promise<void>;
  /** Cuts off a partition of the outbox that has grown large. */
  readonly cut: () => Promise<void>;
  /** Null: the database is on another machine, whose disk is not ours to watch. */
  readonly disk: DiskCare | null;
  readonly clock: Clock;
  readonly log: Log;
}

export interface DiskCare {
  readonly guard: DiskGuard;
  /** Makes room when the quota is near. */
  readonly relieve: () => Promise<unknown>;
  /** Makes room of what is sent already or kept for convenience. */
  readonly clear: () => Promise<void>;
}

/** Keeps the database small: merges what waits, drops what is old, makes room when the disk fills. Asks it only when there is work. */
export async function runMaintenance(deps: MaintenanceDeps, signal: AbortSignal): Promise<void> {
  const { clock, disk, log, retention } = deps;
  const every = (name: string, intervalMs: number, work: () => Promise<void>): Promise<void> =>
    repeat(
      work,
      {
        intervalMs,
        sleep: (delayMs, abort) => clock.sleep(delayMs, abort),
        onError: (error) => log.warn("Maintenance failed; it is tried again", { part: name, error }),
      },
      signal,
    );
  await Promise.all([
    every("cutting", MERGE_EVERY_MS, createCutting(deps)),
    every("merging", MERGE_EVERY_MS, createMerging(deps, signal)),
    every("retention", RETENTION_EVERY_MS, () => retention.round()),
    ...(disk === null ? [] : [every("disk", DISK_EVERY_MS, createDiskRounds(disk))]),
  ]);
}

function createMerging(
  { nextTelemetrySeq, outbox, reuseRoom, sentTelemetrySeq }: MaintenanceDeps,
  signal: AbortSignal,
): () => Promise<void> {
  let mergedUpTo = 0;
  return async () => {
    const fromSeq = Math.max(mergedUpTo, sentTelemetrySeq());
    mergedUpTo = fromSeq;
    for (let merges = 0; merges < MERGES_PER_ROUND_MAX; merges += 1) {
      if (signal.aborted || nextTelemetrySeq() - mergedUpTo <= MERGED_ROW_ITEMS) break;
      const lookedUpTo = await outbox.mergeSmallRows(mergedUpTo);
      if (lookedUpTo === null) break;
      mergedUpTo = lookedUpTo;
    }
    if (mergedUpTo > fromSeq) await reuseRoom(fromSeq, mergedUpTo);
  };
}

function createCutting({ cut, nextTelemetrySeq }: MaintenanceDeps): () => Promise<void> {
  let lookedAtSeq = nextTelemetrySeq();
  return async () => {
    if (nextTelemetrySeq() - lookedAtSeq < RECORDS_PER_CUT_CHECK) return;
    lookedAtSeq = nextTelemetrySeq();
    await cut();
  };
}

function createDiskRounds({ clear, guard, relieve }: DiskCare): () => Promise<void> {
  let rounds = 0;
  return async () => {
    await guard.check();
    if (guard.isFull) await clear();
    else if (rounds % ROUNDS_PER_QUOTA_CHECK === 0) await relieve();
    rounds += 1;
  };
}
