import { and, eq, or, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns, selectRecords } from "../../shared/entities/telemetry-columns.ts";
import { databaseError, isDataError, sqlStateOf, UNIQUE_VIOLATION } from "../../shared/postgres/connect.ts";
import type { Refusal } from "../../shared/store/apply-items.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { entity } from "../../shared/store/tables.ts";
import { insertTelemetry, writeOlderTelemetry, writeTelemetry } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Batch, Rejection } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { createBatchRejections, createRejection } from "../../shared/sync/rejections.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { tagOfRecords } from "../../shared/wire/item-tag.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { tryDecode } from "../../shared/wire/try-decode.ts";
import { commitRange } from "./edge-session-store.ts";
import { edgeAssignment, edgePastAssignment } from "./schema.ts";
import { storeUplinkRejections } from "./uplink-rejections.ts";
import type { Uplink, UplinkOrigin } from "./uplink.ts";

export interface UplinkTelemetryDeps extends Pick<StoreDeps, "clock"> {
  /** Telemetry of these entities was committed; must not throw. @default nobody hears of it */
  readonly onTelemetry?: ((entityIds: readonly Uuid[]) => void) | undefined;
}

/** @returns the records refused for good */
export async function applyTelemetry(
  db: Queryable,
  deps: UplinkTelemetryDeps,
  { origin, batches }: Uplink,
): Promise<readonly Rejection[]> {
  const nowMs = deps.clock.nowMs();
  const rejections: Rejection[] = [];
  for (const run of openRuns(batches)) {
    if (run.columns === null) {
      rejections.push(...(await refuseUnreadable(db, { ...run, origin, nowMs })));
      continue;
    }
    const columns = concatColumns(run.columns);
    const { firstSeq } = run.first;
    const lastSeq = lastSeqOf(run.last);
    rejections.push(...(await writeWhatIsNew(db, { origin, firstSeq, lastSeq, columns, nowMs })));
    deps.onTelemetry?.(columns.entityIds);
  }
  return rejections;
}

/** Batches that follow each other, all of them readable, or one that isn't. */
type Run = { readonly first: Batch; last: Batch } & (
  | { readonly columns: TelemetryColumns[] }
  | { readonly columns: null; readonly reason: string }
);

function openRuns(batches: readonly Batch[]): readonly Run[] {
  const runs: Run[] = [];
  for (const batch of batches) {
    const decoded = tryDecode(() => decodeTelemetry(decompress(batch), batch.count));
    const run = runs.at(-1);
    if (!decoded.isReadable) runs.push({ first: batch, last: batch, columns: null, reason: decoded.reason });
    else if (run === undefined || run.columns === null)
      runs.push({ first: batch, last: batch, columns: [decoded.content] });
    else {
      run.columns.push(decoded.content);
      run.last = batch;
    }
  }
  return runs;
}

interface UnreadableBatch {
  readonly origin: UplinkOrigin;
  readonly first: Batch;
  readonly reason: string;
  readonly nowMs: number;
}

async function refuseUnreadable(
  db: Queryable,
  { origin, first: batch, reason, nowMs }: UnreadableBatch,
): Promise<readonly Rejection[]> {
  const rejections = createBatchRejections(batch, reason, origin.cloudVersion);
  await db.transaction(async (tx) => {
    await commitRange(tx, origin, { first: batch.firstSeq, last: lastSeqOf(batch) }, null);
    await storeUplinkRejections(tx, origin, { rejections, nowMs });
  });
  return rejections;
}

type NewTelemetry = Omit<TelemetryWork, "write" | "malformed">;

async function writeWhatIsNew(db: Queryable, work: NewTelemetry): Promise<readonly Rejection[]> {
  try {
    return await writeNewTelemetry(db, work);
  } catch (error) {
    if (!isDataError(error)) throw error;
    // A record that the database refuses, whatever the reason: found, so that it does not stop the lane.
    const malformed = malformedPositions(work.columns);
    return writeUplinkTelemetry(db, { ...work, malformed, write: writeWhatIsTaken });
  }
}

/** Records of a time that is there are rare: trying without looking for them first spares a third of the work. */
async function writeNewTelemetry(db: Queryable, work: NewTelemetry): Promise<readonly Rejection[]> {
  const writing = (isNew: boolean): Promise<readonly Rejection[]> => {
    const writeAll: WriteRecords = async (tx, records, merge) => {
      if (records.tsMs.length > 0) await (isNew ? insertTelemetry : merge)(runStatementIn(tx), records);
      return [];
    };
    return writeUplinkTelemetry(db, { ...work, malformed: [], write: writeAll });
  };
  try {
    return await writing(true);
  } catch (error) {
    if (sqlStateOf(error) !== UNIQUE_VIOLATION) throw error;
    return writing(false);
  }
}

/**
 * @param merge writes records of times that are there
 * @returns the records that were not written, with their position among those given
 */
type WriteRecords = (
  tx: Queryable,
  columns: TelemetryColumns,
  merge: typeof writeTelemetry,
) => Promise<readonly RefusedRecord[]>;

interface TelemetryWork {
  readonly write: WriteRecords;
  readonly origin: UplinkOrigin;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly columns: TelemetryColumns;
  readonly malformed: readonly number[];
  readonly nowMs: number;
}

interface RefusedRecord {
  readonly position: number;
  readonly text: string;
}

function writeUplinkTelemetry(db: Queryable, work: TelemetryWork): Promise<readonly Rejection[]> {
  const { columns, firstSeq, lastSeq, nowMs, origin } = work;
  const { cloudVersion } = origin;
  const count = columns.tsMs.length;
  return db.transaction(async (tx) => {
    const { newestSeq } = await commitRange(tx, origin, { first: firstSeq, last: lastSeq }, tagOfRecords(columns));
    // What a backlog brings is older than what came before it: the values that are there stay.
    const merge = newestSeq > lastSeq ? writeOlderTelemetry : writeTelemetry;
    const seqOf = (position: number): number => firstSeq + (columns.sparse?.offsets[position] ?? position);
    const refused = await findRejections(tx, work);
    const kept = refused.size === 0 ? null : positionsWithout(count, refused);
    const unwritten = await work.write(tx, kept === null ? columns : selectRecords(columns, kept), merge);
    for (const { position, text } of unwritten) {
      refused.set(kept?.[position] ?? position, { code: "INVALID_PAYLOAD", text });
    }
    const rejections = [...refused]
      .toSorted(([left], [right]) => left - right)
      .map(([position, refusal]) => createRejection(seqOf(position), refusal, cloudVersion));
    await storeUplinkRejections(tx, origin, { rejections, nowMs });
    return rejections;
  });
}

/** By position. */
async function findRejections(
  tx: Queryable,
  { origin, columns, malformed }: TelemetryWork,
): Promise<Map<number, Refusal>> {
  const refused = new Map<number, Refusal>();
  const writable = await findWritable(tx, origin, columns.entityIds);
  if (writable.size === columns.entityIds.length && malformed.length === 0) return refused;
  const bad = new Set(malformed);
  for (let position = 0; position < columns.tsMs.length; position += 1) {
    const entityId = columns.entityIds[columns.entityIndex[position] ?? -1];
    if (bad.has(position)) {
      refused.set(position, {
        code: "INVALID_PAYLOAD",
        text: "The values are not a JSON object, or the time is none",
      });
    } else if (entityId === undefined || !writable.has(entityId)) {
      refused.set(position, { code: "NOT_FOUND", text: `Entity ${String(entityId)} is not assigned to this edge` });
    }
  }
  return refused;
}

/** Halves what the database refuses until it is one record: at most two statements a record, in order. */
async function writeWhatIsTaken(
  tx: Queryable,
  columns: TelemetryColumns,
  merge: typeof writeTelemetry,
): Promise<readonly RefusedRecord[]> {
  const refused: RefusedRecord[] = [];
  const parts = [{ first: 0, count: columns.tsMs.length }];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { first, count } = part;
    const records = count === columns.tsMs.length ? columns : sliceRecords(columns, first, count);
    const failure = await tryToWrite(tx, records, merge);
    if (failure === null) continue;
    if (count === 1) {
      refused.push({ position: first, text: databaseError(failure).message });
      continue;
    }
    const half = Math.ceil(count / 2);
    parts.push({ first: first + half, count: count - half }, { first, count: half });
  }
  return refused;
}

/** @returns why the database refuses these records; null: they are written */
async function tryToWrite(tx: Queryable, columns: TelemetryColumns, merge: typeof writeTelemetry): Promise<unknown> {
  try {
    await tx.transaction((inner) => merge(runStatementIn(inner), columns));
    return null;
  } catch (error) {
    if (!isDataError(error)) throw error;
    return error;
  }
}

function sliceRecords(columns: TelemetryColumns, first: number, count: number): TelemetryColumns {
  return selectRecords(
    columns,
    Array.from({ length: count }, (_, index) => first + index),
  );
}

/** Entities that are on the edge, or were: it may have measured before it heard that they left. */
async function findWritable(tx: Queryable, origin: UplinkOrigin, ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
  const on = (table: typeof edgeAssignment | typeof edgePastAssignment) =>
    sql`exists (select from ${table} where ${table.edgeId} = ${origin.edgeId} and ${table.entityId} = ${entity.id})`;
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, origin.tenantId),
        sql`${entity.id} = any(${arrayParam(ids, "uuid")})`,
        or(on(edgeAssignment), on(edgePastAssignment)),
      ),
    );
  return new Set(rows.map((row) => row.id as Uuid)); // the column holds uuids
}

function malformedPositions(columns: TelemetryColumns): readonly number[] {
  const positions: number[] = [];
  for (const [position, line] of columns.values.split("\n").entries()) {
    if (!isStorableObject(line) || !Number.isSafeInteger(columns.tsMs[position])) positions.push(position);
  }
  return positions;
}

/** What PostgreSQL takes as jsonb object. */
function isStorableObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return (
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      !text.includes("\\u0000") &&
      text.isWellFormed()
    );
  } catch {
    return false;
  }
}

function positionsWithout(count: number, refused: ReadonlyMap<number, unknown>): readonly number[] {
  return Array.from({ length: count }, (_, position) => position).filter((position) => !refused.has(position));
}
