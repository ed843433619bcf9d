import { eq, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { cloudReplica } from "./schema.ts";

// Cloud processes that share a database. Each has a row that it renews; the edges that it holds name it in edge_sync. One whose row was
// not renewed for a lease is gone, and any other one says so of its edges. Time is the database's throughout.

/** Of the sessions in `ended`. */
const HISTORY_OF_ENDED = sql`history as (
      update edge_session h set disconnected_ms = e.disconnected_ms, reason = e.reason from ended e
      where h.edge_id = e.edge_id and h.session = e.session and h.disconnected_ms is null
    )`;
const NOW_MS = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`;

/** Makes the row of a process that starts, or makes it again for one that was taken for gone. */
export async function joinReplicas(db: Queryable, id: Uuid): Promise<void> {
  const row = { startedMs: NOW_MS, seenMs: NOW_MS, steadyMs: NOW_MS };
  await db
    .insert(cloudReplica)
    .values({ id, ...row })
    .onConflictDoUpdate({ target: cloudReplica.id, set: row });
}

export interface LeaseRenewal {
  /** False: others took this process for gone, and its edges for disconnected. */
  readonly isHeld: boolean;
  /** Whether it was seen for a whole lease without a gap of half of one: the silence of another one is no outage that both had. */
  readonly isSteady: boolean;
  /** Other processes that are there. */
  readonly others: number;
}

export async function renewLease(db: Queryable, id: Uuid, leaseMs: number): Promise<LeaseRenewal> {
  const [row] = await db.execute<{ is_steady: boolean; others: number }>(sql`
    with renewed as (
      update cloud_replica r set seen_ms = t.now_ms,
        steady_ms = case when r.seen_ms < t.now_ms - ${Math.round(leaseMs / 2)}::bigint then t.now_ms else r.steady_ms end
      from (select ${NOW_MS} as now_ms) as t
      where r.id = ${id}::uuid
      returning r.steady_ms <= t.now_ms - ${leaseMs}::bigint as is_steady, t.now_ms
    )
    select is_steady, (
      select count(*) from cloud_replica o where o.id <> ${id}::uuid and o.seen_ms >= renewed.now_ms - ${leaseMs}::bigint
    )::int as others
    from renewed`);
  return { isHeld: row !== undefined, isSteady: row?.is_steady ?? false, others: row?.others ?? 0 };
}

/** Forgets processes whose lease ran out. @returns the edges that count as disconnected by that */
export async function endGoneReplicas(db: Queryable, leaseMs: number): Promise<Uuid[]> {
  // Both parts see the same rows: one that renews its row meanwhile keeps it, and finds out with its next renewal otherwise.
  const rows = await db.execute<{ edge_id: Uuid }>(sql`
    with gone as (delete from cloud_replica where seen_ms < ${NOW_MS} - ${leaseMs}::bigint),
    ended as (
      update edge_sync s set replica_id = null, disconnected_ms = ${NOW_MS}, reason = 'LINK_DOWN'
      where s.replica_id is not null and not exists (
        select from cloud_replica r where r.id = s.replica_id and r.seen_ms >= ${NOW_MS} - ${leaseMs}::bigint
      )
      returning s.edge_id, s.session, s.disconnected_ms, s.reason
    ), ${HISTORY_OF_ENDED}
    select edge_id from ended`);
  return rows.map((row) => row.edge_id);
}

/** The process stops, and with it every session that it has not closed yet. */
export async function leaveReplicas(db: Queryable, id: Uuid): Promise<void> {
  await db.execute(sql`
    with ended as (
      update edge_sync s set replica_id = null, disconnected_ms = ${NOW_MS}, reason = 'CANCELLED'
      where s.replica_id = ${id}::uuid
      returning s.edge_id, s.session, s.disconnected_ms, s.reason
    ), ${HISTORY_OF_ENDED}
    select from ended`);
  await db.delete(cloudReplica).where(eq(cloudReplica.id, id));
}
