import { sql, type SQL } from "drizzle-orm";
import { isUuid, type Uuid } from "../../shared/core/ids.ts";
import { subjectOf, type Change, type EntityRef, type RelationSaved } from "../../shared/entities/change.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import {
  parseRelationRecord,
  relationAction,
  relationGroup,
  type RelationKey,
} from "../../shared/entities/relation.ts";
import { findRelation, loadRelationsOf, relationSaved } from "../../shared/store/relation-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEvent, EntityEvent } from "./edge-event.ts";

// Relations on their way to edges: an edge gets those of which it has both ends. What it gets when the second end comes to it, it gets
// with that end; what leaves with an end, leaves without a word.

export function relationEvent(change: RelationSaved): EntityEvent {
  const { from, to, type, typeGroup } = parseRelationRecord(change.body);
  return {
    type: "RELATION",
    entityId: from.id,
    action: relationAction(change),
    body: {
      from: { entityType: from.type, id: from.id },
      to: { entityType: to.type, id: to.id },
      type,
      typeGroup,
    },
    subjectId: subjectOf(change).id,
  };
}

/** What such a row says, as it is now; empty when an end is gone or not on the edge. */
export async function loadRelationChanges(db: Queryable, { body, edgeId }: EdgeEvent): Promise<Change[]> {
  const key = keyOf(body);
  const stored = key === null ? null : await findRelation(db, key);
  if (stored === null) return [];
  const areThere = await Promise.all([stored.from, stored.to].map((end) => isOnEdge(db, edgeId, end)));
  return areThere.every(Boolean) ? [relationSaved(stored)] : [];
}

/** Of an entity that comes to an edge, or is sent once more; `withRemoved`: also that relations were removed. */
export function loadRelationsOnEdge(
  db: Queryable,
  { edgeId, entityId, withRemoved }: { readonly edgeId: Uuid; readonly entityId: Uuid; readonly withRemoved: boolean },
): Promise<Change[]> {
  return loadRelationsOf(db, entityId, { condition: endsAreOn(edgeId), withRemoved });
}

/** Whether both ends of the row of `relation` are on the edge. */
export function endsAreOn(edgeId: Uuid): SQL {
  return sql`${endIsOn(edgeId, "from")} and ${endIsOn(edgeId, "to")}`;
}

export async function isOnEdge(db: Queryable, edgeId: Uuid, { type, id }: EntityRef): Promise<boolean> {
  const [row] = await db.execute<{ is_on: boolean }>(sql`
    select ${endIsOn(edgeId, "to")} as is_on from (values (${id}::uuid, ${type}::text)) as r (to_id, to_type)`);
  return row?.is_on === true;
}

/** Whether an end of the row is on the edge: assigned to it, or its tenant. */
function endIsOn(edgeId: Uuid, end: "from" | "to"): SQL {
  const [id, type] = [sql.raw(`${end}_id`), sql.raw(`${end}_type`)];
  return sql`(case ${type} when 'TENANT' then exists (select from edge g where g.id = ${edgeId}::uuid and g.tenant_id = ${id})
    else exists (select from edge_assignment a where a.edge_id = ${edgeId}::uuid and a.entity_id = ${id}) end)`;
}

function keyOf(body: EdgeEvent["body"]): RelationKey | null {
  const from = refOf(body?.["from"]);
  const to = refOf(body?.["to"]);
  const type = body?.["type"];
  const group = body?.["typeGroup"];
  if (from === null || to === null || typeof type !== "string") return null;
  return { from, to, type, typeGroup: relationGroup(typeof group === "string" ? group : null) };
}

function refOf(json: Json | undefined): EntityRef | null {
  if (typeof json !== "object" || json === null || !("entityType" in json)) return null;
  const { entityType, id } = json;
  return typeof entityType === "string" && typeof id === "string" && isUuid(id) ? { type: entityType, id } : null;
}
