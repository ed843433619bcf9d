import { sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { KIND_TYPES } from "../../shared/entities/entity-types.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEvent } from "./edge-event.ts";
import { linkNameOf, NAMED_FILES } from "./link-needs.ts";
import { IS_PROVISIONING_HOLDING, provisioningHoldings } from "./provisioning-profiles.ts";

// What is on an edge, a row of edge_assignment each: what people or the edge itself put there, and what follows (`follows`) because
// something there needs it: its profile, its customer, what its kind says (references in shared/entities/entity-kind.ts), and the customer
// of the edge, and files of the tenant or the system that it names (resource-links.ts). A follower leaves with the last that needs it.
//
// Whoever changes what an edge holds has its row in edge_sync locked from before it looks until the commit, so that no two of them miss
// each other; entities are locked before edges, and edges in the order of their ids. References make no circles.

/** Longest way from what was assigned to what follows: entity, profile, rule chain, rule chain, … */
const DEPTH_MAX = 100;

/** What the entity `e` needs. */
const NEEDS = sql`lateral (
  select e.profile_id where e.profile_id is not null
  union all select e.customer_id where e.customer_id is not null
  union all select unnest(e.refers_to)
  union all ${NAMED_FILES}
) as next (id)`;

/** What `seed` gives, edge_id and id, with all that follows from it. */
function closureOf(seed: SQL): SQL {
  return sql`needed (edge_id, id) as (
    ${seed}
    union
    select n.edge_id, next.id from needed n join entity e on e.id = n.id cross join ${NEEDS}
  )`;
}

export async function lockEdge(tx: Queryable, edgeId: Uuid): Promise<void> {
  await tx.execute(sql`select from edge_sync where edge_id = ${edgeId}::uuid for update`);
}

/** Locks every edge on which one of these entities is. */
export async function lockHolders(tx: Queryable, entityIds: readonly Uuid[]): Promise<void> {
  await tx.execute(sql`
    select from edge_sync s
    where s.edge_id in (select a.edge_id from edge_assignment a where a.entity_id = any(${arrayParam(entityIds, "uuid")}))
    order by s.edge_id for update`);
}

/** Keeps the entity and all that it needs from being changed until the commit. */
export async function keepNeeded(tx: Queryable, entityId: Uuid): Promise<void> {
  // What was waited for may need more than before.
  for (let known = 0, depth = 0; depth < DEPTH_MAX; depth += 1) {
    const rows = await tx.execute(sql`
      with recursive ${closureOf(sql`select null::uuid, ${entityId}::uuid`)}
      select e.id from entity e where e.id in (select id from needed) order by e.id for share`);
    if (rows.length === known) return;
    known = rows.length;
  }
}

/** What these entities need goes to every edge on which they are. Locks: their edges. @returns what the edges have to get */
export function addNeededBy(tx: Queryable, entityIds: readonly Uuid[], nowMs: number): Promise<EdgeEvent[]> {
  return addMissing(
    tx,
    sql`select a.edge_id, a.entity_id from edge_assignment a where a.entity_id = any(${arrayParam(entityIds, "uuid")})`,
    nowMs,
  );
}

/** What an entity needs goes to one edge. Locks: the edge. */
export function addNeededOnEdge(
  tx: Queryable,
  { edgeId, entityId }: { readonly edgeId: Uuid; readonly entityId: Uuid },
  nowMs: number,
): Promise<EdgeEvent[]> {
  return addMissing(tx, sql`select ${edgeId}::uuid, ${entityId}::uuid`, nowMs);
}

/** Profiles that make devices go to every edge of their tenant, with what they need. Locks: these edges. */
export async function addProvisioning(tx: Queryable, profileIds: readonly Uuid[], nowMs: number): Promise<EdgeEvent[]> {
  if (profileIds.length === 0) return [];
  const holdings = provisioningHoldings({ profileIds: arrayParam(profileIds, "uuid") });
  await tx.execute(sql`
    select from edge_sync s where s.edge_id in (select edge_id from (${holdings}) as held) order by s.edge_id for update`);
  return addMissing(tx, holdings, nowMs);
}

async function addMissing(tx: Queryable, seed: SQL, nowMs: number): Promise<EdgeEvent[]> {
  const rows = await tx.execute<HoldingRow>(sql`
    with recursive ${closureOf(seed)}
    insert into edge_assignment (edge_id, entity_id, entity_type, assigned_ms, follows)
    select n.edge_id, e.id, e.entity_type, ${Math.round(nowMs)}::bigint, true from needed n join entity e on e.id = n.id
    on conflict do nothing
    returning edge_id, entity_id, entity_type`);
  return toEvents(rows, "ADDED").toSorted((left, right) => rankOf(left) - rankOf(right));
}

/**
 * Of these followers those leave that nothing needs any more, and what only they needed. Locks: the edges.
 *
 * @param edgeId absent: on every edge
 */
export async function dropUnneeded(
  tx: Queryable,
  { edgeId, entityIds }: { readonly edgeId?: Uuid; readonly entityIds: readonly Uuid[] },
): Promise<EdgeEvent[]> {
  const events: EdgeEvent[] = [];
  let candidates = entityIds;
  for (let depth = 0; candidates.length > 0 && depth < DEPTH_MAX; depth += 1) {
    const left = await deleteUnneeded(tx, edgeId, candidates);
    if (left.length === 0) break;
    await endHoldings(tx, left);
    events.push(...toEvents(left, "UNASSIGNED_FROM_EDGE"));
    const ids = [...new Set(left.map((row) => row.entity_id))];
    const rows = await tx.execute<{ id: Uuid }>(sql`
      select distinct next.id from entity e cross join ${NEEDS} where e.id = any(${arrayParam(ids, "uuid")})`);
    candidates = rows.map(({ id }) => id);
  }
  return events;
}

async function deleteUnneeded(tx: Queryable, edgeId: Uuid | undefined, candidates: readonly Uuid[]) {
  const onEdge = edgeId === undefined ? sql`true` : sql`a.edge_id = ${edgeId}::uuid`;
  const isNeededAs = (need: SQL): SQL => sql`exists (
    select from entity u join edge_assignment h on h.entity_id = u.id and h.edge_id = a.edge_id where ${need})`;
  const isNamed = sql`u.links @> array[(select ${linkNameOf("f")} from entity f where f.id = a.entity_id)]`;
  return tx.execute<HoldingRow>(sql`
    delete from edge_assignment a
    where a.follows and ${onEdge} and a.entity_id = any(${arrayParam(candidates, "uuid")})
      and not exists (select from edge g where g.id = a.edge_id and g.customer_id = a.entity_id)
      and not ${IS_PROVISIONING_HOLDING}
      and not ${isNeededAs(sql`u.profile_id = a.entity_id`)}
      and not ${isNeededAs(sql`u.customer_id = a.entity_id`)}
      and not ${isNeededAs(sql`u.refers_to @> array[a.entity_id]`)}
      and not (a.entity_type = 'TB_RESOURCE' and ${isNeededAs(isNamed)})
    returning a.edge_id, a.entity_id, a.entity_type`);
}

/** What the edge measured before it heard of it is still taken. */
async function endHoldings(tx: Queryable, rows: readonly HoldingRow[]): Promise<void> {
  await tx.execute(sql`
    insert into edge_past_assignment (edge_id, entity_id, ended_ms)
    select edge_id, entity_id, (extract(epoch from clock_timestamp()) * 1000)::bigint
    from unnest(${arrayParam(
      rows.map((row) => row.edge_id),
      "uuid",
    )}, ${arrayParam(
      rows.map((row) => row.entity_id),
      "uuid",
    )}) as ended (edge_id, entity_id)
    on conflict do nothing`);
}

/** Works out anew what follows what on the edge, whatever was there. Locks: the edge. */
export async function settleEdge(tx: Queryable, edgeId: Uuid, nowMs: number): Promise<EdgeEvent[]> {
  await lockEdge(tx, edgeId);
  const seed = sql`select a.edge_id, a.entity_id from edge_assignment a where a.edge_id = ${edgeId}::uuid and not a.follows
    union all select g.id, g.customer_id from edge g where g.id = ${edgeId}::uuid and g.customer_id is not null
    union all ${provisioningHoldings({ edgeId })}`;
  const added = await addMissing(tx, seed, nowMs);
  const followers = await tx.execute<{ id: Uuid }>(
    sql`select a.entity_id as id from edge_assignment a where a.edge_id = ${edgeId}::uuid and a.follows`,
  );
  const left = await dropUnneeded(tx, { edgeId, entityIds: followers.map(({ id }) => id) });
  return [...added, ...left];
}

interface HoldingRow extends Record<string, unknown> {
  readonly edge_id: Uuid;
  readonly entity_id: Uuid;
  readonly entity_type: string;
}

function toEvents(rows: readonly HoldingRow[], action: EdgeEvent["action"]): EdgeEvent[] {
  return rows.map((row) => ({
    edgeId: row.edge_id,
    type: row.entity_type,
    entityId: row.entity_id,
    action,
    body: null,
  }));
}

/** What others refer to goes first. */
function rankOf({ type }: EdgeEvent): number {
  return (KIND_TYPES as readonly string[]).indexOf(type);
}

/** For SQL: the place of a type in the order in which an edge gets things. */
export function rankOfType(column: SQL): SQL {
  return sql`array_position(${arrayParam(KIND_TYPES, "text")}, ${column})`;
}
