import type { Sql } from "../../shared/postgres/connect.ts";
import type { Partition } from "../../shared/store/partitions.ts";
import { changePartitions, dropPartition, listPartitions, withLocksInTime } from "../../shared/store/partitions.ts";
import { makeTimePartition, missingRanges } from "../../shared/store/time-partitions.ts";

// The local history: telemetry in partitions by time of measurement, so that what is old goes as a whole. Partitions are made for the
// time around now. What lies outside of them (a device at 1970, one ten years ahead, measurements of last year) goes to the default
// partition; so odd times are kept like others, and make no partitions.

const TABLE = "telemetry";
const DEFAULT_PARTITION = "telemetry_default";
const HOUR_MS = 3_600_000;
/** How far ahead partitions reach: zones that were set wrong put devices ahead by up to 14 hours. */
const AHEAD_MS = 24 * HOUR_MS;
/** Widths of partitions. Wide ones are few, narrow ones let little go at a time. */
export const HISTORY_WIDTHS_MS = [24 * HOUR_MS, 6 * HOUR_MS, HOUR_MS] as const;
/** Beyond this no more are made, and everything new goes to the default partition. */
const PARTITIONS_MAX = 400;
const TIMES = { table: TABLE, defaultPartition: DEFAULT_PARTITION, column: "ts_ms" };

export interface History {
  readonly partitions: readonly Partition[];
  /** Of the default partition. */
  readonly defaultBytes: number;
  readonly bytes: number;
}

export async function readHistory(sql: Sql): Promise<History> {
  const partitions = await listPartitions(sql, TABLE);
  const [row] = await sql<{ bytes: number }[]>`select pg_total_relation_size(${DEFAULT_PARTITION}) as bytes`;
  const defaultBytes = row?.bytes ?? 0;
  return { partitions, defaultBytes, bytes: partitions.reduce((sum, { bytes }) => sum + bytes, defaultBytes) };
}

/** The widest partition that holds at most `bytesMax` at this rate. */
export function chooseWidthMs(bytesPerHour: number, bytesMax: number): number {
  const fits = HISTORY_WIDTHS_MS.find((widthMs) => (bytesPerHour * widthMs) / HOUR_MS <= bytesMax);
  return fits ?? HOUR_MS;
}

/** Makes the partitions for `nowMs` and a day after it, as far as they are missing. */
export async function ensureHistory(sql: Sql, nowMs: number, widthMs: number): Promise<void> {
  const partitions = await listPartitions(sql, TABLE);
  if (partitions.length >= PARTITIONS_MAX) return;
  for (const range of missingRanges(partitions, { fromMs: nowMs, toMs: nowMs + AHEAD_MS, widthMs })) {
    await withLocksInTime(sql, (tx) => makeTimePartition(tx, TIMES, range));
  }
}

export interface HistoryLimits {
  /** More than this is not kept. */
  readonly bytesMax: number;
  /** Sizes of the partitions when what is old by now was new; null: the edge has not run for so long. */
  readonly oldSizes: Readonly<Record<string, number>> | null;
  /** The partition that holds this time, and later ones, stay. */
  readonly nowMs: number;
}

/**
 * Drops partitions that got no record since they were old, then the oldest until the rest fits. The default partition has no oldest:
 * when it alone is beyond the limit, it is emptied.
 *
 * @returns the names of what was dropped
 */
export async function pruneHistory(sql: Sql, { bytesMax, nowMs, oldSizes }: HistoryLimits): Promise<readonly string[]> {
  const { defaultBytes, partitions, ...history } = await readHistory(sql);
  let { bytes } = history;
  const dropped: string[] = [];
  for (const partition of partitions) {
    // Ranges of a clock that stood wrong may lie in the future: they are dropped by age like others.
    const isOld = oldSizes?.[partition.name] === partition.bytes && !isAhead(partition, nowMs);
    const isTooMuch = bytes > bytesMax && partition.to <= nowMs;
    if (!isOld && !isTooMuch) continue;
    if (!(await dropPartition(sql, partition))) continue;
    bytes -= partition.bytes;
    dropped.push(partition.name);
  }
  if (defaultBytes > bytesMax && (await emptyTable(sql, DEFAULT_PARTITION))) dropped.push(DEFAULT_PARTITION);
  return dropped;
}

/** Now, or the day that partitions are made for in advance. */
function isAhead({ from, to }: Partition, nowMs: number): boolean {
  return to > nowMs && from <= nowMs + AHEAD_MS;
}

/** Drops the oldest of the local history, whatever its age; at last the rows of now. @returns false when nothing is left */
export async function dropOldestHistory(sql: Sql): Promise<boolean> {
  const { defaultBytes, partitions } = await readHistory(sql);
  const filled = partitions.filter(({ bytes }) => bytes > EMPTY_BYTES);
  const [oldest] = filled;
  if (oldest !== undefined && filled.length > 1) return dropPartition(sql, oldest);
  if (defaultBytes > EMPTY_BYTES) return emptyTable(sql, DEFAULT_PARTITION);
  return oldest === undefined ? false : emptyTable(sql, oldest.name);
}

/** A partition without rows, or as good as that. */
const EMPTY_BYTES = 1_048_576;

function emptyTable(sql: Sql, name: string): Promise<boolean> {
  return changePartitions(sql, [`truncate ${name}`]);
}
