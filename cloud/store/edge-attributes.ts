import { sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { attributesSaved, readAttributeRows, SENT_EDGE_SCOPES } from "../../shared/store/attribute-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEvent, EntityEvent } from "./edge-event.ts";

// Attributes that people set of an edge go to that edge, which nobody has to assign to itself. They are changed in the cloud alone.

export function isOfEdgeItself({ type }: Pick<EntityEvent, "type">): boolean {
  return type === "EDGE";
}

/** For SQL beside `followersOf`: the edges that events about edges are for; `change` gives the events. */
export function edgesThemselves(exclude: SQL): SQL {
  return sql`union all
    select a.edge_id, c.type, c.action, c.entity_id, c.body, c.position
    from change c cross join lateral (select g.id as edge_id from edge g where g.id = c.entity_id) as a
    where c.type = 'EDGE' and ${exclude}`;
}

/** All attributes of the edge; of a scope without any it is said that it has none, which a repair asks for. */
export async function loadEdgeAttributes(db: Queryable, { edgeId, entityId, type }: EdgeEvent): Promise<Change[]> {
  if (edgeId !== entityId) return [];
  const rows = await readAttributeRows(db, { entityId, scopes: SENT_EDGE_SCOPES });
  return SENT_EDGE_SCOPES.map((scope) =>
    attributesSaved(
      { type, id: entityId },
      scope,
      rows.filter((row) => row.scope === scope),
    ),
  );
}

/** For SQL: a row of the edge's id when it has attributes. */
export function edgeWithAttributes(edgeId: Uuid): SQL {
  return sql`select ${edgeId}::uuid as edge_id where exists (select from attribute t
    where t.entity_id = ${edgeId}::uuid and t.scope = any(${arrayParam(SENT_EDGE_SCOPES, "text")}))`;
}
