import { and, asc, eq, inArray } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { EntityRef } from "../../shared/entities/change.ts";
import type { StoredRelation } from "../../shared/entities/relation.ts";
import type { RelationFilter } from "../../shared/store/relation-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { edge, edgeAssignment, tenant } from "./schema.ts";

// What only the cloud knows by kind and id: edges, tenants, and what is on which edge.

/** Names of the tenant's edges and of the tenant. */
export async function readCloudNames(
  db: Queryable,
  refs: readonly EntityRef[],
  tenantId: Uuid,
): Promise<ReadonlyMap<Uuid, string>> {
  const idsOf = (type: string): Uuid[] => refs.filter((ref) => ref.type === type).map(({ id }) => id);
  const [edges, tenants] = await Promise.all([
    db
      .select({ id: edge.id, name: edge.name })
      .from(edge)
      .where(and(inArray(edge.id, idsOf("EDGE")), eq(edge.tenantId, tenantId))),
    db
      .select({ id: tenant.id, name: tenant.title })
      .from(tenant)
      .where(and(inArray(tenant.id, idsOf("TENANT")), eq(tenant.id, tenantId))),
  ]);
  return new Map([...edges, ...tenants].map(({ id, name }) => [id as Uuid, name]));
}

/** The convention shows an assignment as a relation from the edge. */
export async function findAssignmentRelations(
  db: Queryable,
  tenantId: Uuid,
  { from, to, type = "Contains" }: RelationFilter,
): Promise<StoredRelation[]> {
  if (type !== "Contains" || (from !== undefined && from.type !== "EDGE")) return [];
  const rows = await db
    .select({ assignment: edgeAssignment })
    .from(edgeAssignment)
    .innerJoin(edge, and(eq(edge.id, edgeAssignment.edgeId), eq(edge.tenantId, tenantId)))
    .where(
      and(
        // What only follows nobody has put there.
        eq(edgeAssignment.follows, false),
        from === undefined ? undefined : eq(edgeAssignment.edgeId, from.id),
        to === undefined ? undefined : eq(edgeAssignment.entityId, to.id),
      ),
    )
    .orderBy(asc(edgeAssignment.edgeId), asc(edgeAssignment.entityId));
  return rows.map(({ assignment }) => ({
    from: { type: "EDGE", id: assignment.edgeId as Uuid },
    to: { type: assignment.entityType, id: assignment.entityId as Uuid },
    type,
    typeGroup: "EDGE",
    additionalInfo: null,
    isRemoved: false,
    updatedMs: assignment.assignedMs,
    version: 1,
  }));
}
