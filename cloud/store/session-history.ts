import { sql } from "drizzle-orm";
import type { ErrorCode } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { LifecycleEvent } from "../../shared/entities/lifecycle-event.ts";
import type { Page, PageRequest } from "../../shared/store/entity-store.ts";
import { toPage } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

// Which sessions an edge had: a row each, from which its connect and disconnect events are made.

/** Sessions of an edge that are kept: an edge that connects every second must not fill the disk. */
const SESSIONS_KEPT = 500;

export interface SessionBegin {
  readonly edgeId: Uuid;
  readonly session: number;
  readonly replicaId: Uuid;
  readonly edgeVersion: string;
  readonly nowMs: number;
}

/** The session is open; one before it that nobody closed is over by that. */
export async function recordConnect(tx: Queryable, begin: SessionBegin): Promise<void> {
  const { edgeId, edgeVersion, nowMs, replicaId, session } = begin;
  const oldest = session - SESSIONS_KEPT;
  await tx.execute(sql`
    with pruned as (
      delete from edge_session where edge_id = ${edgeId}::uuid and session <= ${oldest}::bigint
    ), fenced as (
      update edge_session set disconnected_ms = ${nowMs}::bigint, reason = 'SESSION_FENCED'
      where edge_id = ${edgeId}::uuid and session > ${oldest}::bigint and session < ${session}::bigint and disconnected_ms is null
    ), admitted as (
      update edge_report set refused_code = null, refused_text = null, refused_ms = null
      where edge_id = ${edgeId}::uuid and refused_code is not null
    )
    insert into edge_session (edge_id, session, replica_id, edge_version, connected_ms)
    values (${edgeId}::uuid, ${session}::bigint, ${replicaId}::uuid, ${edgeVersion}, ${nowMs}::bigint)
    on conflict do nothing`);
}

/** Every session of the edge that is still open is over. */
export async function recordFence(
  tx: Queryable,
  edgeId: Uuid,
  { reason, nowMs }: { readonly reason: ErrorCode; readonly nowMs: number },
): Promise<void> {
  await tx.execute(sql`
    update edge_session set disconnected_ms = ${Math.round(nowMs)}::bigint, reason = ${reason}
    where edge_id = ${edgeId}::uuid and disconnected_ms is null`);
}

interface EventRow extends Record<string, unknown> {
  id: Uuid;
  event: LifecycleEvent["event"];
  created_ms: number;
  session: number;
  replica_id: Uuid;
  edge_version: string;
  reason: string | null;
  total: number;
}

/** In the order in which they happened, whatever the clocks say; the newest first unless asked for otherwise. */
export async function listLifecycleEvents(
  db: Queryable,
  edgeId: Uuid,
  page: PageRequest,
): Promise<Page<LifecycleEvent>> {
  const { startTime = 0, endTime = Number.MAX_SAFE_INTEGER } = page;
  const order = sql.raw(page.sortOrder === "ASC" ? "asc" : "desc");
  const events = sql`
    select md5(edge_id::text || session || event)::uuid as id, event, created_ms, session, replica_id, edge_version, ended as reason
    from edge_session cross join lateral (
      values ('CONNECTED', connected_ms, null), ('DISCONNECTED', disconnected_ms, reason)
    ) as happened (event, created_ms, ended)
    where edge_id = ${edgeId}::uuid and created_ms between ${startTime}::bigint and ${endTime}::bigint`;
  const [rows, totals] = await Promise.all([
    db.execute<EventRow>(sql`${events} order by session ${order}, event ${order}
      limit ${page.pageSize}::int offset ${page.pageSize * page.page}::bigint`),
    db.execute<{ count: number }>(sql`select count(*)::int as count from (${events}) as counted`),
  ]);
  const data = rows.map((row) => ({
    id: row.id,
    event: row.event,
    createdMs: row.created_ms,
    session: row.session,
    replicaId: row.replica_id,
    edgeVersion: row.edge_version,
    reason: row.reason,
  }));
  return toPage(data, totals[0]?.count ?? 0, page);
}

/** Of sessions that are over and began in this time. */
export async function clearLifecycleEvents(
  db: Queryable,
  edgeId: Uuid,
  { startTime, endTime }: { readonly startTime: number; readonly endTime: number },
): Promise<void> {
  await db.execute(sql`
    delete from edge_session where edge_id = ${edgeId}::uuid and disconnected_ms is not null
      and connected_ms between ${startTime}::bigint and ${endTime}::bigint`);
}
