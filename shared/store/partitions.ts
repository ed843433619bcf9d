import type { Sql, TransactionSql } from "../postgres/connect.ts";
import { sqlStateOf } from "../postgres/connect.ts";

// Partitions of a table by ranges of a number, as the catalog knows them.

/**
 * Making, cutting and dropping a partition locks its parent, and whoever comes meanwhile waits behind: the one writer too. What does
 * not get its lock within this time gives up and is tried again later.
 */
export const LOCK_WITHIN = "50ms";

export interface Partition {
  readonly name: string;
  /** Holds numbers in [from, to); -Infinity: everything below `to`. */
  readonly from: number;
  readonly to: number;
  /** On disk, with indexes and TOAST. */
  readonly bytes: number;
}

/** By ascending range; the default partition, if there is one, is not among them. */
export async function listPartitions(sql: Sql | TransactionSql, parent: string): Promise<readonly Partition[]> {
  const rows = await sql<{ name: string; bound: string; bytes: number }[]>`
    select relid::text as name, pg_get_expr(relpartbound, relid) as bound, pg_total_relation_size(relid) as bytes
    from pg_partition_tree(${parent}::regclass) join pg_class on pg_class.oid = relid
    where level = 1`;
  return rows
    .flatMap(({ name, bound, bytes }) => {
      const range = /^FOR VALUES FROM \((?:MINVALUE|'?(-?\d+)'?)\) TO \('?(-?\d+)'?\)$/.exec(bound);
      return range === null ? [] : [{ name, from: Number(range[1] ?? -Infinity), to: Number(range[2]), bytes }];
    })
    .toSorted((one, other) => one.from - other.from);
}

/** In one transaction. False when the locks were not to be had in time: nothing changed. */
export async function withLocksInTime(
  sql: Sql,
  work: (tx: TransactionSql) => Promise<void>,
  within: string = LOCK_WITHIN,
): Promise<boolean> {
  try {
    await sql.begin(async (tx) => {
      await tx.unsafe(`set local lock_timeout = '${within}'`);
      await work(tx);
    });
    return true;
  } catch (error) {
    if (isLockTimeout(error)) return false;
    throw error;
  }
}

export function changePartitions(sql: Sql, statements: readonly string[], within?: string): Promise<boolean> {
  const runAll = async (tx: TransactionSql): Promise<void> => {
    for (const statement of statements) await tx.unsafe(statement);
  };
  return withLocksInTime(sql, runAll, within);
}

export function dropPartition(sql: Sql, { name }: Pick<Partition, "name">, within?: string): Promise<boolean> {
  return changePartitions(sql, [`drop table if exists ${name}`], within);
}

/** SQLSTATE lock_not_available. */
export function isLockTimeout(error: unknown): boolean {
  return sqlStateOf(error) === "55P03";
}
