import { sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

// What a process that holds sessions looks up about all of them at once.

export interface SessionRef {
  readonly edgeId: Uuid;
  readonly session: number;
}

export interface SessionNews {
  readonly edgeId: Uuid;
  /** The newest session of the edge; null: the edge was deleted. */
  readonly session: number | null;
  readonly downlinkLast: number;
  readonly downlinkSent: number;
  /** Somebody asked for a digest round that was not run yet, or the edge has not been told of its settings. */
  readonly isLoadWanted: boolean;
}

/** Of these sessions: those that are not the newest of their edge, with downlinks that were not acknowledged, asked for a round, or with settings to tell. */
export async function findSessionNews(db: Queryable, held: readonly SessionRef[]): Promise<SessionNews[]> {
  const rows = await db.execute<{
    edge_id: Uuid;
    session: number | null;
    downlink_last: number | null;
    downlink_sent: number | null;
    is_load_wanted: boolean | null;
  }>(sql`
    select h.edge_id, s.session, s.downlink_last, s.downlink_sent, 
      s.sync_requested > s.sync_completed or s.settings_changed > s.settings_told as is_load_wanted
    from unnest(${edgeIdsOf(held)}, ${sessionsOf(held)}) as h (edge_id, session)
    left join edge_sync s on s.edge_id = h.edge_id
    where s.session is distinct from h.session or s.downlink_last > s.downlink_acked or s.sync_requested > s.sync_completed
      or s.settings_changed > s.settings_told`);
  return rows.map((row) => ({
    edgeId: row.edge_id,
    session: row.session,
    downlinkLast: row.downlink_last ?? 0,
    downlinkSent: row.downlink_sent ?? 0,
    isLoadWanted: row.is_load_wanted ?? false,
  }));
}

export interface SentDownlinks extends SessionRef {
  /** Sequence of the last downlink on its way. */
  readonly sentSeq: number;
}

/** Keeps how far downlinks are on their way, without effect for a session that is not the newest. */
export async function noteSentDownlinks(db: Queryable, sent: readonly SentDownlinks[]): Promise<void> {
  const sentSeqs = arrayParam(
    sent.map(({ sentSeq }) => sentSeq),
    "bigint",
  );
  await db.execute(sql`
    update edge_sync s set downlink_sent = h.sent_seq
    from unnest(${edgeIdsOf(sent)}, ${sessionsOf(sent)}, ${sentSeqs}) as h (edge_id, session, sent_seq)
    where s.edge_id = h.edge_id and s.session = h.session`);
}

function edgeIdsOf(refs: readonly SessionRef[]) {
  return arrayParam(
    refs.map(({ edgeId }) => edgeId),
    "uuid",
  );
}

function sessionsOf(refs: readonly SessionRef[]) {
  return arrayParam(
    refs.map(({ session }) => session),
    "bigint",
  );
}
