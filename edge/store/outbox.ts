import { Turns } from "../../shared/core/turns.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns, recordsFrom } from "../../shared/entities/telemetry-columns.ts";
import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import type { LaneWatermark, Rejection, UplinkLane } from "../../shared/sync/frames.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { Compressed } from "../../shared/wire/compression.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry, encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { parkItems } from "./park-items.ts";
import { SeqRanges } from "./seq-ranges.ts";

// Reading, settling and merging of cloud_event. Rows are written by the group commit alone (group-commit.ts), partitions are made
// and dropped in outbox-partitions.ts, unsent records removed in outbox-removal.ts.

/** No row holds more sequence numbers. */
export const ROW_ITEMS_MAX = 20_000;
const ROWS_PER_READ_MAX = 1_000;
/** Small waiting rows are merged into rows of about this many records. */
export const MERGED_ROW_ITEMS = 4_096;
/** Small rows are sent together up to about this many records. */
const JOINED_ROW_ITEMS = 1_024;
/** Fewer rows than this are left as they are. */
const MERGED_ROWS_MIN = 4;

export interface LaneRange {
  readonly nextSeq: number;
  /** The oldest sequence that is still there; nextSeq when the lane is empty. */
  readonly oldestSeq: number;
  readonly ackedSeq: number;
}

export interface Outbox {
  range(lane: UplinkLane): Promise<LaneRange>;
  /** Batches above `afterSeq`, at least one if there is any; `drained` when nothing is left above them. */
  read(
    lane: UplinkLane,
    request: OutboxRead,
  ): Promise<{ readonly batches: readonly OutgoingBatch[]; readonly drained: boolean }>;
  /** Moves the cursor to `seq` and parks what was rejected; what is beyond already stays. */
  settle(lane: UplinkLane, settled: Settled): Promise<void>;
  /**
   * Takes cursors back to the cloud's watermarks, where a cloud that was restored from a backup has less than it acknowledged once.
   *
   * @returns the cursors
   */
  lowerCursors(watermarks: readonly LaneWatermark[]): Promise<Readonly<Record<UplinkLane, number>>>;
  /**
   * Runs `work` while no telemetry is being read. Rows of which nothing was read since the start are known to nobody else, and may be
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

export interface OutboxRead {
  readonly afterSeq: number;
  readonly bytesMax: number;
  readonly itemsMax: number;
}

export interface Settled {
  readonly seq: number;
  readonly rejections: readonly Rejection[];
  readonly nowMs: number;
}

interface Row extends Compressed {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly configSeq: number;
}

export function createOutbox(sql: Sql): Outbox {
  const turns = new Turns();
  const wereRead = new SeqRanges();
  const readTelemetry = async (request: OutboxRead): Promise<readonly OutgoingBatch[]> => {
    const rows = await readRows(sql, "telemetry", request);
    for (const { firstSeq, lastSeq } of rows) wereRead.add({ first: firstSeq, last: lastSeq });
    return joinSmallRows(rows, request.afterSeq).map((row) => telemetryBatch(row, request));
  };
  return {
    range: (lane) => readRange(sql, lane),
    read: async (lane, request) => {
      const batches =
        lane === "config"
          ? joinConfigRows(await readRows(sql, lane, request), request)
          : await turns.take(() => readTelemetry(request));
      return { batches, drained: batches.length === 0 };
    },
    lowerCursors: (watermarks) => lowerCursors(sql, watermarks),
    settle: async (lane, settled) => {
      await settle(sql, lane, settled);
      if (lane === "telemetry") wereRead.forgetUpTo(settled.seq);
    },
    betweenReads: (work) => turns.take(() => work((first, last) => wereRead.overlaps({ first, last }))),
    mergeSmallRows: (aboveSeq) => mergeSmallRows(sql, aboveSeq),
  };
}

async function readRange(sql: Sql, lane: UplinkLane): Promise<LaneRange> {
  const [row] = await sql<{ first: number | null; last: number | null; acked: number | null }[]>`
    select (select min(first_seq) from cloud_event where lane = ${lane}) as first,
      (select last_seq from cloud_event where lane = ${lane} order by first_seq desc limit 1) as last,
      (select acked_seq from uplink_cursor where lane = ${lane}) as acked`;
  const ackedSeq = row?.acked ?? 0;
  const nextSeq = Math.max(row?.last ?? 0, ackedSeq) + 1;
  return { nextSeq, oldestSeq: row?.first ?? nextSeq, ackedSeq };
}

async function readRows(
  sql: Sql | TransactionSql,
  lane: UplinkLane,
  { afterSeq, bytesMax, itemsMax }: OutboxRead,
): Promise<readonly Row[]> {
  return sql<Row[]>`
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
    where before < ${bytesMax} and first_seq <= ${afterSeq + itemsMax}
    order by first_seq`;
}

/** A frame costs both ends as much as some hundred records: rows of small commits share one. Rows that follow each other only. */
function joinSmallRows(rows: readonly Row[], afterSeq: number): readonly Row[] {
  const joined: Row[] = [];
  let small: Row[] = [];
  const flush = (): void => {
    const [first] = small;
    const last = small.at(-1);
    if (first !== undefined && last !== undefined) joined.push(small.length === 1 ? first : joinRows(small, last));
    small = [];
  };
  for (const row of rows) {
    const start = small[0]?.firstSeq ?? row.firstSeq;
    if (row.lastSeq - start >= JOINED_ROW_ITEMS || row.firstSeq !== (small.at(-1)?.lastSeq ?? 0) + 1) flush();
    // What the peer has a part of already is cut to its rest.
    if (row.compression === "none" && row.firstSeq > afterSeq) small.push(row);
    else {
      flush();
      joined.push(row);
    }
  }
  flush();
  return joined;
}

function joinRows(rows: readonly Row[], last: Row): Row {
  const [first = last] = rows;
  const columns = concatColumns(rows.map((row) => decodeTelemetry(decompress(row), row.lastSeq - row.firstSeq + 1)));
  return {
    firstSeq: first.firstSeq,
    lastSeq: last.lastSeq,
    configSeq: last.configSeq,
    ...compress(encodeTelemetry(columns)),
  };
}

/** A row as it is stored, or its rest when the peer has committed a part of it already (before rows were merged). */
function telemetryBatch(row: Row, { afterSeq }: OutboxRead): OutgoingBatch {
  const { configSeq } = row;
  const count = row.lastSeq - row.firstSeq + 1;
  if (row.firstSeq > afterSeq) {
    return {
      type: "batch",
      lane: "telemetry",
      firstSeq: row.firstSeq,
      count,
      configSeq,
      compression: row.compression,
      payload: row.payload,
    };
  }
  const skipped = afterSeq + 1 - row.firstSeq;
  const rest = recordsFrom(decodeTelemetry(decompress(row), count), skipped);
  return {
    type: "batch",
    lane: "telemetry",
    firstSeq: afterSeq + 1,
    count: count - skipped,
    configSeq,
    ...compress(encodeTelemetry(rest)),
  };
}

/** Encoded items can be joined end to end, so that one frame carries many rows. */
function joinConfigRows(rows: readonly Row[], { itemsMax }: OutboxRead): readonly OutgoingBatch[] {
  const [first] = rows;
  if (first === undefined) return [];
  const taken = rows.slice(0, itemsMax);
  const parts = taken.map(decompress);
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return [
    { type: "batch", lane: "config", firstSeq: first.firstSeq, count: taken.length, configSeq: 0, ...compress(joined) },
  ];
}

async function settle(sql: Sql, lane: UplinkLane, { seq, rejections, nowMs }: Settled): Promise<void> {
  await sql.begin(async (tx) => {
    // A lost cursor is repeated by the next acknowledgements; only parked items need the disk at once.
    if (rejections.length === 0) await tx`set local synchronous_commit = off`;
    else await parkItems(tx, lane, { rejections, nowMs });
    await tx`
      insert into uplink_cursor (lane, acked_seq) values (${lane}, ${seq})
      on conflict (lane) do update set acked_seq = greatest(uplink_cursor.acked_seq, excluded.acked_seq)`;
  });
}

async function lowerCursors(
  sql: Sql,
  watermarks: readonly LaneWatermark[],
): Promise<Readonly<Record<UplinkLane, number>>> {
  const acked: Record<UplinkLane, number> = { config: 0, telemetry: 0 };
  for (const { lane, seq } of watermarks) {
    const [row] = await sql<{ acked: number }[]>`select acked_seq as acked from uplink_cursor where lane = ${lane}`;
    acked[lane] = Math.min(row?.acked ?? 0, seq);
    if ((row?.acked ?? 0) > seq) await sql`update uplink_cursor set acked_seq = ${seq} where lane = ${lane}`;
  }
  return acked;
}

async function mergeSmallRows(sql: Sql, aboveSeq: number): Promise<number | null> {
  const waiting = await readRows(sql, "telemetry", {
    afterSeq: aboveSeq,
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

function takeMergeable(waiting: readonly Row[], aboveSeq: number): readonly Row[] {
  const rows: Row[] = [];
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
  rows: readonly Row[],
  { first, last }: { readonly first: Row; readonly last: Row },
): Promise<void> {
  const columns = concatColumns(rows.map((row) => decodeTelemetry(decompress(row), row.lastSeq - row.firstSeq + 1)));
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
