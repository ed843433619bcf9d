import type { Clock } from "../shared/core/clock.ts";
import type { Log } from "../shared/observe/log.ts";
import type { DiskState } from "./api/status.ts";
import type { EdgeConfig } from "./config.ts";
import { parseDiskQuota, quotaBytes } from "./disk-quota.ts";
import { createDiskGauge, createDiskPorts, measureDisk } from "./runtime/disk-use.ts";
import type { DiskGuard } from "./store/disk-guard.ts";
import { createDiskGuard, RESERVE_BYTES } from "./store/disk-guard.ts";
import type { DiskReliefDeps } from "./store/disk-relief.ts";
import { clearDisk, cutWrittenPartition, relieveDisk } from "./store/disk-relief.ts";
import type { EdgeStores } from "./store/edge-stores.ts";
import { countRemoved } from "./store/gap-store.ts";
import { runMaintenance } from "./store/maintenance.ts";
import { reuseRoom } from "./store/outbox-partitions.ts";
import { createRetention } from "./store/retention.ts";

// What keeps the edge's disk in order, put together from the settings.

export interface DiskWatch {
  readonly guard: DiskGuard;
  /** Null: there is none. */
  readonly quotaBytes: number | null;
}

/** Before the database starts. @returns null when it, and with it the data, is on another machine */
export async function openDiskGuard(config: EdgeConfig, log: Log): Promise<DiskGuard | null> {
  if (config.databaseUrl !== null) return null;
  const guard = createDiskGuard(createDiskPorts(config.dataDir), log);
  await guard.enterIfFull();
  return guard;
}

/** Once the database has started, and its files are there to be measured. */
export async function openDiskWatch(config: EdgeConfig, guard: DiskGuard | null): Promise<DiskWatch | null> {
  if (guard === null) return null;
  const quota = parseDiskQuota(config.diskQuota) ?? { kind: "off" };
  return { guard, quotaBytes: quotaBytes(quota, await measureDisk(config.dataDir)) };
}

export interface MaintenanceParts {
  readonly config: EdgeConfig;
  readonly stores: EdgeStores;
  readonly watch: DiskWatch | null;
  /** Up to where telemetry is on its way. */
  readonly sentTelemetrySeq: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

export function runEdgeMaintenance(parts: MaintenanceParts, signal: AbortSignal): Promise<void> {
  const { clock, config, log, sentTelemetrySeq, stores, watch } = parts;
  const { groupCommit, outbox, sql } = stores;
  const retention = createRetention(
    { sql, outbox, nextSeq: (lane) => groupCommit.nextSeq(lane), clock, log },
    {
      historyDays: config.historyDays,
      historyBytesMax: config.historyMaxMb * 1e6,
      transferredDays: config.transferredDays,
      transferredBytesMax: config.transferredMaxMb * 1e6,
    },
  );
  const nextTelemetrySeq = (): number => groupCommit.nextSeq("telemetry");
  const measureBytes = async (): Promise<number> => (await measureDisk(config.dataDir)).usedBytes;
  const relief = { sql, unitOfWork: groupCommit, clock, outbox, nextTelemetrySeq, measureBytes, log };
  const disk = watch === null ? null : createDiskCare(watch, relief, config);
  const cut = (): Promise<void> => cutWrittenPartition(relief);
  const tasks = {
    cut,
    reuseRoom: (fromSeq: number, toSeq: number) => reuseRoom(sql, "telemetry", fromSeq, toSeq),
  };
  return runMaintenance({ outbox, nextTelemetrySeq, sentTelemetrySeq, retention, ...tasks, disk, clock, log }, signal);
}

function createDiskCare({ guard, quotaBytes: quota }: DiskWatch, relief: DiskReliefDeps, config: EdgeConfig) {
  return {
    guard,
    relieve: async () => {
      if (quota !== null) await relieveDisk(relief, { quotaBytes: quota, policy: config.diskPolicy });
    },
    clear: async () => {
      const hasRoom = async (): Promise<boolean> => {
        await guard.check();
        return !guard.isFull;
      };
      await clearDisk(relief, hasRoom);
    },
  };
}

/** The disk for the status: at most 30 s old. */
export function createDiskState(
  config: EdgeConfig,
  { stores, watch, clock }: Pick<MaintenanceParts, "stores" | "watch" | "clock">,
): () => Promise<DiskState> {
  const gauge = createDiskGauge(clock, config.dataDir);
  return async () => ({
    ...(await gauge()),
    quotaBytes: watch?.quotaBytes ?? null,
    reserveBytes: watch === null || watch.guard.isFull ? 0 : RESERVE_BYTES,
    isFull: watch?.guard.isFull ?? false,
    removed: await countRemoved(stores.db),
  });
}
