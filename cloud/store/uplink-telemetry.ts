import { and, eq, or, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns, selectRecords } from "../../shared/entities/telemetry-columns.ts";
import { sqlStateOf, UNIQUE_VIOLATION } from "../../shared/postgres/connect.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import { entity } from "../../shared/store/tables.ts";
import { insertTelemetry, writeTelemetry } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Batch, Rejection } from "../../shared/sync/frames.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { moveWatermark } from "./edge-session-store.ts";
import { edgeAssignment, edgePastAssignment } from "./schema.ts";
import type { Uplink, UplinkOrigin } from "./uplink.ts";

/** @returns the records refused for good */
export async function applyTelemetry(db: Queryable, { origin, batches }: Uplink): Promise<readonly Rejection[]> {
  const columns = concatColumns(batches.map((batch) => decodeTelemetry(decompress(batch), batch.count)));
  try {
    return await writeNewTelemetry(db, { origin, batches, columns, malformed: [] });
  } catch (error) {
    // Class 22: a value that is no JSON, which no edge of ours sends. Find it, so that it does not stop the lane.
    if (!sqlStateOf(error)?.startsWith("22")) throw error;
    const malformed = malformedPositions(columns);
    if (malformed.length === 0) throw error;
    return writeUplinkTelemetry(db, { origin, batches, columns, malformed, write: writeTelemetry });
  }
}

/** Records of a time that is there are rare: trying without looking for them first spares a third of the work. */
async function writeNewTelemetry(db: Queryable, work: Omit<TelemetryWork, "write">): Promise<readonly Rejection[]> {
  try {
    return await writeUplinkTelemetry(db, { ...work, write: insertTelemetry });
  } catch (error) {
    if (sqlStateOf(error) !== UNIQUE_VIOLATION) throw error;
    return writeUplinkTelemetry(db, { ...work, write: writeTelemetry });
  }
}

interface TelemetryWork {
  readonly write: typeof writeTelemetry;
  readonly origin: UplinkOrigin;
  readonly batches: readonly Batch[];
  readonly columns: TelemetryColumns;
  readonly malformed: readonly number[];
}

function writeUplinkTelemetry(db: Queryable, work: TelemetryWork): Promise<readonly Rejection[]> {
  const { origin, columns } = work;
  const firstSeq = work.batches[0]?.firstSeq ?? 1;
  return db.transaction(async (tx) => {
    await moveWatermark(tx, origin, { from: firstSeq - 1, to: firstSeq + columns.tsMs.length - 1 });
    const rejections = await findRejections(tx, work, firstSeq);
    const refused = new Set(rejections.map(({ seq }) => seq - firstSeq));
    const accepted =
      refused.size === 0 ? columns : selectRecords(columns, positionsWithout(columns.tsMs.length, refused));
    await work.write(runStatementIn(tx), accepted);
    return rejections;
  });
}

async function findRejections(
  tx: Queryable,
  { origin, columns, malformed }: TelemetryWork,
  firstSeq: number,
): Promise<readonly Rejection[]> {
  const writable = await findWritable(tx, origin, columns.entityIds);
  if (writable.size === columns.entityIds.length && malformed.length === 0) return [];
  const bad = new Set(malformed);
  const rejections: Rejection[] = [];
  for (let position = 0; position < columns.tsMs.length; position += 1) {
    const entityId = columns.entityIds[columns.entityIndex[position] ?? -1];
    const seq = firstSeq + position;
    if (bad.has(position)) {
      rejections.push({ seq, code: "INVALID_PAYLOAD", text: "The values are not a JSON object, or the time is none" });
    } else if (entityId === undefined || !writable.has(entityId)) {
      rejections.push({ seq, code: "NOT_FOUND", text: `Entity ${String(entityId)} is not assigned to this edge` });
    }
  }
  return rejections;
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

function positionsWithout(count: number, refused: ReadonlySet<number>): readonly number[] {
  return Array.from({ length: count }, (_, position) => position).filter((position) => !refused.has(position));
}
