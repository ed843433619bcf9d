import type { BlobRef } from "../../shared/core/blob-ref.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import {
  addRange,
  includesRange,
  intersectRanges,
  overlaps,
  prefixEnd,
  rangesAbove,
  SEQ_MAX,
} from "../../shared/core/seq-range.ts";
import { Turns } from "../../shared/core/turns.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns } from "../../shared/entities/telemetry-columns.ts";
import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import { formatSeqRanges, parseSeqRanges } from "../../shared/store/seq-ranges.ts";
import type { LaneTag, Rejection } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import type { OutgoingBatch, WantedLoad } from "../../shared/sync/sender.ts";
import { compress } from "../../shared/wire/compression.ts";
import { tagOfPayload } from "../../shared/wire/item-tag.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { tryDecode } from "../../shared/wire/try-decode.ts";
import type { OutboxRow } from "./outbox-frames.ts";
import { configBatches, openTelemetry, telemetryBatches } from "./outbox-frames.ts";
import { parkItems, readItems } from "./park-items.ts";

// Reading, settling and merging of cloud_event. Rows are written by the group commit alone (group-commit.ts), partitions are made
// and dropped in outbox-partitions.ts, unsent records removed in outbox-removal.ts.

/** No row holds more sequence numbers. */
export const ROW_ITEMS_MAX = 20_000;
const ROWS_PER_READ_MAX = 1_000;
/** Small waiting rows are merged into rows of about this many records. */
export const MERGED_ROW_ITEMS = 4_096;
/** Fewer rows than this are left as they are. */
const MERGED_ROWS_MIN = 4;

export interface LaneRange {
  readonly nextSeq: number;
  /** The oldest sequence that is still there; nextSeq when the lane is empty. */
  readonly oldestSeq: number;
  /** Everything up to it is committed by the cloud. */
  readonly ackedSeq: number;
  /** The first that belongs to the store id of now. */
  readonly firstSeq: number;
}

export interface Outbox {
  range(lane: UplinkLane): Promise<LaneRange>;
  /** Whether the cloud's item is the one with this number here, or an acknowledged one that is no longer there. */
  isSame(item: LaneTag): Promise<boolean>;
  /** Batches in the range asked for, at least one if there is any; `drained` when there is none. */
  read(
    lane: UplinkLane,
    request: WantedLoad,
  ): Promise<{ readonly batches: readonly OutgoingBatch[]; readonly drained: boolean }>;
  /** Notes what the cloud has committed and parks what it rejected. */
  settle(lane: UplinkLane, settled: SettledItems): Promise<void>;
  /** Forgets what is not in `committed`: a cloud that was restored from a backup has less than it acknowledged once. */
  keepCommitted(lane: UplinkLane, committed: readonly SeqRange[]): Promise<void>;
  /**
   * Runs `work` while no telemetry is being read. Rows of which nothing was read since the start, or is known to be committed, are known to nobody else, and may be
   * changed by it.
   */
  betweenReads<T>(work: (wasRead: (firstSeq: number, lastSeq: number) => boolean) => Promise<T>): Promise<T>;
  /**
   * Looks at the rows of the telemetry lane that wait above `aboveSeq`, and merges them into one when they are small and many.
   *
   * @returns the last sequence looked at; null when nothing was worth a look
   */
  mergeSmallRows(aboveSeq: number): Promise<number | null>;
}

export interface SettledItems {
  readonly committed: readonly SeqRange[];
  readonly rejections: readonly Rejection[];
  readonly nowMs: number;
}

export function createOutbox(sql: Sql): Outbox {
  const turns = new Turns();
  let wereRead: readonly SeqRange[] = [];
  const readTelemetry = async (request: WantedLoad): Promise<readonly OutgoingBatch[]> => {
    const rows = await readRows(sql, "telemetry", request);
    for (const { firstSeq, lastSeq } of rows) wereRead = addRange(wereRead, { first: firstSeq, last: lastSeq });
    return telemetryBatches(rows, request);
  };
  return {
    range: (lane) => readRange(sql, lane),
    isSame: async ({ lane, seq, tag }) => {
      const payload = (await readItems(sql, lane, [seq])).get(seq);
      const own = payload === undefined ? null : tagOfPayload(lane, payload);
      return own === null ? includesRange(await readCommitted(sql, lane), { first: seq, last: seq }) : own === tag;
    },
    read: async (lane, request) => {
      const batches =
        lane === "config" ? await readConfig(sql, request) : await turns.take(() => readTelemetry(request));
      return { batches, drained: batches.length === 0 };
    },
    settle: async (lane, settled) => {
      const ackedSeq = await settle(sql, lane, settled);
      if (lane === "telemetry") wereRead = rangesAbove(wereRead, ackedSeq);
    },
    keepCommitted: (lane, committed) => keepCommitted(sql, lane, committed),
    betweenReads: (work) =>
      turns.take(async () => {
        const known = (await readCommitted(sql, "telemetry")).reduce(addRange, wereRead);
        return work((first, last) => overlaps(known, { first, last }));
      }),
    mergeSmallRows: (aboveSeq) => mergeSmallRows(sql, aboveSeq),
  };
}

async function readRange(sql: Sql, lane: UplinkLane): Promise<LaneRange> {
  const [row] = await sql<{ first: number | null; last: number | null; acked: number | null; own: number | null }[]>`
    select (select min(first_seq) from cloud_event where lane = ${lane}) as first,
      (select last_seq from cloud_event where lane = ${lane} order by first_seq desc limit 1) as last,
      (select acked_seq from uplink_cursor where lane = ${lane}) as acked,
      (select case ${lane} when 'config' then first_config_seq else first_telemetry_seq end from site) as own`;
  const ackedSeq = row?.acked ?? 0;
  const firstSeq = row?.own ?? 1;
  const nextSeq = Math.max(row?.last ?? 0, ackedSeq) + 1;
  return { nextSeq, oldestSeq: Math.max(row?.first ?? nextSeq, firstSeq), ackedSeq, firstSeq };
}

async function readRows(
  sql: Sql | TransactionSql,
  lane: UplinkLane,
  { afterSeq, upToSeq, bytesMax, itemsMax }: Omit<WantedLoad, "frameBytesMax">,
): Promise<readonly OutboxRow[]> {
  return sql<OutboxRow[]>`
    select first_seq as "firstSeq", last_seq as "lastSeq", config_seq as "configSeq", compression, payload
    from (
      select *, sum(octet_length(payload)) over (order by first_seq) - octet_length(payload) as before
      from (
        select first_seq, last_seq, config_seq, compression, payload from cloud_event
        where lane = ${lane} and last_seq > ${afterSeq} and first_seq >= coalesce(
          (select first_seq from cloud_event where lane = ${lane} and first_seq <= ${afterSeq + 1} order by first_seq desc limit 1), 0)
        order by first_seq limit ${ROWS_PER_READ_MAX}
      ) as waiting
    ) as summed
    where before < ${bytesMax} and first_seq <= ${Math.min(upToSeq, afterSeq + itemsMax)}
    order by first_seq`;
}

async function readConfig(sql: Sql, request: WantedLoad): Promise<readonly OutgoingBatch[]> {
  const rows = await readRows(sql, "config", request);
  return configBatches(rows, await readBlobs(sql, rows), request);
}

/** Contents that these rows of config name, by sequence. */
async function readBlobs(sql: Sql, rows: readonly OutboxRow[]): Promise<ReadonlyMap<number, readonly BlobRef[]>> {
  const first = rows[0]?.firstSeq ?? 0;
  const last = rows.at(-1)?.lastSeq ?? 0;
  const named = await sql<(BlobRef & { seq: number })[]>`
    select seq, sha256, total_bytes as bytes from outbox_blob where lane = 'config' and seq between ${first} and ${last}`;
  return Map.groupBy(named, ({ seq }) => seq);
}

/** @returns up to where everything is committed now */
async function settle(sql: Sql, lane: UplinkLane, { committed, rejections, nowMs }: SettledItems): Promise<number> {
  return sql.begin(async (tx) => {
    // A lost cursor is repeated by the next acknowledgements; only parked items need the disk at once.
    if (rejections.length === 0) await tx`set local synchronous_commit = off`;
    else await parkItems(tx, lane, { rejections, nowMs });
    const all = committed.reduce(addRange, await readCommitted(tx, lane));
    await writeCommitted(tx, lane, all);
    return prefixEnd(all);
  });
}

async function keepCommitted(sql: Sql, lane: UplinkLane, committed: readonly SeqRange[]): Promise<void> {
  const before = await readCommitted(sql, lane);
  const kept = intersectRanges(before, committed);
  if (formatSeqRanges(kept) !== formatSeqRanges(before)) await writeCommitted(sql, lane, kept);
}

/** What the cloud has committed of a lane, as far as is known here. */
export async function readCommitted(sql: Sql | TransactionSql, lane: UplinkLane): Promise<readonly SeqRange[]> {
  const [row] = await sql<{ acked: number; ahead: string }[]>`
    select acked_seq as acked, ahead::text from uplink_cursor where lane = ${lane}`;
  if (row === undefined) return [];
  return addRange(parseSeqRanges(row.ahead), { first: 1, last: row.acked });
}

async function writeCommitted(
  sql: Sql | TransactionSql,
  lane: UplinkLane,
  committed: readonly SeqRange[],
): Promise<void> {
  const ackedSeq = prefixEnd(committed);
  const ahead = formatSeqRanges(rangesAbove(committed, ackedSeq));
  await sql`
    insert into uplink_cursor (lane, acked_seq, ahead) values (${lane}, ${ackedSeq}, ${ahead})
    on conflict (lane) do update set acked_seq = excluded.acked_seq, ahead = excluded.ahead`;
}

async function mergeSmallRows(sql: Sql, aboveSeq: number): Promise<number | null> {
  const waiting = await readRows(sql, "telemetry", {
    afterSeq: aboveSeq,
    upToSeq: SEQ_MAX,
    bytesMax: 4 * 1024 * 1024,
    itemsMax: MERGED_ROW_ITEMS,
  });
  const rows = takeMergeable(waiting, aboveSeq);
  const first = rows[0];
  const last = rows.at(-1);
  if (first === undefined || last === undefined) return null;
  const items = last.lastSeq - first.firstSeq + 1;
  // What came last may still grow; only a full row is worth the writing.
  const isFull = rows.length < waiting.length || items >= MERGED_ROW_ITEMS;
  if (!isFull) return null;
  if (rows.length >= MERGED_ROWS_MIN) await mergeRows(sql, rows, { first, last });
  return last.lastSeq;
}

function takeMergeable(waiting: readonly OutboxRow[], aboveSeq: number): readonly OutboxRow[] {
  const rows: OutboxRow[] = [];
  let items = 0;
  for (const row of waiting) {
    const count = row.lastSeq - row.firstSeq + 1;
    // A row that the session has sent a part of keeps its bounds.
    if (row.firstSeq <= aboveSeq) continue;
    if (rows.length > 0 && items + count > MERGED_ROW_ITEMS) break;
    rows.push(row);
    items += count;
  }
  return rows;
}

async function mergeRows(
  sql: Sql,
  rows: readonly OutboxRow[],
  { first, last }: { readonly first: OutboxRow; readonly last: OutboxRow },
): Promise<void> {
  const opened = tryDecode(() => concatColumns(rows.map(openTelemetry)));
  // One that can't be read any more stays for the cloud to refuse it, and those beside it stay small.
  if (!opened.isReadable) return;
  const columns = opened.content;
  const { compression, payload } = compress(encodeTelemetry(columns));
  const { tsMinMs, tsMaxMs } = timesOf(columns);
  await sql.begin(async (tx) => {
    const gone = await tx<{ at: number }[]>`
      delete from cloud_event where lane = 'telemetry' and first_seq >= ${first.firstSeq} and first_seq <= ${last.firstSeq}
      returning created_ms as at`;
    const createdMs = gone.reduce((low, row) => Math.min(low, row.at), Infinity);
    await tx`
      insert into cloud_event (lane, first_seq, last_seq, created_ms, action, config_seq, ts_min_ms, ts_max_ms, compression, payload)
      values ('telemetry', ${first.firstSeq}, ${last.lastSeq}, ${createdMs}, 'TIMESERIES_UPDATED', ${last.configSeq},
        ${tsMinMs}, ${tsMaxMs}, ${compression}, ${payload})`;
  });
}

/** Times of the oldest and the newest record; null when there is none. */
export function timesOf({ tsMs }: Pick<TelemetryColumns, "tsMs">): {
  readonly tsMinMs: number | null;
  readonly tsMaxMs: number | null;
} {
  if (tsMs.length === 0) return { tsMinMs: null, tsMaxMs: null };
  return {
    tsMinMs: tsMs.reduce((low, time) => Math.min(low, time), Infinity),
    tsMaxMs: tsMs.reduce((high, time) => Math.max(high, time), -Infinity),
  };
}
