import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { GapReason, TelemetryGap } from "../../shared/entities/change.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { thinRecords } from "../../shared/entities/telemetry-columns.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { Compressed } from "../../shared/wire/compression.ts";
import { compress } from "../../shared/wire/compression.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { tryDecode } from "../../shared/wire/try-decode.ts";
import { saveGaps } from "./gap-store.ts";
import { openTelemetry } from "./outbox-frames.ts";
import type { Outbox } from "./outbox.ts";
import { timesOf } from "./outbox.ts";

// Removes unsent telemetry when the disk is full. A row keeps its sequence numbers and has fewer records, so that the lane goes on
// without a gap in its numbers; what is gone is noted per device and sent to the cloud, in the same transaction.

const ACTIONS = { thinned: "TIMESERIES_THINNED", dropped: "TIMESERIES_DROPPED" } as const satisfies Record<
  GapReason,
  string
>;
/** Rows in one transaction. Their gaps travel as one item. */
const ROWS_AT_ONCE = 64;
const BYTES_AT_ONCE = 1_048_576;

export interface RemovalDeps {
  readonly sql: Sql;
  readonly outbox: Pick<Outbox, "betweenReads">;
  /** The one writer. */
  readonly unitOfWork: UnitOfWork;
  readonly clock: { nowMs(): number; yield(): Promise<void> };
}

export interface RemovalRange {
  /** Rows that begin above this sequence and below `belowSeq`. */
  readonly aboveSeq: number;
  readonly belowSeq: number;
  /** Enough is removed when payloads are smaller by this. */
  readonly bytesWanted: number;
}

export interface Removed {
  readonly records: number;
  readonly bytes: number;
}

interface Row extends Compressed {
  readonly firstSeq: number;
  readonly lastSeq: number;
}

interface Reduced {
  readonly row: Row;
  readonly after: Compressed;
  readonly tsMinMs: number | null;
  readonly tsMaxMs: number | null;
}

/**
 * Thins or drops the oldest rows of a range that were not yet. `thinned`: of the records of one device with the same keys every second
 * one stays; `dropped`: none. Rows that were read to be sent stay as they are. Only for what was sent before a restart of the edge,
 * and whose acknowledgement was lost, may a gap name a record that arrived; never is one missing that no gap names.
 */
export async function removeRecords(deps: RemovalDeps, reason: GapReason, range: RemovalRange): Promise<Removed> {
  let records = 0;
  let bytes = 0;
  for (let { aboveSeq } = range; bytes < range.bytesWanted;) {
    const rows = await readRows(deps.sql, reason, { ...range, aboveSeq });
    const last = rows.at(-1);
    if (last === undefined) break;
    const removed = await reduceRows(deps, reason, rows);
    records += removed.records;
    bytes += removed.bytes;
    aboveSeq = last.firstSeq;
  }
  return { records, bytes };
}

function readRows(sql: Sql, reason: GapReason, { aboveSeq, belowSeq }: RemovalRange): Promise<readonly Row[]> {
  const done = reason === "thinned" ? [ACTIONS.thinned, ACTIONS.dropped] : [ACTIONS.dropped];
  return sql<Row[]>`
    select "firstSeq", "lastSeq", compression, payload from (
      select first_seq as "firstSeq", last_seq as "lastSeq", compression, payload,
        sum(octet_length(payload)) over (order by first_seq) - octet_length(payload) as before
      from (
        select * from cloud_event
        where lane = 'telemetry' and first_seq > ${aboveSeq} and first_seq < ${belowSeq} and action not in ${sql(done)}
        order by first_seq limit ${ROWS_AT_ONCE}
      ) as waiting
    ) as summed
    where before < ${BYTES_AT_ONCE} order by "firstSeq"`;
}

function reduceRows(deps: RemovalDeps, reason: GapReason, rows: readonly Row[]): Promise<Removed> {
  return deps.outbox.betweenReads(async (wasRead) => {
    const gaps = new Map<Uuid, TelemetryGap>();
    const reduced: Reduced[] = [];
    for (const row of rows) {
      if (wasRead(row.firstSeq, row.lastSeq)) continue;
      // Decoding some thousand records takes some ms, for which devices would wait.
      await deps.clock.yield();
      const opened = tryDecode(() => openTelemetry(row));
      if (!opened.isReadable) continue;
      const columns = opened.content;
      const keep = reason === "thinned" ? everySecond(columns) : [];
      noteGaps(gaps, { columns, keep, reason });
      const kept = thinRecords(columns, keep);
      const after = compress(encodeTelemetry({ ...kept, ...(keep.length === 0 ? { entityIds: [] } : {}) }));
      reduced.push({ row, after, ...timesOf(kept) });
    }
    if (reduced.length === 0) return { records: 0, bytes: 0 };
    await replaceRows(deps, reason, { reduced, gaps: [...gaps.values()] });
    return {
      records: [...gaps.values()].reduce((sum, gap) => sum + gap.records, 0),
      bytes: reduced.reduce((sum, { after, row }) => sum + row.payload.length - after.payload.length, 0),
    };
  });
}

/** Positions of the first, third, fifth, … record of each device and set of keys. */
function everySecond({ entityIds, entityIndex, keySet, tsMs }: TelemetryColumns): readonly number[] {
  const isOdd = new Map<number, boolean>();
  const keep: number[] = [];
  for (let position = 0; position < tsMs.length; position += 1) {
    const series = (keySet[position] ?? 0) * entityIds.length + (entityIndex[position] ?? 0);
    const keeps = !(isOdd.get(series) ?? false);
    isOdd.set(series, keeps);
    if (keeps) keep.push(position);
  }
  return keep;
}

interface RowRemoval {
  readonly columns: TelemetryColumns;
  readonly keep: readonly number[];
  readonly reason: GapReason;
}

function noteGaps(gaps: Map<Uuid, TelemetryGap>, { columns, keep, reason }: RowRemoval): void {
  const kept = new Set(keep);
  for (const [position, tsMs] of columns.tsMs.entries()) {
    const id = columns.entityIds[columns.entityIndex[position] ?? -1];
    if (kept.has(position) || id === undefined) continue;
    const gap = gaps.get(id);
    gaps.set(id, {
      kind: "telemetry-gap",
      entity: { type: "DEVICE", id },
      fromMs: Math.min(gap?.fromMs ?? tsMs, tsMs),
      toMs: Math.max(gap?.toMs ?? tsMs, tsMs),
      records: (gap?.records ?? 0) + 1,
      reason,
    });
  }
}

const REPLACE_ROW = `
  update cloud_event set action = $3, compression = $4, payload = $5, ts_min_ms = $6, ts_max_ms = $7
  where lane = 'telemetry' and first_seq = $1 and last_seq = $2 returning 1`;

function replaceRows(
  { clock, unitOfWork }: RemovalDeps,
  reason: GapReason,
  { reduced, gaps }: { readonly reduced: readonly Reduced[]; readonly gaps: readonly TelemetryGap[] },
): Promise<void> {
  return unitOfWork.run(async (tx) => {
    const run = runStatementIn(tx);
    for (const { row, after, tsMinMs, tsMaxMs } of reduced) {
      const { firstSeq, lastSeq } = row;
      const parameters = [firstSeq, lastSeq, ACTIONS[reason], after.compression, after.payload, tsMinMs, tsMaxMs];
      const found = (await run(REPLACE_ROW, parameters)) as readonly unknown[]; // the driver's list of rows
      // Merged or transferred and dropped meanwhile: nothing is removed, and the next round looks again.
      if (found.length === 0)
        throw new AppError("INTERNAL", `Row ${firstSeq} of the outbox changed`, { retryable: true });
    }
    await saveGaps(tx, gaps, Math.round(clock.nowMs()));
    return { result: undefined, changes: gaps };
  });
}
