import type { Uuid } from "../../shared/core/ids.ts";
import { countSeqs, prefixEnd, type SeqRange } from "../../shared/core/seq-range.ts";
import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import { toPage } from "../../shared/store/entity-store.ts";
import { formatSeqRanges } from "../../shared/store/seq-ranges.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import type { CloudEvent } from "../api/cloud-event.ts";
import type { CloudEvents } from "../api/events.ts";
import type { LaneState, OutboxState } from "../api/status.ts";
import { readCommitted, ROW_ITEMS_MAX } from "./outbox.ts";
import { countParked } from "./parked-items.ts";

interface EventRow extends Omit<CloudEvent, "lane" | "refused" | "entityId"> {
  readonly entityId: Uuid | null;
  readonly refusedItems: number;
  readonly refusedCode: string | null;
  readonly refusedText: string | null;
}

/** The outbox as people list it. */
export function createCloudEvents(sql: Sql): CloudEvents {
  return {
    list: async (lane, request) => {
      const { page, pageSize, startTime = 0, endTime = Number.MAX_SAFE_INTEGER, textSearch = "" } = request;
      const filter = sql`lane = ${lane} and created_ms >= ${startTime} and created_ms <= ${endTime}
        and (${textSearch} = '' or strpos(lower(concat_ws(' ', entity_type, action)), lower(${textSearch})) > 0)`;
      const order = request.sortOrder === "DESC" ? sql`desc` : sql`asc`;
      // The cursor first: rows that are transferred meanwhile may show as sent, never the other way round.
      const committed = await readCommitted(sql, lane);
      const rows = await sql<EventRow[]>`
        select first_seq as "firstSeq", last_seq as "lastSeq", created_ms as "createdMs", action, entity_type as "entityType",
          entity_id as "entityId", ts_min_ms as "tsMinMs", ts_max_ms as "tsMaxMs",
          parked.items as "refusedItems", parked.code as "refusedCode", parked.reason as "refusedText"
        from cloud_event left join lateral (
          select count(*) as items, min(code) as code, min(concat(reason, ' (' || decision || ')')) as reason from parked_item
          where parked_item.lane = cloud_event.lane and seq between first_seq and last_seq
        ) as parked on true
        where ${filter} order by first_seq ${order} limit ${pageSize} offset ${page * pageSize}`;
      const [total] = await sql<{ count: number }[]>`select count(*) as count from cloud_event where ${filter}`;
      return {
        committed,
        page: toPage(
          rows.map((row) => toEvent(lane, row)),
          total?.count ?? 0,
          request,
        ),
      };
    },
    readStart: async () => {
      const seq = prefixEnd(await readCommitted(sql, "config"));
      const [newest] = await sql<{ at: number }[]>`
        select created_ms as at from cloud_event where lane = 'config' and first_seq <= ${seq}
        order by first_seq desc limit 1`;
      return { seq, createdMs: newest?.at ?? null };
    },
  };
}

function toEvent(lane: UplinkLane, row: EventRow): CloudEvent {
  const { refusedItems, refusedCode, refusedText, ...event } = row;
  const refused = refusedItems === 0 ? null : { items: refusedItems, code: refusedCode ?? "", text: refusedText ?? "" };
  return { lane, ...event, refused };
}

/**
 * How far the lanes are, for the status. `nextSeq` is the writer's, which knows it without asking. Asked every ten seconds, for which one
 * connection is enough: the others close when nobody else needs them.
 */
export async function readOutboxState(
  { sql }: { readonly sql: Sql },
  nextSeq: (lane: UplinkLane) => number,
): Promise<OutboxState> {
  // One moment for all: what leaves a lane refused is parked.
  return await sql.begin("isolation level repeatable read, read only", async (tx) => {
    const parked = await countParked(tx);
    const config = await readLane(tx, "config", nextSeq("config"));
    const telemetry = await readLane(tx, "telemetry", nextSeq("telemetry"));
    return { lanes: { config, telemetry }, parked };
  });
}

async function readLane(sql: TransactionSql, lane: UplinkLane, nextSeq: number): Promise<LaneState> {
  const committed = await readCommitted(sql, lane);
  const ackedSeq = prefixEnd(committed);
  const [oldest] = await sql<{ at: number }[]>`
    select created_ms as at from cloud_event where lane = ${lane} and last_seq > ${ackedSeq} and first_seq >= coalesce(
      (select first_seq from cloud_event where lane = ${lane} and first_seq <= ${ackedSeq + 1} order by first_seq desc limit 1), 0)
    order by first_seq limit 1`;
  const next = Math.max(nextSeq, (committed.at(-1)?.last ?? 0) + 1);
  const backlogItems = next - 1 - countSeqs(committed);
  const backlogBytes = backlogItems === 0 ? 0 : await readBacklogBytes(sql, lane, committed);
  return { nextSeq: next, ackedSeq, backlogItems, backlogBytes, oldestUnsentMs: oldest?.at ?? null };
}

/** Sizes are in the rows themselves: a payload is not read for it. */
async function readBacklogBytes(
  sql: TransactionSql,
  lane: UplinkLane,
  committed: readonly SeqRange[],
): Promise<number> {
  const ackedSeq = prefixEnd(committed);
  const [row] = await sql<{ bytes: number }[]>`
    select coalesce(sum(octet_length(payload)), 0)::bigint as bytes from cloud_event
    where lane = ${lane} and first_seq > ${ackedSeq - ROW_ITEMS_MAX} and last_seq > ${ackedSeq}
      and not ${formatSeqRanges(committed)}::int8multirange @> int8range(first_seq, last_seq, '[]')`;
  return row?.bytes ?? 0;
}
