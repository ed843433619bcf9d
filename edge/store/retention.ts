import type { Clock } from "../../shared/core/clock.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { keepNewestAudit } from "../../shared/store/audit-store.ts";
import { openDb } from "../../shared/store/open-db.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { chooseWidthMs, ensureHistory, HISTORY_WIDTHS_MS, pruneHistory, readHistory } from "./history.ts";
import { pruneOutbox } from "./outbox-partitions.ts";
import type { Outbox } from "./outbox.ts";
import { createRetentionMarks } from "./retention-marks.ts";

// What goes by age and size while there is room: rows of the outbox that the cloud has committed, local history, the audit log. Nothing unsent is
// touched here; disk-relief.ts does that when the disk is full.

export interface RetentionLimits {
  /** Ages are days of running. */
  readonly historyDays: number;
  readonly historyBytesMax: number;
  readonly transferredDays: number;
  readonly transferredBytesMax: number;
}

export interface RetentionDeps {
  readonly sql: Sql;
  readonly outbox: Pick<Outbox, "range">;
  readonly nextSeq: (lane: UplinkLane) => number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Retention {
  /** Drops what is beyond the limits and makes the partitions of the coming day. */
  round(): Promise<void>;
}

const DAY_MS = 86_400_000;
/** A partition of the history holds about this part of what may be kept. */
const PARTITION_SHARE = 1 / 16;

/** Some ten MB: what people change on a site in years. */
const AUDIT_ENTRIES = 10_000;

export function createRetention(deps: RetentionDeps, limits: RetentionLimits): Retention {
  const { clock, log, nextSeq, outbox, sql } = deps;
  const db = openDb(sql);
  const historyMs = limits.historyDays * DAY_MS;
  const transferredMs = limits.transferredDays * DAY_MS;
  const marks = createRetentionMarks(sql, clock, Math.max(historyMs, transferredMs));
  let measured: { readonly bytes: number; readonly atMs: number } | null = null;

  const growthPerHour = (bytes: number): number => {
    const before = measured;
    measured = { bytes, atMs: clock.monotonicMs() };
    const hours = before === null ? 0 : (measured.atMs - before.atMs) / 3_600_000;
    return before === null || hours <= 0 ? 0 : Math.max(0, bytes - before.bytes) / hours;
  };

  const keepHistory = async (): Promise<Readonly<Record<string, number>>> => {
    const old = await marks.before(historyMs);
    const bytesMax = limits.historyBytesMax;
    const dropped = await pruneHistory(sql, { bytesMax, nowMs: clock.nowMs(), oldSizes: old?.history ?? null });
    if (dropped.length > 0) log.info("Dropped local history", { partitions: dropped });
    const { bytes, partitions } = await readHistory(sql);
    await ensureHistory(sql, clock.nowMs(), chooseWidthMs(growthPerHour(bytes), bytesMax * PARTITION_SHARE));
    return Object.fromEntries(partitions.map((partition) => [partition.name, partition.bytes]));
  };

  return {
    round: async () => {
      const history = await keepHistory();
      const old = await marks.before(transferredMs);
      for (const lane of UPLINK_LANES) {
        const { ackedSeq } = await outbox.range(lane);
        const oldSeq = old?.nextSeq[lane] ?? 0;
        const dropped = await pruneOutbox(sql, lane, { ackedSeq, oldSeq, bytesMax: limits.transferredBytesMax });
        if (dropped.length > 0) log.info("Dropped transferred events", { lane, partitions: dropped.length });
      }
      await keepNewestAudit(db, AUDIT_ENTRIES);
      await marks.set({ nextSeq: { config: nextSeq("config"), telemetry: nextSeq("telemetry") }, history });
    },
  };
}

/** For the first moments of an edge, before anything was measured. */
export function ensureFirstHistory(sql: Sql, nowMs: number): Promise<void> {
  return ensureHistory(sql, nowMs, HISTORY_WIDTHS_MS[0]);
}
