import { sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { DigestScope } from "../../shared/store/digest-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEventAction, EntityEvent } from "./edge-event.ts";

/** What the cloud knows of something that an edge holds in another state, or that only one of them holds. */
export interface Standing {
  readonly id: Uuid;
  /** A downlink about it was not applied yet. */
  readonly isUnderWay: boolean;
  readonly isWanted: boolean;
  readonly wasAssigned: boolean;
  readonly exists: boolean;
  /** What its downlinks have to name beside it. */
  readonly body: EntityEvent["body"];
}

/** What brings an edge to leave what the cloud does not count among the same; null: nothing has to be done. */
export function surplusAction({ exists, isWanted, wasAssigned }: Standing, entityType: string): EdgeEventAction | null {
  // Cleared here, or gone: what the edge then knows more of, it says.
  if (entityType === "ALARM") return isWanted ? "ADDED" : "ENTITY_MERGE_REQUEST";
  if (isWanted) return null;
  if (exists) return "UNASSIGNED_FROM_EDGE";
  // Edges make no users for the cloud.
  if (entityType === "USER") return "DELETED";
  return wasAssigned ? "DELETED" : "ENTITY_MERGE_REQUEST";
}

/** Where what is compared is found, when it is no entity. */
const TABLES: Readonly<Record<string, string>> = { USER: "app_user", EDGE: "edge" };

interface StandingQuestion {
  readonly edgeId: Uuid;
  readonly scope: DigestScope;
  /** The last downlink that the edge had applied. */
  readonly after: number;
  readonly ids: readonly Uuid[];
}

export function readStandings(tx: Queryable, question: StandingQuestion): Promise<ReadonlyMap<Uuid, Standing>> {
  return question.scope.entityType === "ALARM" ? readAlarms(tx, question) : readEntities(tx, question);
}

async function readEntities(
  tx: Queryable,
  { edgeId, scope, after, ids }: StandingQuestion,
): Promise<ReadonlyMap<Uuid, Standing>> {
  const waiting = await readUnderWay(tx, { edgeId, after, ids });
  const rows = await tx.execute<{ id: Uuid; exists: boolean; is_wanted: boolean; was_assigned: boolean }>(sql`
    select c.id, e.id is not null as exists, e.id is not null and ${scope.condition} as is_wanted,
      exists (select from edge_past_assignment p where p.edge_id = ${edgeId}::uuid and p.entity_id = c.id) as was_assigned
    from unnest(${arrayParam(ids, "uuid")}) as c (id)
      left join ${sql.raw(TABLES[scope.entityType] ?? "entity")} e on e.id = c.id`);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        id: row.id,
        isUnderWay: waiting.has(row.id),
        isWanted: row.is_wanted,
        wasAssigned: row.was_assigned,
        exists: row.exists,
        body: null,
      },
    ]),
  );
}

/** Those of which something is on its way to the edge, or of which a relation comes or goes with its other end. */
async function readUnderWay(
  tx: Queryable,
  { edgeId, after, ids }: Omit<StandingQuestion, "scope">,
): Promise<ReadonlySet<Uuid>> {
  // Of alarms it is the originator that is compared, of relations of the tenant the other end.
  const rows = await tx.execute<{ id: Uuid }>(sql`
    with asked as (select id from unnest(${arrayParam(ids, "uuid")}) as c (id)),
    under_way as (
      select distinct coalesce((v.body ->> 'originatorId')::uuid,
        case v.body -> 'from' ->> 'entityType' when 'TENANT' then (v.body -> 'to' ->> 'id')::uuid end, v.entity_id) as id
      from edge_event v where v.edge_id = ${edgeId}::uuid and v.seq > ${after}
    )
    select id from asked where id in (select id from under_way)
    union
    select a.id from asked a join relation r on r.from_id = a.id join under_way w on w.id = r.to_id`);
  return new Set(rows.map(({ id }) => id));
}

/** Alarms that are compared by themselves, whether active or not. */
async function readAlarms(
  tx: Queryable,
  { edgeId, scope, after, ids }: StandingQuestion,
): Promise<ReadonlyMap<Uuid, Standing>> {
  const rows = await tx.execute<{
    id: Uuid;
    is_under_way: boolean;
    is_wanted: boolean;
    originator_type: string | null;
    originator_id: string | null;
  }>(sql`
    with under_way as (
      select coalesce(m.alarm_id, v.entity_id) as id
      from edge_event v left join alarm_comment m on m.id = v.entity_id
      where v.edge_id = ${edgeId}::uuid and v.seq > ${after}
    )
    select c.id, c.id in (select id from under_way) as is_under_way,
      e.id is not null and ${scope.condition} as is_wanted, e.originator_type, e.originator_id
    from unnest(${arrayParam(ids, "uuid")}) as c (id) left join alarm e on e.id = c.id`);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        id: row.id,
        isUnderWay: row.is_under_way,
        isWanted: row.is_wanted,
        wasAssigned: false,
        exists: row.originator_id !== null,
        body: { originatorType: row.originator_type, originatorId: row.originator_id },
      },
    ]),
  );
}
