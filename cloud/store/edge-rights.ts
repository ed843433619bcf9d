import { and, eq } from "drizzle-orm";
import type { EntityRemoved, EntitySaved } from "../../shared/entities/change.ts";
import { ENTITY_KINDS, findKind } from "../../shared/entities/entity-kinds.ts";
import { parseEntityRecord } from "../../shared/entities/entity-record-schema.ts";
import { KIND_TYPES, type KindType } from "../../shared/entities/entity-types.ts";
import { applied, orRejected, rejected, type ApplyResult, type EditConflict } from "../../shared/store/apply-result.ts";
import { entitySaved, lockEntityIfThere, replaceEntity } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { edgeNotFound, type EdgeKey } from "./edge-store.ts";
import { edge } from "./schema.ts";

// What an edge may change in the cloud beside telemetry and attributes, and what it means when it deletes something: settings of the edge.

/** UNASSIGN: what is deleted on the edge only leaves it. */
export const DELETE_MEANINGS = ["DELETE", "UNASSIGN"] as const;

export interface EdgeRights {
  /** Kinds that it makes, changes and deletes. */
  readonly changes: readonly KindType[];
  readonly deletes: (typeof DELETE_MEANINGS)[number];
}

export const CHANGEABLE_TYPES: readonly KindType[] = KIND_TYPES.filter((type) => ENTITY_KINDS[type].isMadeOnEdges);

const ALL_RIGHTS: EdgeRights = { changes: CHANGEABLE_TYPES, deletes: "DELETE" };

/** Of an edge that is gone: all; nothing of it is applied anyway. */
export async function readEdgeRights(db: Queryable, edgeId: string): Promise<EdgeRights> {
  const [row] = await db.select({ rights: edge.rights }).from(edge).where(eq(edge.id, edgeId));
  return (row?.rights ?? ALL_RIGHTS) as EdgeRights; // written by saveEdgeRights only
}

/** @throws AppError NOT_FOUND */
export async function saveEdgeRights(db: Queryable, key: EdgeKey, rights: EdgeRights): Promise<void> {
  const rows = await db
    .update(edge)
    .set({ rights })
    .where(and(eq(edge.id, key.id), eq(edge.tenantId, key.tenantId)))
    .returning({ id: edge.id });
  if (rows.length === 0) throw edgeNotFound(key.id);
}

export function mayChange({ changes }: EdgeRights, type: string): boolean {
  return findKind(type) === null || (changes as readonly string[]).includes(type);
}

/** What is there stays, with a version above the edge's, so that the edge takes it; what is new is refused. */
export function undoEdit(tx: Queryable, change: EntitySaved): Promise<ApplyResult> {
  return orRejected(async () => {
    const sent = parseEntityRecord(change.body);
    const stored = await lockEntityIfThere(tx, change.entity.id);
    if (stored === null) {
      const text = `This edge may not make entities of type ${change.entity.type}`;
      return rejected("PERMISSION_DENIED", text);
    }
    const kept = stored.version > sent.version ? stored : { ...stored, version: sent.version + 1 };
    if (kept !== stored) await replaceEntity(tx, kept);
    const effects = kept === stored ? [] : [entitySaved(kept)];
    return applied(effects, [entitySaved(kept)], [notAllowed(change.entity, stored.name)]);
  });
}

/** Nothing happens here; the edge has to be sent it again. */
export async function undoRemoval(tx: Queryable, { entity }: EntityRemoved): Promise<ApplyResult> {
  const stored = await lockEntityIfThere(tx, entity.id);
  return applied([], [], stored === null ? [] : [notAllowed(entity, stored.name)]);
}

function notAllowed(entity: EntitySaved["entity"], name: string): EditConflict {
  return { entity, name, kind: "not-allowed", fields: [] };
}
