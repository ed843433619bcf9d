import { and, eq, sql, type SQL } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { ENTITY_KINDS, titleOf } from "../../shared/entities/entity-kinds.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { KindType } from "../../shared/entities/entity-types.ts";
import { lockEntity } from "../../shared/store/entity-store.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEvent } from "./downlink-store.ts";
import { edge, edgeAssignment, edgePastAssignment } from "./schema.ts";

// Which entity is on which edge. Assigning holds the entity's row against every writer until the commit: a change made at the same
// moment either is in what the edge gets, or sees the assignment and is sent after it.

export interface Assignment {
  readonly edgeId: Uuid;
  readonly tenantId: Uuid;
  readonly type: KindType;
  readonly entityId: Uuid;
}

export interface AssignmentOutcome {
  readonly result: EntityRecord;
  readonly events: readonly EdgeEvent[];
}

/**
 * Assigns an entity to an edge; its profile goes first. Assigning what is assigned already changes nothing.
 *
 * @throws AppError NOT_FOUND for the entity, INVALID_ARGUMENT for the edge
 */
export async function assignEntity(
  tx: Queryable,
  assignment: Assignment,
  { nowMs }: { readonly nowMs: number },
): Promise<AssignmentOutcome> {
  const { edgeId, type, entityId } = assignment;
  await keepEdge(tx, assignment);
  const record = await lockEntity(tx, { type, id: entityId, tenantId: assignment.tenantId });
  const isNew = await addAssignment(tx, { edgeId, type, entityId }, { nowMs });
  if (!isNew) return { result: record, events: [] };
  const events: EdgeEvent[] = [{ edgeId, type, entityId, action: "ASSIGNED_TO_EDGE", body: null }];
  const { profileType } = ENTITY_KINDS[type];
  if (record.profileId !== null && profileType !== null) {
    await tx.select({ id: entity.id }).from(entity).where(eq(entity.id, record.profileId)).for("share");
    events.unshift({ edgeId, type: profileType, entityId: record.profileId, action: "ADDED", body: null });
  }
  return { result: record, events };
}

/** The row alone, for an entity that came from this very edge. False when it was there. */
export async function addAssignment(
  tx: Queryable,
  { edgeId, type, entityId }: Omit<Assignment, "tenantId">,
  { nowMs }: { readonly nowMs: number },
): Promise<boolean> {
  const rows = await tx
    .insert(edgeAssignment)
    .values({ edgeId, entityId, entityType: type, assignedMs: nowMs })
    .onConflictDoNothing()
    .returning({ edgeId: edgeAssignment.edgeId });
  return rows.length === 1;
}

/** The edge may not go until the commit. */
async function keepEdge(tx: Queryable, { edgeId, tenantId, type }: Assignment): Promise<void> {
  const rows = await tx
    .select({ tenantId: edge.tenantId })
    .from(edge)
    .where(and(eq(edge.id, edgeId), eq(edge.tenantId, tenantId)))
    .for("key share");
  if (rows.length > 0) return;
  // One text for an edge of another tenant and for none: who asks must not learn which ids exist.
  throw new AppError("INVALID_ARGUMENT", `Can't assign ${titleOf(type).toLowerCase()} to non-existent edge!`);
}

/**
 * Ends an assignment; unassigning what is not assigned changes nothing.
 *
 * @throws AppError NOT_FOUND for the entity
 */
export async function unassignEntity(tx: Queryable, assignment: Assignment): Promise<AssignmentOutcome> {
  const { edgeId, type, entityId, tenantId } = assignment;
  const record = await lockEntity(tx, { type, id: entityId, tenantId });
  const wasAssigned = await removeAssignment(tx, { edgeId, entityId });
  const event: EdgeEvent = { edgeId, type, entityId, action: "UNASSIGNED_FROM_EDGE", body: null };
  return { result: record, events: wasAssigned ? [event] : [] };
}

/** The rows alone: what the edge measured before it hears of it is still taken. False when it was not assigned. */
export async function removeAssignment(
  tx: Queryable,
  { edgeId, entityId }: { readonly edgeId: Uuid; readonly entityId: Uuid },
): Promise<boolean> {
  const rows = await tx
    .delete(edgeAssignment)
    .where(and(eq(edgeAssignment.edgeId, edgeId), eq(edgeAssignment.entityId, entityId)))
    .returning({ edgeId: edgeAssignment.edgeId });
  if (rows.length === 0) return false;
  const endedMs = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`;
  await tx.insert(edgePastAssignment).values({ edgeId, entityId, endedMs }).onConflictDoNothing();
  return true;
}

export async function isAssigned(
  db: Queryable,
  { edgeId, entityId }: { readonly edgeId: Uuid; readonly entityId: Uuid },
): Promise<boolean> {
  const rows = await db
    .select({ edgeId: edgeAssignment.edgeId })
    .from(edgeAssignment)
    .where(and(eq(edgeAssignment.edgeId, edgeId), eq(edgeAssignment.entityId, entityId)));
  return rows.length > 0;
}

/** For listEntities: only what is assigned to this edge. */
export function assignedTo(edgeId: Uuid): SQL {
  return sql`exists (select from ${edgeAssignment} where ${edgeAssignment.edgeId} = ${edgeId} and ${edgeAssignment.entityId} = ${entity.id})`;
}
