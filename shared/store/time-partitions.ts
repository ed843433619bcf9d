import type { TransactionSql } from "../postgres/connect.ts";

// Partitions by ranges of time beside a default one, which takes every time that no range covers: odd times are kept like others and
// make no partitions.

export interface TimePartitioned {
  readonly table: string;
  readonly defaultPartition: string;
  /** Of ms since 1970. */
  readonly column: string;
}

/** [from, to) in ms since 1970; from -Infinity: everything before `to`. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

/** Rows that a new partition takes over from the default one, while who writes odd times waits. */
const MOVED_ROWS_MAX = 20_000;

/** Ranges on the grid of `widthMs` that cover what no partition covers, cut to what is free. */
export function missingRanges(
  partitions: readonly TimeRange[],
  wanted: { readonly fromMs: number; readonly toMs: number; readonly widthMs: number },
): readonly TimeRange[] {
  const { toMs, widthMs } = wanted;
  const missing: TimeRange[] = [];
  let at = wanted.fromMs;
  while (at <= toMs) {
    const holder = partitions.find(({ from, to }) => from <= at && at < to);
    if (holder !== undefined) {
      at = holder.to;
      continue;
    }
    const gridFrom = Math.floor(at / widthMs) * widthMs;
    const before = partitions.filter(({ to }) => to <= at).at(-1);
    const after = partitions.find(({ from }) => from > at);
    const range = {
      from: Math.max(gridFrom, before?.to ?? gridFrom),
      to: Math.min(gridFrom + widthMs, after?.from ?? gridFrom + widthMs),
    };
    missing.push(range);
    at = range.to;
  }
  return missing;
}

/**
 * Makes the partition of a range together with the rows of it that came before. Too many of them stay where they are, and so does the
 * range. Only the default partition is locked, until the commit.
 */
export async function makeTimePartition(
  tx: TransactionSql,
  { column, defaultPartition, table }: TimePartitioned,
  { from, to }: TimeRange,
): Promise<void> {
  const inRange = from === -Infinity ? `${column} < ${to}` : `${column} >= ${from} and ${column} < ${to}`;
  const [early] = await tx.unsafe<{ rows: number }[]>(
    `select count(*) as rows from (select from ${defaultPartition} where ${inRange} limit ${MOVED_ROWS_MAX + 1}) as early`,
  );
  if ((early?.rows ?? 0) > MOVED_ROWS_MAX) return;
  const name = `${table}_${nameOf(from)}`;
  await tx.unsafe(`create table ${name} (like ${table} including all)`);
  await tx.unsafe(`lock table ${defaultPartition} in access exclusive mode`);
  await tx.unsafe(
    `with early as (delete from ${defaultPartition} where ${inRange} returning *) insert into ${name} select * from early`,
  );
  const lower = from === -Infinity ? "minvalue" : from;
  await tx.unsafe(`alter table ${table} attach partition ${name} for values from (${lower}) to (${to})`);
}

function nameOf(from: number): string {
  if (from === -Infinity) return "past";
  return from < 0 ? `before_${-from}` : String(from);
}
