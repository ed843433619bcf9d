import { and, asc, eq, gt, inArray, isNull, lte, ne, notBetween, sql } from "drizzle-orm";
import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, SentChange } from "../../shared/entities/change.ts";
import { isEntityType } from "../../shared/entities/entity-types.ts";
import { parseRelationRecord } from "../../shared/entities/relation.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns } from "../../shared/entities/telemetry-columns.ts";
import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import { currentAlarmChange } from "../../shared/store/alarm-state.ts";
import { attributesSaved, readAttributeRows } from "../../shared/store/attribute-store.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { credentialsSaved, findCredentials } from "../../shared/store/device-store.ts";
import type { Page, PageRequest } from "../../shared/store/entity-store.ts";
import { entitySaved, findEntity, toPage } from "../../shared/store/entity-store.ts";
import { findRelation, relationSaved } from "../../shared/store/relation-store.ts";
import { currentRpcChange } from "../../shared/store/rpc-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { bringBackLarge } from "../../shared/wire/large-changes.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { EdgeOutcome } from "./group-writer.ts";
import { cloudEvent, parkedItem } from "./schema.ts";

// What the cloud refused for good, until somebody decides: replay makes a new item at the end of its lane in the transaction that
// marks the parked one, discard gives it up. A mark stays as long as the outbox row, for the list of events; the payload goes at once.

/** What is parked, as far as this program can read it. */
export type ParkedContent =
  /** `more`: of the same item, as the gaps of one removal are. */
  | { readonly kind: "change"; readonly change: SentChange; readonly more?: readonly SentChange[] }
  | { readonly kind: "record"; readonly entityId: Uuid; readonly tsMs: number; readonly values: string }
  | { readonly kind: "unreadable" };

export interface ParkedItem {
  readonly lane: UplinkLane;
  readonly seq: number;
  readonly code: string;
  readonly reason: string;
  /** Version of the cloud that refused. */
  readonly refusedBy: string;
  readonly parkedMs: number;
  readonly content: ParkedContent;
}

/** undefined: any. */
export interface ParkedFilter {
  readonly lane?: UplinkLane | undefined;
  readonly seq?: number | undefined;
  readonly code?: string | undefined;
}

export interface ReplayResult {
  readonly replayed: number;
  /** What it was about is no longer on this edge, or its content can't be read: it stays parked. */
  readonly kept: number;
}

export interface ParkedItems {
  /** In the order of lane and sequence, or the other way round. */
  list(filter: ParkedFilter, page: PageRequest): Promise<Page<ParkedItem>>;
  /** Sends again: entities, credentials and attributes as they are now, records as they were. */
  replay(filter: ParkedFilter): Promise<ReplayResult>;
  /** @returns how many were given up */
  discard(filter: ParkedFilter): Promise<number>;
  /** Replays what may be taken by now: what another version of the cloud did not know, and what the tenant had no room for. */
  replayHopeful(cloudVersion: string): Promise<ReplayResult>;
}

export interface ParkedItemsDeps {
  readonly db: Queryable;
  readonly groupCommit: Pick<GroupCommit, "run">;
  readonly blobs: Pick<BlobStore, "readWhole">;
  readonly clock: Pick<Clock, "nowMs">;
}

/** What the tenant had no room for waits for so long at least: a link that flaps must not send all of it each time. */
const ROOM_WAIT_MS = 10 * 60_000;

/** Items that one transaction replays: devices wait for it. */
const REPLAYED_AT_ONCE: Readonly<Record<UplinkLane, number>> = { config: 100, telemetry: 2_000 };

export function createParkedItems(deps: ParkedItemsDeps): ParkedItems {
  const { clock, db } = deps;
  return {
    list: (filter, page) => listParked(db, filter, page),
    replay: (filter) => replayAll(deps, filter),
    discard: (filter) => db.transaction((tx) => discard(tx, filter)),
    replayHopeful: async (cloudVersion) => {
      const unknown = await replayAll(deps, { code: "UNSUPPORTED_ITEM", notRefusedBy: cloudVersion });
      const roomless = await replayAll(deps, { code: "ENTITY_LIMIT", notAroundMs: clock.nowMs() });
      return { replayed: unknown.replayed + roomless.replayed, kept: unknown.kept + roomless.kept };
    },
  };
}

/** Items that wait for a decision, per lane. */
export async function countParked(run: Sql | TransactionSql): Promise<Readonly<Record<UplinkLane, number>>> {
  const counts: Record<UplinkLane, number> = { config: 0, telemetry: 0 };
  const rows = await run<{ lane: string; items: number }[]>`
    select lane, count(*) as items from parked_item where decision is null group by lane`;
  for (const lane of UPLINK_LANES) counts[lane] = rows.find((row) => row.lane === lane)?.items ?? 0;
  return counts;
}

async function listParked(db: Queryable, filter: ParkedFilter, page: PageRequest): Promise<Page<ParkedItem>> {
  const where = undecided(filter);
  const order = page.sortOrder === "DESC" ? sql`desc` : sql`asc`;
  const [rows, totals] = await Promise.all([
    db
      .select()
      .from(parkedItem)
      .where(where)
      .orderBy(sql`${parkedItem.parkedMs} ${order}, ${parkedItem.lane} ${order}, ${parkedItem.seq} ${order}`)
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db
      .select({ count: sql<number>`count(*)`.mapWith(Number) })
      .from(parkedItem)
      .where(where),
  ]);
  const items = rows.map(({ lane: name, seq, code, reason, refusedBy, parkedMs, payload }) => {
    const lane = name as UplinkLane; // written by parkItems
    return { lane, seq, code, reason, refusedBy, parkedMs, content: readContent(lane, payload) };
  });
  return toPage(items, totals[0]?.count ?? 0, page);
}

interface ReplayFilter extends ParkedFilter {
  /** Only what another version refused. */
  readonly notRefusedBy?: string;
  /** Only what was not parked in the last minutes before, by a clock that may have been set. */
  readonly notAroundMs?: number;
}

/** What is refused again meanwhile is left for the next time. */
async function replayAll({ blobs, db, groupCommit }: ParkedItemsDeps, filter: ReplayFilter): Promise<ReplayResult> {
  let total: ReplayResult = { replayed: 0, kept: 0 };
  for (const lane of UPLINK_LANES) {
    if (filter.lane !== undefined && filter.lane !== lane) continue;
    const ofLane = { ...filter, lane };
    const [newest] = await db
      .select({ seq: sql<number | null>`max(${parkedItem.seq})`.mapWith(Number) })
      .from(parkedItem)
      .where(selected(ofLane));
    const upTo = newest?.seq ?? 0;
    for (let after = 0; after < upTo;) {
      const range: ReplayRange = { ...ofLane, after, upTo };
      const { last, ...part } = await groupCommit.run((tx) => replayRange(tx, blobs, range));
      total = { replayed: total.replayed + part.replayed, kept: total.kept + part.kept };
      after = last ?? upTo;
    }
  }
  return total;
}

interface ReplayRange extends ReplayFilter {
  readonly lane: UplinkLane;
  readonly after: number;
  readonly upTo: number;
}

async function replayRange(
  tx: Queryable,
  blobs: Pick<BlobStore, "readWhole">,
  range: ReplayRange,
): Promise<EdgeOutcome<ReplayResult & { readonly last: number | null }>> {
  const { lane, after, upTo } = range;
  const rows = await tx
    .select({ seq: parkedItem.seq, payload: parkedItem.payload })
    .from(parkedItem)
    .where(and(selected(range), gt(parkedItem.seq, after), lte(parkedItem.seq, upTo)))
    .orderBy(asc(parkedItem.seq))
    .limit(REPLAYED_AT_ONCE[lane])
    .for("update");
  const replayed: number[] = [];
  const changes = new Map<string, Change>();
  const records: TelemetryColumns[] = [];
  for (const { seq, payload } of rows) {
    const content = readContent(lane, payload);
    if (content.kind === "record") records.push(decodeTelemetry(payload, 1));
    else {
      const sent = content.kind === "change" ? [content.change, ...(content.more ?? [])] : [];
      const { item } = await bringBackLarge({ changedMs: 0, changes: sent, unknown: 0 }, (ref, bytesMax) =>
        blobs.readWhole(tx, ref, bytesMax),
      );
      const refused = item.changes;
      const current = (await Promise.all(refused.map((change) => findCurrent(tx, change)))).filter(
        (change) => change !== null,
      );
      if (current.length === 0) continue;
      // Several changes of one entity come to one: what it is now.
      for (const change of current) changes.set(JSON.stringify(change), change);
    }
    replayed.push(seq);
  }
  if (replayed.length > 0) await decide(tx, lane, { seqs: replayed, decision: "replayed" });
  const kept = rows.length - replayed.length;
  return {
    result: { replayed: replayed.length, kept, last: rows.at(-1)?.seq ?? null },
    changes: [...changes.values()],
    ...(records.length === 0 ? {} : { resend: concatColumns(records) }),
  };
}

/** What there is to say about it now; null when what it was about is no longer here. */
async function findCurrent(tx: Queryable, change: Change): Promise<Change | null> {
  const { type, id } = change.entity;
  const stored = isEntityType(type) ? await findEntity(tx, { type, id }) : null;
  switch (change.kind) {
    case "entity-saved":
      return stored === null ? null : entitySaved(stored);
    case "entity-removed":
      return stored === null ? change : null;
    case "credentials-saved": {
      const credentials = await findCredentials(tx, id);
      return credentials === null ? null : credentialsSaved(credentials);
    }
    case "attributes-saved": {
      const keys = change.attributes.map(({ key }) => key);
      const rows = await readAttributeRows(tx, { entityId: id, scopes: [change.scope], keys });
      return rows.length === 0 ? null : attributesSaved(change.entity, change.scope, rows);
    }
    case "attributes-deleted": {
      const rows = await readAttributeRows(tx, { entityId: id, scopes: [change.scope], keys: change.keys });
      const keys = change.keys.filter((key) => rows.every((row) => row.key !== key));
      return keys.length === 0 ? null : { ...change, keys };
    }
    case "telemetry-gap":
    case "entity-wanted":
    case "user-saved":
    case "backfill-saved":
      return change;
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
      return currentAlarmChange(tx, change);
    case "relation-saved": {
      const relation = await findRelation(tx, parseRelationRecord(change.body));
      return relation === null ? null : relationSaved(relation);
    }
    case "rpc-saved":
      return currentRpcChange(tx, change);
  }
}

async function discard(tx: Queryable, filter: ParkedFilter): Promise<number> {
  let discarded = 0;
  for (const lane of UPLINK_LANES) {
    if (filter.lane !== undefined && filter.lane !== lane) continue;
    const rows = await tx
      .update(parkedItem)
      .set({ decision: "discarded", payload: new Uint8Array() })
      .where(undecided({ ...filter, lane }))
      .returning({ seq: parkedItem.seq });
    discarded += rows.length;
    if (rows.length > 0) await forgetDecided(tx, lane);
  }
  return discarded;
}

async function decide(
  tx: Queryable,
  lane: UplinkLane,
  { seqs, decision }: { readonly seqs: readonly number[]; readonly decision: "replayed" | "discarded" },
): Promise<void> {
  await tx
    .update(parkedItem)
    .set({ decision, payload: new Uint8Array() })
    .where(and(eq(parkedItem.lane, lane), inArray(parkedItem.seq, [...seqs])));
  await forgetDecided(tx, lane);
}

/** Marks of items whose outbox row is gone tell nobody anything. */
async function forgetDecided(tx: Queryable, lane: UplinkLane): Promise<void> {
  const oldest = sql`coalesce((select min(${cloudEvent.firstSeq}) from ${cloudEvent} where ${cloudEvent.lane} = ${lane}), ${Number.MAX_SAFE_INTEGER}::bigint)`;
  await tx
    .delete(parkedItem)
    .where(and(eq(parkedItem.lane, lane), sql`${parkedItem.decision} is not null`, sql`${parkedItem.seq} < ${oldest}`));
}

function selected({ notRefusedBy, notAroundMs, ...filter }: ReplayFilter) {
  return and(
    undecided(filter),
    notRefusedBy === undefined ? undefined : ne(parkedItem.refusedBy, notRefusedBy),
    notAroundMs === undefined
      ? undefined
      : notBetween(parkedItem.parkedMs, Math.round(notAroundMs - ROOM_WAIT_MS), Math.round(notAroundMs)),
  );
}

function undecided({ lane, seq, code }: ParkedFilter) {
  return and(
    isNull(parkedItem.decision),
    lane === undefined ? undefined : eq(parkedItem.lane, lane),
    seq === undefined ? undefined : eq(parkedItem.seq, seq),
    code === undefined ? undefined : eq(parkedItem.code, code),
  );
}

/** Items of this edge hold one change each. */
function readContent(lane: UplinkLane, payload: Uint8Array): ParkedContent {
  try {
    if (lane === "telemetry") {
      const { entityIds, tsMs, values } = decodeTelemetry(payload, 1);
      const [entityId] = entityIds;
      const [at] = tsMs;
      return entityId === undefined || at === undefined
        ? { kind: "unreadable" }
        : { kind: "record", entityId, tsMs: at, values };
    }
    const [change, ...more] = decodeItems(payload, 1)[0]?.changes ?? [];
    if (change === undefined) return { kind: "unreadable" };
    return { kind: "change", change, ...(more.length === 0 ? {} : { more }) };
  } catch {
    return { kind: "unreadable" };
  }
}
