import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import { changePartitions, listPartitions, withLocksInTime, type Partition } from "../../shared/store/partitions.ts";
import { makeTimePartition, missingRanges } from "../../shared/store/time-partitions.ts";

// The cloud's telemetry by time of measurement: a partition a week, made ahead; one for everything before the first of them, since
// edges send measurements of weeks ago; and the default one for times that are beyond (a clock ten years ahead). Making a partition
// looks through the default one, so nothing that comes in numbers may end there. Replicas take turns by an advisory lock. Ingest is never
// held up for longer than the waits below: who does not get its lock in time tries again with the next round.

export interface TelemetryUpkeep {
  readonly nowMs: number;
  /** What was measured longer ago is dropped, as soon as a partition holds nothing else; null: nothing is. */
  readonly keptMs: number | null;
}

export interface TelemetryRound {
  readonly made: readonly string[];
  readonly dropped: readonly string[];
  /** Rows of the default partition that were too old. */
  readonly removedRows: number;
  /** Larger than what may be looked through: no partitions are made any more. */
  readonly isDefaultTooLarge: boolean;
}

const TABLE = "telemetry";
const DEFAULT_PARTITION = "telemetry_default";
const TIMES = { table: TABLE, defaultPartition: DEFAULT_PARTITION, column: "ts_ms" };
const WEEK_MS = 7 * 86_400_000;
/** How far partitions reach around now when there are none. */
const BEHIND_MS = 4 * WEEK_MS;
/** A cloud whose upkeep fails for a month still has partitions. */
const AHEAD_MS = 4 * WEEK_MS;
/** After a stop of the cloud partitions are made for what edges send of this time, not of more. */
const FILLED_MS_MAX = 52 * WEEK_MS;
/** Key of the advisory lock by which replicas take turns, "skerry" and 2 in ASCII. */
export const TELEMETRY_TURN_LOCK = 0x736b_6572_7202;
/** Looking through so much takes about a second. */
const DEFAULT_BYTES_MAX = 1_073_741_824;
/** Dropping locks the whole table. Under a load that never pauses, the last attempt makes ingest wait for once. */
const DROP_WITHIN = ["50ms", "200ms", "1s"] as const;
const REMOVED_ROWS_PER_STATEMENT = 10_000;
const REMOVALS_PER_ROUND_MAX = 50;

/** Makes what is missing, drops what is too old. Does nothing while another replica does it. */
export async function keepTelemetryPartitions(sql: Sql, { keptMs, nowMs }: TelemetryUpkeep): Promise<TelemetryRound> {
  // A process whose clock is ahead must not drop what others keep.
  const [time] = await sql<{ ms: number }[]>`select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms`;
  const keptFromMs = keptMs === null ? -Infinity : Math.min(nowMs, time?.ms ?? nowMs) - keptMs;
  const [size] = await sql<{ bytes: number }[]>`select pg_total_relation_size(${DEFAULT_PARTITION}) as bytes`;
  const isDefaultTooLarge = (size?.bytes ?? 0) > DEFAULT_BYTES_MAX;
  const made = isDefaultTooLarge ? [] : await makeMissing(sql, nowMs, keptFromMs);
  const dropped = await dropOld(sql, keptFromMs);
  const removedRows = keptMs === null ? 0 : await removeOldRows(sql, keptFromMs);
  return { made, dropped, removedRows, isDefaultTooLarge };
}

async function makeMissing(sql: Sql, nowMs: number, keptFromMs: number): Promise<readonly string[]> {
  let made: readonly string[] = [];
  const isDone = await withLocksInTime(sql, async (tx) => {
    if (!(await isOurTurn(tx))) return;
    const before = await listPartitions(tx, TABLE);
    const first = floorToWeek(nowMs - BEHIND_MS);
    if (before.length === 0) await makeTimePartition(tx, TIMES, { from: -Infinity, to: first });
    const from = before.length === 0 ? first : Math.max(fillFromMs(before, nowMs), keptFromMs);
    const wanted = { fromMs: from, toMs: nowMs + AHEAD_MS, widthMs: WEEK_MS };
    for (const range of missingRanges(before, wanted)) await makeTimePartition(tx, TIMES, range);
    const known = new Set(before.map(({ name }) => name));
    made = (await listPartitions(tx, TABLE)).map(({ name }) => name).filter((name) => !known.has(name));
  });
  return isDone ? made : [];
}

/** Where the ranges end, if that is in the past: the cloud was away since. */
function fillFromMs(partitions: readonly Partition[], nowMs: number): number {
  const endMs = partitions.filter(({ from }) => from <= nowMs).at(-1)?.to ?? nowMs;
  return Math.min(Math.max(endMs, nowMs - FILLED_MS_MAX), nowMs);
}

async function dropOld(sql: Sql, keptFromMs: number): Promise<readonly string[]> {
  const dropped: string[] = [];
  for (const partition of await listPartitions(sql, TABLE)) {
    if (partition.to > keptFromMs) break;
    if (!(await dropInTime(sql, partition))) break;
    dropped.push(partition.name);
  }
  return dropped;
}

async function dropInTime(sql: Sql, { name }: Partition): Promise<boolean> {
  for (const within of DROP_WITHIN) {
    if (await changePartitions(sql, [`drop table if exists ${name}`], within)) return true;
  }
  return false;
}

/** Old measurements that came after their partition had gone. */
async function removeOldRows(sql: Sql, keptFromMs: number): Promise<number> {
  let removed = 0;
  for (let round = 0; round < REMOVALS_PER_ROUND_MAX; round += 1) {
    const { count } = await sql`
      delete from telemetry_default where ctid = any (array(
        select ctid from telemetry_default where ts_ms < ${Math.floor(keptFromMs)} limit ${REMOVED_ROWS_PER_STATEMENT}))`;
    removed += count;
    if (count < REMOVED_ROWS_PER_STATEMENT) break;
  }
  return removed;
}

/** False while another replica makes partitions. */
async function isOurTurn(tx: TransactionSql): Promise<boolean> {
  const [row] = await tx.unsafe<{ is_ours: boolean }[]>(
    `select pg_try_advisory_xact_lock(${TELEMETRY_TURN_LOCK}) as is_ours`,
  );
  return row?.is_ours ?? false;
}

function floorToWeek(timeMs: number): number {
  return Math.floor(timeMs / WEEK_MS) * WEEK_MS;
}
