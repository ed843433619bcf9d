import { and, eq, inArray } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, ChangeItem } from "../../shared/entities/change.ts";
import { isAssignableType } from "../../shared/entities/entity-types.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns, selectRecords } from "../../shared/entities/telemetry-columns.ts";
import { databaseError, sqlStateOf } from "../../shared/postgres/connect.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { entity } from "../../shared/store/tables.ts";
import { writeTelemetry } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Batch, Rejection } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { recordChanges, recordEvents, toEvent } from "./downlink-store.ts";
import type { UplinkPosition } from "./edge-session-store.ts";
import { moveWatermark } from "./edge-session-store.ts";
import { edgeAssignment } from "./schema.ts";

// What arrives from edges: one transaction per apply { effects, downlinks that follow from them, watermark }.

export interface UplinkOrigin extends UplinkPosition {
  readonly tenantId: Uuid;
  readonly edgeName: string;
}

export interface Uplink {
  readonly origin: UplinkOrigin;
  /** In order, without a gap, at least one. */
  readonly batches: readonly Batch[];
}

export interface AppliedUplink {
  readonly rejections: readonly Rejection[];
  /** Edges that have new downlinks because of it. */
  readonly edgeIds: readonly Uuid[];
}

/** @throws AppError SESSION_FENCED, PROTOCOL_ERROR, DATABASE_UNAVAILABLE; nothing is applied then */
export async function applyUplink(db: Queryable, deps: StoreDeps, uplink: Uplink): Promise<AppliedUplink> {
  try {
    return uplink.origin.lane === "telemetry" ? await applyTelemetry(db, uplink) : await applyItems(db, deps, uplink);
  } catch (error) {
    throw databaseError(error);
  }
}

async function applyItems(db: Queryable, deps: StoreDeps, { origin, batches }: Uplink): Promise<AppliedUplink> {
  return db.transaction(async (tx) => {
    const rejections: Rejection[] = [];
    const effects: Change[] = [];
    const followUps: Change[] = [];
    for (const batch of batches) {
      await moveWatermark(tx, origin, { from: batch.firstSeq - 1, to: lastSeqOf(batch) });
      for (const [index, item] of decodeItems(decompress(batch), batch.count).entries()) {
        const rejection = await applyItem(tx, deps, { origin, item, effects, followUps });
        if (rejection !== null) rejections.push({ seq: batch.firstSeq + index, ...rejection });
      }
    }
    await assignToOrigin(tx, origin.edgeId, effects, deps.clock.nowMs());
    const nowMs = Math.round(deps.clock.nowMs());
    const others = await recordChanges(tx, effects, { nowMs, excludeEdgeId: origin.edgeId });
    const answers = followUps.map((change) => ({ edgeId: origin.edgeId, ...toEvent(change) }));
    const told = await recordEvents(tx, answers, { nowMs });
    return { rejections, edgeIds: [...new Set([...others, ...told])] };
  });
}

interface ItemWork {
  readonly origin: UplinkOrigin;
  readonly item: ChangeItem;
  readonly effects: Change[];
  readonly followUps: Change[];
}

async function applyItem(
  tx: Queryable,
  deps: StoreDeps,
  work: ItemWork,
): Promise<{ readonly code: string; readonly text: string } | null> {
  const { origin, item, effects, followUps } = work;
  if (item.unknown > 0) {
    return { code: "UNSUPPORTED_ITEM", text: `${item.unknown} changes are of a kind that this cloud does not know` };
  }
  const context = {
    from: "edge",
    tenantId: origin.tenantId,
    edgeName: origin.edgeName,
    changedMs: item.changedMs,
  } as const;
  for (const change of item.changes) {
    const result = await applyChange(tx, deps, { change, context });
    if (result.kind === "rejected") return { code: result.code, text: result.text };
    effects.push(...result.effects);
    followUps.push(...result.followUps);
  }
  return null;
}

/** What was made on an edge belongs to it. */
async function assignToOrigin(tx: Queryable, edgeId: Uuid, effects: readonly Change[], nowMs: number): Promise<void> {
  const rows = effects.flatMap(({ kind, entity: { id, type } }) =>
    kind === "entity-saved" && isAssignableType(type)
      ? [{ edgeId, entityId: id, entityType: type, assignedMs: Math.round(nowMs) }]
      : [],
  );
  if (rows.length > 0) await tx.insert(edgeAssignment).values(rows).onConflictDoNothing();
}

async function applyTelemetry(db: Queryable, { origin, batches }: Uplink): Promise<AppliedUplink> {
  const columns = concatColumns(batches.map((batch) => decodeTelemetry(decompress(batch), batch.count)));
  try {
    return await writeUplinkTelemetry(db, { origin, batches, columns, malformed: [] });
  } catch (error) {
    // Class 22: a value that is no JSON, which no edge of ours sends. Find it, so that it does not stop the lane.
    if (!sqlStateOf(error)?.startsWith("22")) throw error;
    const malformed = malformedPositions(columns);
    if (malformed.length === 0) throw error;
    return writeUplinkTelemetry(db, { origin, batches, columns, malformed });
  }
}

interface TelemetryWork {
  readonly origin: UplinkOrigin;
  readonly batches: readonly Batch[];
  readonly columns: TelemetryColumns;
  readonly malformed: readonly number[];
}

async function writeUplinkTelemetry(
  db: Queryable,
  { origin, batches, columns, malformed }: TelemetryWork,
): Promise<AppliedUplink> {
  const firstSeq = batches[0]?.firstSeq ?? 1;
  return db.transaction(async (tx) => {
    await moveWatermark(tx, origin, { from: firstSeq - 1, to: firstSeq + columns.tsMs.length - 1 });
    const known = await knownEntities(tx, origin.tenantId, columns.entityIds);
    const bad = new Set(malformed);
    const rejections: Rejection[] = [];
    if (known.size < columns.entityIds.length || bad.size > 0) {
      for (let position = 0; position < columns.tsMs.length; position += 1) {
        const entityId = columns.entityIds[columns.entityIndex[position] ?? -1];
        const seq = firstSeq + position;
        if (bad.has(position))
          rejections.push({ seq, code: "INVALID_PAYLOAD", text: "The values are not a JSON object" });
        else if (entityId === undefined || !known.has(entityId)) {
          rejections.push({ seq, code: "NOT_FOUND", text: `Entity ${String(entityId)} is not found` });
        }
      }
    }
    const refused = new Set(rejections.map(({ seq }) => seq - firstSeq));
    const accepted =
      refused.size === 0 ? columns : selectRecords(columns, positionsWithout(columns.tsMs.length, refused));
    await writeTelemetry(runStatementIn(tx), accepted);
    return { rejections, edgeIds: [] };
  });
}

async function knownEntities(tx: Queryable, tenantId: Uuid, ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), inArray(entity.id, [...ids])));
  return new Set(rows.map((row) => row.id as Uuid)); // the column holds uuids
}

function malformedPositions(columns: TelemetryColumns): readonly number[] {
  const positions: number[] = [];
  for (const [position, line] of columns.values.split("\n").entries()) {
    if (!isStorableObject(line)) positions.push(position);
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
