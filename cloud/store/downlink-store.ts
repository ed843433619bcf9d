import { and, asc, desc, eq, gt, gte, inArray, isNotNull, isNull, lte, sql, type SQL } from "drizzle-orm";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { databaseError, sqlStateOf } from "../../shared/postgres/connect.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { toPage, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import type { Outcome, Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import { alarmEvent, isAlarmEvent, isWithoutAssignment, knowsOriginator } from "./alarm-downlinks.ts";
import { backfillEvent } from "./backfill-downlinks.ts";
import { edgesThemselves, edgeWithAttributes, isOfEdgeItself } from "./edge-attributes.ts";
import { type EdgeEventAction, type EntityEvent, type EdgeEvent } from "./edge-event.ts";
import { addNeededBy, addProvisioning, dropUnneeded, lockHolders, rankOfType, settleEdge } from "./edge-holdings.ts";
import { readLinkNeeds } from "./link-needs.ts";
import { readProvisioning } from "./provisioning-profiles.ts";
import { relationEvent } from "./relation-downlinks.ts";
import { rpcEvent } from "./rpc-downlinks.ts";
import { edgeAssignment, edgeEvent, edgeEventAck, edgeEventRejection, edgePastAssignment, edgeSync } from "./schema.ts";

// The downlink outbox. Sequences are given under the lock of the edge's row in edge_sync, which is held until the commit: they follow
// the order of commits and have no gaps, so a reader that asks for what is above its cursor misses nothing. Rows of several edges are
// locked in the order of edge ids. Recording is the last thing a transaction does, to hold these locks for as short as possible.

export interface RecordOptions {
  readonly nowMs: number;
  /** The edge that made the change; it is told nothing. */
  readonly excludeEdgeId?: Uuid | undefined;
  /** Rows for single edges, behind the others. @default none */
  readonly events?: readonly EdgeEvent[];
  /** Entities that have just been put on an edge. @default none */
  readonly newcomers?: readonly Uuid[];
}

/**
 * Writes one row per change and edge on which the entity is, and for what the edges need because of it, or need no more; what is on
 * them changes accordingly.
 *
 * @returns the edges that got a row
 */
export async function recordChanges(
  tx: Queryable,
  changes: readonly Change[],
  options: RecordOptions,
): Promise<Uuid[]> {
  const { nowMs, excludeEdgeId, events = [], newcomers = [] } = options;
  if (changes.length === 0 && newcomers.length === 0) return recordEvents(tx, events, { nowMs });
  const { deleted, ...named } = readNeeds(changes);
  const linked = await readLinkNeeds(tx, changes, newcomers);
  const provisioning = readProvisioning(changes);
  const dropped = [...named.dropped, ...linked.dropped, ...provisioning.ended];
  const needing = [...new Set([...named.gaining, ...linked.gaining, ...newcomers])];
  if (needing.length + dropped.length + deleted.length > 0) {
    await lockHolders(tx, [...new Set([...changes.map(({ entity }) => entity.id), ...needing])]);
  }
  const needed = needing.length === 0 ? [] : await addNeededBy(tx, needing, nowMs);
  needed.push(...(await addProvisioning(tx, provisioning.begun, nowMs)));
  // One statement for all: edges are locked in one order only. What is needed goes before what needs it.
  const item = sql`${givenEvents(needed, 0)}
    union all select edge_id, type, action, entity_id, body, position + ${needed.length}::bigint
      from (${followersOf(changes.map(toEvent), excludeEdgeId)}) as followed
    union all ${givenEvents(events, needed.length + changes.length)}`;
  const edgeIds = await insertEvents(tx, item, nowMs);
  if (deleted.length > 0) await endHoldingsOf(tx, deleted, nowMs);
  const left = dropped.length === 0 ? [] : await dropUnneeded(tx, { entityIds: dropped });
  return [...new Set([...edgeIds, ...(await recordEvents(tx, left, { nowMs }))])];
}

/** What the changes mean for what is on edges. */
function readNeeds(changes: readonly Change[]) {
  const gaining: Uuid[] = [];
  const dropped = new Set<Uuid>();
  const deleted: Uuid[] = [];
  for (const change of changes) {
    if (change.kind !== "entity-saved" && change.kind !== "entity-removed") continue;
    const { needs } = change;
    if (needs !== undefined && needs.added.length + needs.addedLinks.length > 0) gaining.push(change.entity.id);
    for (const id of needs?.dropped ?? []) dropped.add(id);
    if (change.kind === "entity-removed" && change.deleted) deleted.push(change.entity.id);
  }
  return { gaining, dropped: [...dropped], deleted };
}

async function endHoldingsOf(tx: Queryable, deleted: readonly Uuid[], nowMs: number): Promise<void> {
  // One that was made again under its id keeps its edges.
  const isGone = sql`not exists (select from entity e where e.id = ${edgeAssignment.entityId})`;
  const ended = await tx
    .delete(edgeAssignment)
    .where(and(inArray(edgeAssignment.entityId, [...deleted]), isGone))
    .returning({ edgeId: edgeAssignment.edgeId, entityId: edgeAssignment.entityId });
  const past = ended.map((assignment) => ({ ...assignment, endedMs: Math.round(nowMs) }));
  if (past.length > 0) await tx.insert(edgePastAssignment).values(past).onConflictDoNothing();
}

/** Writes these rows, in this order. @returns the edges that got a row */
export async function recordEvents(
  tx: Queryable,
  events: readonly EdgeEvent[],
  { nowMs }: { readonly nowMs: number },
): Promise<Uuid[]> {
  return events.length === 0 ? [] : insertEvents(tx, givenEvents(events, 0), nowMs);
}

function givenEvents(events: readonly EdgeEvent[], offset: number): SQL {
  return sql`select edge_id, type, action, entity_id, body, position + ${offset}::bigint as position
    from unnest(${arrayParam(
      events.map((event) => event.edgeId),
      "uuid",
    )}, ${eventArrays(events)})
    with ordinality as given (edge_id, type, action, entity_id, body, position)`;
}

/**
 * Has everything that is assigned to the edge sent again, and its own attributes: one row per entity.
 *
 * @returns whether there was any
 */
export async function requestFullSync(
  tx: Queryable,
  { clock }: { readonly clock: Clock },
  edgeId: Uuid,
): Promise<boolean> {
  const item = sql`select a.edge_id, a.entity_type as type, 'ADDED' as action, a.entity_id, null::text as body,
      row_number() over (order by ${rankOfType(sql`a.entity_type`)}, a.assigned_ms, a.entity_id) as position
    from edge_assignment a where a.edge_id = ${edgeId}::uuid
    union all select g.edge_id, 'EDGE', 'ADDED', g.edge_id, null, 0 from (${edgeWithAttributes(edgeId)}) as g`;
  return (await insertEvents(tx, item, clock.nowMs())).length > 0;
}

/** What a change is called in the list of downlinks. */
export function toEvent(change: Change): EntityEvent {
  const { type, id: entityId } = change.entity;
  switch (change.kind) {
    case "entity-saved":
    case "user-saved":
      return { type, entityId, action: "UPDATED", body: null };
    case "entity-removed":
      return { type, entityId, action: change.deleted ? "DELETED" : "UNASSIGNED_FROM_EDGE", body: null };
    case "attributes-saved":
      return {
        type,
        entityId,
        action: "ATTRIBUTES_UPDATED",
        body: { scope: change.scope, keys: change.attributes.map((entry) => entry.key) },
      };
    case "attributes-deleted":
      return { type, entityId, action: "ATTRIBUTES_DELETED", body: { scope: change.scope, keys: change.keys } };
    case "credentials-saved":
      return { type, entityId, action: "CREDENTIALS_UPDATED", body: null };
    case "telemetry-gap":
      throw new AppError("INTERNAL", "A gap in telemetry never goes down");
    case "entity-wanted":
      return { type, entityId, action: "ENTITY_MERGE_REQUEST", body: null };
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
      return alarmEvent(change);
    case "relation-saved":
      return relationEvent(change);
    case "rpc-saved":
      return rpcEvent(change);
    case "backfill-saved":
      return backfillEvent(change);
    default:
      return change satisfies never;
  }
}

function eventArrays(events: readonly EntityEvent[]): SQL {
  return sql`${arrayParam(
    events.map((event) => event.type),
    "text",
  )}, ${arrayParam(
    events.map((event) => event.action),
    "text",
  )},
    ${arrayParam(
      events.map((event) => event.entityId),
      "uuid",
    )},
    ${arrayParam(
      events.map((event) => (event.body === null ? null : JSON.stringify(event.body))),
      "text",
    )}`;
}

/** A row for each change and edge on which its subject is. */
function followersOf(events: readonly EntityEvent[], excludeEdgeId: Uuid | undefined): SQL {
  const exclude = sql`a.edge_id is distinct from ${excludeEdgeId ?? null}::uuid`;
  const subjects = arrayParam(
    events.map(({ entityId, subjectId = entityId }) => subjectId),
    "uuid",
  );
  return sql`
    with change as (
      select * from unnest(${eventArrays(events)}, ${subjects}) with ordinality
        as input (type, action, entity_id, body, subject_id, position)
    )
    select a.edge_id, c.type, c.action, c.entity_id, c.body, c.position
    from change c join edge_assignment a on a.entity_id = c.subject_id where ${exclude}
    ${events.some(isOfUnassigned) ? ofUnassigned(exclude) : sql``}
    ${events.some(isOfEdgeItself) ? edgesThemselves(exclude) : sql``}`;
}

function isOfUnassigned({ type, body }: EntityEvent): boolean {
  const originatorType = body?.["originatorType"];
  return isAlarmEvent({ type }) && typeof originatorType === "string" && isWithoutAssignment(originatorType);
}

/** The same for alarms of what is assigned to nobody. */
function ofUnassigned(exclude: SQL): SQL {
  const isKnown = knowsOriginator(sql`(c.body::json ->> 'originatorType')`, sql`c.subject_id`);
  return sql`union all
    select a.edge_id, c.type, c.action, c.entity_id, c.body, c.position
    from change c cross join lateral (select g.id as edge_id from edge g where ${isKnown}) as a where ${exclude}`;
}

/** `item` gives edge_id, type, action, entity_id, body as text, position. Edges that are gone get nothing. */
async function insertEvents(tx: Queryable, item: SQL, nowMs: number): Promise<Uuid[]> {
  const rows = await tx.execute<{ edge_id: Uuid }>(sql`
    with item as (${item}),
    concerned as (select edge_id, count(*) as events from item group by edge_id),
    locked as (
      select s.edge_id from edge_sync s where s.edge_id in (select edge_id from concerned) order by s.edge_id for update
    ),
    counted as (
      update edge_sync s set downlink_last = s.downlink_last + c.events
      from concerned c join locked l on l.edge_id = c.edge_id
      where s.edge_id = c.edge_id
      returning s.edge_id, s.downlink_last - c.events as before
    ),
    written as (
      insert into edge_event (edge_id, seq, created_ms, tenant_id, type, action, entity_id, body)
      select i.edge_id, n.before + row_number() over (partition by i.edge_id order by i.position),
        ${nowMs}::bigint, e.tenant_id, i.type, i.action, i.entity_id, i.body::json
      from item i join counted n on n.edge_id = i.edge_id join edge e on e.id = i.edge_id
      returning edge_id
    )
    select distinct edge_id from written`);
  return rows.map((row) => row.edge_id);
}

export interface CloudUnitOfWork extends UnitOfWork {
  /** Like `run`, for work that knows which edge is to hear what. */
  runEvents<T>(
    work: (tx: Queryable) => Promise<{ readonly result: T; readonly events: readonly EdgeEvent[] }>,
  ): Promise<T>;
  /** For what is set for edges and no downlink: gives those that are to be woken for it. */
  runSettings<T>(
    work: (tx: Queryable) => Promise<{ readonly result: T; readonly edgeIds: readonly Uuid[] }>,
  ): Promise<T>;
  /** Has the edge compared with what it should hold; `full`: has everything that is assigned sent again first. */
  requestSync(edgeId: Uuid, options: { readonly full: boolean }): Promise<void>;
}

/** @param onCommitted is called after the commit with the edges that got a row; it must not throw */
export function createCloudUnitOfWork(
  db: Queryable,
  { clock, onCommitted }: { readonly clock: Clock; readonly onCommitted: (edgeIds: readonly Uuid[]) => void },
): CloudUnitOfWork {
  const commit = async <T>(work: (tx: Queryable) => Promise<{ result: T; edgeIds: readonly Uuid[] }>): Promise<T> => {
    const { result, edgeIds } = await runTransaction(db, work);
    if (edgeIds.length > 0) onCommitted(edgeIds);
    return result;
  };
  return {
    run: <T>(work: (tx: Queryable) => Promise<Outcome<T>>) =>
      commit(async (tx) => {
        const { result, changes } = await work(tx);
        return { result, edgeIds: await recordChanges(tx, changes, { nowMs: clock.nowMs() }) };
      }),
    runEvents: (work) =>
      commit(async (tx) => {
        const { result, events } = await work(tx);
        return { result, edgeIds: await recordEvents(tx, events, { nowMs: clock.nowMs() }) };
      }),
    runSettings: commit,
    requestSync: (edgeId, { full }) =>
      commit(async (tx) => {
        await tx
          .update(edgeSync)
          .set({ syncRequested: sql`${edgeSync.syncRequested} + 1` })
          .where(eq(edgeSync.edgeId, edgeId));
        await recordEvents(tx, await settleEdge(tx, edgeId, clock.nowMs()), { nowMs: clock.nowMs() });
        if (full) await requestFullSync(tx, { clock }, edgeId);
        return { result: undefined, edgeIds: [edgeId] };
      }),
  };
}

const ATTEMPTS_MAX = 5;
/** Two transactions waited for each other, and PostgreSQL ended this one. */
const DEADLOCK_DETECTED = "40P01";

/** A deadlock is the price of not ordering all rows that a unit of work may touch: the one that lost is run again. */
export async function runTransaction<T>(db: Queryable, work: (tx: Queryable) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.transaction(work);
    } catch (error) {
      const state = sqlStateOf(error);
      if (state === DEADLOCK_DETECTED && attempt < ATTEMPTS_MAX) continue;
      throw state === undefined ? error : databaseError(error);
    }
  }
}

export interface DownlinkRow extends EdgeEvent {
  readonly seq: number;
  readonly createdMs: number;
  readonly tenantId: Uuid;
  /** Of the row itself. */
  readonly id: Uuid;
}

interface DownlinkRange {
  readonly afterSeq: number;
  readonly limit: number;
}

/** The rows above `afterSeq`, in order, at most `limit`. */
export async function readDownlinks(db: Queryable, edgeId: Uuid, range: DownlinkRange): Promise<DownlinkRow[]> {
  return (await readOutgoing(db, edgeId, range)).rows;
}

/**
 * The same with up to where the edge's config is committed at this moment. Answers to it are among the rows, or above them; whoever reads
 * entities after this reads no older state.
 */
export async function readOutgoing(
  db: Queryable,
  edgeId: Uuid,
  { afterSeq, limit }: DownlinkRange,
): Promise<{ readonly rows: DownlinkRow[]; readonly heardSeq: number }> {
  const committed = sql`select upper(u.committed) - 1 from edge_sync s
    join edge_uplink u on u.edge_id = s.edge_id and u.store_id = s.store_id and u.lane = 'config' where s.edge_id = ${edgeId}`;
  const rows = await db
    .select({ row: edgeEvent, heardSeq: sql<number>`coalesce((${committed}), 0)`.mapWith(Number) })
    .from(edgeEvent)
    .where(and(eq(edgeEvent.edgeId, edgeId), gt(edgeEvent.seq, afterSeq)))
    .orderBy(asc(edgeEvent.seq))
    .limit(limit);
  return { rows: rows.map(({ row }) => toDownlink(row)), heardSeq: rows[0]?.heardSeq ?? 0 };
}

/**
 * queued: waits; sent: on its way, not acknowledged; applied: committed by the edge; failed: refused by it; replayed, discarded:
 * refused, and what was decided about it.
 */
export const DOWNLINK_STATES = ["queued", "sent", "applied", "failed", "replayed", "discarded"] as const;
export type DownlinkState = (typeof DOWNLINK_STATES)[number];

export interface DownlinkStatus extends DownlinkRow {
  readonly state: DownlinkState;
  readonly reason: string | null;
  readonly appliedMs: number | null;
  /** The downlink that was made in place of a refused one. */
  readonly replaySeq: number | null;
}

export interface DownlinkFilter {
  readonly edgeId: Uuid;
  /** Sequences up to this one were sent in the session of now. */
  readonly sentSeq: number;
  readonly ackedSeq: number;
  readonly state?: DownlinkState | undefined;
}

/** Rows with their state, which follows from the cursors. */
export async function listDownlinks(
  db: Queryable,
  filter: DownlinkFilter,
  page: PageRequest,
): Promise<Page<DownlinkStatus>> {
  const where = and(
    eq(edgeEvent.edgeId, filter.edgeId),
    filter.state === undefined ? undefined : hasState(filter, filter.state),
    page.startTime === undefined ? undefined : gte(edgeEvent.createdMs, page.startTime),
    page.endTime === undefined ? undefined : lte(edgeEvent.createdMs, page.endTime),
    page.textSearch === undefined || page.textSearch === ""
      ? undefined
      : sql`strpos(lower(${edgeEvent.type} || ' ' || ${edgeEvent.action} || ' ' || ${edgeEvent.entityId}), lower(${page.textSearch})) > 0`,
  );
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const isRejection = and(eq(edgeEventRejection.edgeId, edgeEvent.edgeId), eq(edgeEventRejection.seq, edgeEvent.seq));
  const [rows, totals] = await Promise.all([
    db
      .select({
        row: edgeEvent,
        reason: edgeEventRejection.reason,
        code: edgeEventRejection.code,
        decision: edgeEventRejection.decision,
        replaySeq: edgeEventRejection.replaySeq,
        appliedMs: sql<number | null>`(select a.acked_ms from ${edgeEventAck} a where a.edge_id = ${edgeEvent.edgeId}
          and a.last_seq >= ${edgeEvent.seq} order by a.last_seq limit 1)`.mapWith(Number),
      })
      .from(edgeEvent)
      .leftJoin(edgeEventRejection, isRejection)
      .where(where)
      .orderBy(direction(sortColumn(page.sortProperty)), direction(edgeEvent.seq))
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db
      .select({ count: sql<number>`count(*)` })
      .from(edgeEvent)
      .leftJoin(edgeEventRejection, isRejection)
      .where(where),
  ]);
  const data = rows.map(({ row, reason, code, decision, replaySeq, appliedMs }) => {
    const state = reason === null ? stateOf(row.seq, filter) : rejectedState(decision);
    return {
      ...toDownlink(row),
      state,
      reason: reason === null ? null : `${code}: ${reason}`,
      appliedMs: state === "applied" ? appliedMs : null,
      replaySeq,
    };
  });
  return toPage(data, totals[0]?.count ?? 0, page);
}

function stateOf(seq: number, { ackedSeq, sentSeq }: Pick<DownlinkFilter, "ackedSeq" | "sentSeq">): DownlinkState {
  if (seq <= ackedSeq) return "applied";
  return seq <= sentSeq ? "sent" : "queued";
}

function rejectedState(decision: string | null): DownlinkState {
  return decision === "replayed" || decision === "discarded" ? decision : "failed";
}

/** What stateOf and rejectedState say, as a condition on a row and its rejection. */
function hasState({ ackedSeq, sentSeq }: DownlinkFilter, state: DownlinkState): SQL | undefined {
  const { seq } = edgeEvent;
  const isAccepted = isNull(edgeEventRejection.seq);
  switch (state) {
    case "failed":
      return and(isNotNull(edgeEventRejection.seq), isNull(edgeEventRejection.decision));
    case "replayed":
    case "discarded":
      return eq(edgeEventRejection.decision, state);
    case "applied":
      return and(isAccepted, lte(seq, ackedSeq));
    case "sent":
      return and(isAccepted, gt(seq, ackedSeq), lte(seq, sentSeq));
    case "queued":
      return and(isAccepted, gt(seq, Math.max(ackedSeq, sentSeq)));
  }
}

function sortColumn(property: string | undefined) {
  switch (property) {
    case undefined:
    case "":
    case "id":
    case "seqId":
      return edgeEvent.seq;
    case "createdTime":
      return edgeEvent.createdMs;
    case "type":
      return edgeEvent.type;
    case "action":
      return edgeEvent.action;
    default:
      throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${property.slice(0, 64)}'!`, {
        field: "sortProperty",
      });
  }
}

function toDownlink(row: typeof edgeEvent.$inferSelect): DownlinkRow {
  return {
    ...row,
    edgeId: row.edgeId as Uuid,
    tenantId: row.tenantId as Uuid,
    id: row.id as Uuid,
    entityId: row.entityId as Uuid,
    // Written from an EntityEvent only.
    action: row.action as EdgeEventAction,
    body: row.body as EntityEvent["body"],
  };
}
