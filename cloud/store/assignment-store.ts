import { and, eq, sql, type SQL } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { titleOf } from "../../shared/entities/entity-kinds.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { KindType } from "../../shared/entities/entity-types.ts";
import { lockEntity } from "../../shared/store/entity-store.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { checkAssign, checkUnassign } from "./assignment-rules.ts";
import type { EdgeEvent } from "./edge-event.ts";
import { addNeededOnEdge, dropUnneeded, keepNeeded, lockEdge } from "./edge-holdings.ts";
import { edge, edgeAssignment } from "./schema.ts";

// Which entity people put on which edge; what follows from that is in edge-holdings.ts. Assigning holds the entity's row against every
// writer until the commit: a change made at the same moment either is in what the edge gets, or sees the assignment and is sent after it.

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
 * Assigns an entity to an edge; what it needs goes first. Assigning what is assigned already changes nothing.
 *
 * @throws AppError NOT_FOUND for the entity, INVALID_ARGUMENT for the edge and for what may not go there
 */
export async function assignEntity(
  tx: Queryable,
  assignment: Assignment,
  { nowMs }: { readonly nowMs: number },
): Promise<AssignmentOutcome> {
  const { edgeId, type, entityId, tenantId } = assignment;
  // Side by side, here and below: a connection takes them in this order, and one answer is waited for instead of three.
  const [, record] = await Promise.all([
    keepEdge(tx, assignment),
    lockEntity(tx, { type, id: entityId, tenantId }),
    keepNeeded(tx, entityId),
  ]);
  await Promise.all([lockEdge(tx, edgeId), checkAssign(tx, { edgeId, record })]);
  const [isNew, needed] = await Promise.all([
    putAssignment(tx, assignment, nowMs),
    addNeededOnEdge(tx, { edgeId, entityId }, nowMs),
  ]);
  if (!isNew) return { result: record, events: needed };
  const event: EdgeEvent = { edgeId, type, entityId, action: "ASSIGNED_TO_EDGE", body: null };
  return { result: record, events: [...needed, event] };
}

/** False when it was assigned already; what only followed is assigned from now on. */
async function putAssignment(tx: Queryable, { edgeId, type, entityId }: Assignment, nowMs: number): Promise<boolean> {
  const rows = await tx
    .insert(edgeAssignment)
    .values({ edgeId, entityId, entityType: type, assignedMs: Math.round(nowMs) })
    .onConflictDoUpdate({
      target: [edgeAssignment.edgeId, edgeAssignment.entityId],
      set: { follows: false },
      setWhere: eq(edgeAssignment.follows, true),
    })
    .returning({ edgeId: edgeAssignment.edgeId });
  return rows.length === 1;
}

/** The row alone, for an entity that came from this very edge; what follows there already stays a follower. False when it was there. */
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
 * Ends an assignment; what nothing on the edge needs any more leaves with it. Unassigning what is not assigned changes nothing.
 *
 * @throws AppError NOT_FOUND for the entity, INVALID_ARGUMENT for what has to stay
 */
export async function unassignEntity(tx: Queryable, assignment: Assignment): Promise<AssignmentOutcome> {
  const { edgeId, type, entityId, tenantId } = assignment;
  const record = await lockEntity(tx, { type, id: entityId, tenantId });
  await lockEdge(tx, edgeId);
  await checkUnassign(tx, { edgeId, record });
  return { result: record, events: await endAssignment(tx, { edgeId, entityId }) };
}

/** It follows from now on, and leaves at once unless something needs it. Locks: the edge. */
export async function endAssignment(
  tx: Queryable,
  { edgeId, entityId }: { readonly edgeId: Uuid; readonly entityId: Uuid },
): Promise<EdgeEvent[]> {
  const rows = await tx
    .update(edgeAssignment)
    .set({ follows: true })
    .where(
      and(eq(edgeAssignment.edgeId, edgeId), eq(edgeAssignment.entityId, entityId), eq(edgeAssignment.follows, false)),
    )
    .returning({ edgeId: edgeAssignment.edgeId });
  return rows.length === 0 ? [] : dropUnneeded(tx, { edgeId, entityIds: [entityId] });
}

/** Whether it is on the edge: assigned, or because something there needs it. */
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
  return sql`exists (select from ${edgeAssignment} where ${edgeAssignment.edgeId} = ${edgeId}
    and ${edgeAssignment.entityId} = ${entity.id} and not ${edgeAssignment.follows})`;
}
