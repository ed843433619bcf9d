import type { Sql } from "../../shared/postgres/connect.ts";
import type { Partition } from "../../shared/store/partitions.ts";
import { dropPartition, listPartitions, LOCK_WITHIN } from "../../shared/store/partitions.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { ROW_ITEMS_MAX } from "./outbox.ts";

// The partitions of cloud_event: a chain of ranges of first_seq per lane, each made before the writer reaches it, cut off when it has
// grown large, and dropped as a whole once the cloud has committed all of it.

/** Sequence numbers per partition, unless it is cut off earlier. */
const PARTITION_ITEMS = { config: 65_536, telemetry: 4_194_304 } as const satisfies Record<UplinkLane, number>;

export function outboxTable(lane: UplinkLane): string {
  return `cloud_event_${lane}`;
}

/** Makes partitions until rows from `seq` to beyond `seq + items` have one. @returns the first sequence that has none */
export async function ensurePartitions(sql: Sql, lane: UplinkLane, seq: number, items: number): Promise<number> {
  const size = PARTITION_ITEMS[lane];
  let end = (await listPartitions(sql, outboxTable(lane))).at(-1)?.to ?? Math.floor(seq / size) * size;
  while (end <= seq + items) {
    // After a loss of partitions numbers go on far above their end.
    const from = end + size < seq ? Math.floor(seq / size) * size : end;
    end = (Math.floor(from / size) + 1) * size;
    await sql.unsafe(
      `create table ${outboxTable(lane)}_${from} partition of ${outboxTable(lane)} for values from (${from}) to (${end})`,
    );
  }
  return end;
}

/**
 * Ends the partition that `nextSeq`, the sequence that the next row will get, falls into, in the writer's transaction: what is in it can
 * then be dropped or rewritten without anybody waiting. The rest of its range becomes the next partition.
 *
 * @throws when the lock is not to be had at once
 */
export async function cutPartition(
  tx: Queryable,
  lane: UplinkLane,
  partition: Partition,
  nextSeq: number,
): Promise<void> {
  const { name, from, to } = partition;
  const table = outboxTable(lane);
  const run = runStatementIn(tx);
  await run(`set local lock_timeout = '${LOCK_WITHIN}'`, []);
  await run(`alter table ${table} detach partition ${name}`, []);
  await run(`alter table ${table} attach partition ${name} for values from (${from}) to (${nextSeq})`, []);
  await run(`create table ${table}_${nextSeq} partition of ${table} for values from (${nextSeq}) to (${to})`, []);
}

/** Lets new rows take the room of merged ones at once: left to the server, small rows pile up for minutes. Nobody waits for it. */
export async function reuseRoom(sql: Sql, lane: UplinkLane, fromSeq: number, toSeq: number): Promise<void> {
  const partitions = await listPartitions(sql, outboxTable(lane));
  const touched = partitions.filter(({ from, to }) => from <= toSeq && to > fromSeq);
  for (const { name } of touched) await sql.unsafe(`vacuum (truncate false) ${name}`);
}

export interface OutboxLimits {
  /** Everything up to this sequence is committed by the cloud. */
  readonly ackedSeq: number;
  /** What lies wholly below this is old enough to go. */
  readonly oldSeq: number;
  /** More than this of what the cloud has is not kept, however young. */
  readonly bytesMax: number;
}

/** Drops what the cloud has committed, by age and size, oldest first. @returns what was dropped */
export async function pruneOutbox(
  sql: Sql,
  lane: UplinkLane,
  { ackedSeq, oldSeq, bytesMax }: OutboxLimits,
): Promise<readonly Partition[]> {
  const partitions = await listPartitions(sql, outboxTable(lane));
  // A row of the partition may reach past its end; the cursor must be beyond any such row.
  const transferred = partitions.filter(({ to }) => to + ROW_ITEMS_MAX <= ackedSeq);
  let bytes = transferred.reduce((sum, partition) => sum + partition.bytes, 0);
  const dropped: Partition[] = [];
  for (const partition of transferred) {
    if (partition.to > oldSeq && bytes <= bytesMax) break;
    if (!(await dropPartition(sql, partition))) break;
    bytes -= partition.bytes;
    dropped.push(partition);
  }
  return dropped;
}
