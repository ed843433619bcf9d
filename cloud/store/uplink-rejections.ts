import { and, asc, count, desc, eq, gt, lt, lte, ne, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { rangesAbove, type SeqRange } from "../../shared/core/seq-range.ts";
import { toPage, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Ack, Rejection } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { createMissedAcks } from "../../shared/sync/rejections.ts";
import { edgeUplinkRejection } from "./schema.ts";
import type { UplinkPosition } from "./uplink.ts";

// What this cloud refused of edges: written with the commit that passes it, told again until the edge's cursor is beyond: for a window
// above it, and while a backlog drains for what is ahead of it.

/** Rejections of a lane that stay for people when the edge has heard of them. */
const KEPT_FOR_PEOPLE = 1_000;
/** How long rejections of a database that the edge no longer has are kept. */
const OTHER_STORE_KEPT_MS = 90 * 24 * 3_600_000;
const ROWS_PER_INSERT = 5_000;

/** In the transaction that applies. */
export async function storeUplinkRejections(
  tx: Queryable,
  { edgeId, storeId, lane }: UplinkPosition,
  { rejections, nowMs }: { readonly rejections: readonly Rejection[]; readonly nowMs: number },
): Promise<void> {
  const rejectedMs = Math.round(nowMs);
  for (let start = 0; start < rejections.length; start += ROWS_PER_INSERT) {
    const rows = rejections
      .slice(start, start + ROWS_PER_INSERT)
      .map(({ text: reason, ...rejection }) => ({ edgeId, storeId, lane, ...rejection, reason, rejectedMs }));
    await tx.insert(edgeUplinkRejection).values(rows);
  }
}

export interface OpenedLane {
  readonly lane: UplinkLane;
  /** Everything up to it is known to the edge to be committed. */
  readonly ackedSeq: number;
  readonly committed: readonly SeqRange[];
}

interface LaneKnowledge extends OpenedLane {
  readonly edgeId: Uuid;
  readonly storeId: Uuid;
}

export interface EdgeKnowledge {
  readonly edgeId: Uuid;
  readonly storeId: Uuid;
  readonly lanes: readonly OpenedLane[];
  readonly nowMs: number;
}

/** The edge knows less than what was committed here when acknowledgements were lost. @returns those that it has missed */
export async function findMissedAcks(
  tx: Queryable,
  { edgeId, storeId, lanes, nowMs }: EdgeKnowledge,
): Promise<readonly Ack[]> {
  const isRefused = await hasUplinkRejections(tx, edgeId);
  if (isRefused) await forgetOtherStores(tx, { edgeId, storeId, nowMs });
  const acks: Ack[] = [];
  for (const opened of lanes) {
    const rejections = isRefused ? await recallUplinkRejections(tx, { edgeId, storeId, ...opened }) : [];
    acks.push(...acksAbove(opened, rejections));
  }
  return acks;
}

/** Of each range that the edge may not know of. */
function acksAbove({ lane, ackedSeq, committed }: OpenedLane, rejections: readonly Rejection[]): readonly Ack[] {
  return rangesAbove(committed, ackedSeq).flatMap(({ first, last }) => {
    const inRange = rejections.filter(({ seq }) => first <= seq && seq <= last);
    return createMissedAcks({ lane, ackedSeq: first - 1, upTo: last, rejections: inRange });
  });
}

/** Whether anything of this edge was ever refused and is kept: seldom. */
async function hasUplinkRejections(tx: Queryable, edgeId: Uuid): Promise<boolean> {
  const rows = await tx
    .select({ seq: edgeUplinkRejection.seq })
    .from(edgeUplinkRejection)
    .where(eq(edgeUplinkRejection.edgeId, edgeId))
    .limit(1);
  return rows.length > 0;
}

/** Forgets what the edge knows. @returns what it may not know, in order */
async function recallUplinkRejections(tx: Queryable, known: LaneKnowledge): Promise<readonly Rejection[]> {
  const { ackedSeq, committed } = known;
  const ofLane = laneCondition(known);
  const newest = tx
    .select({ seq: edgeUplinkRejection.seq })
    .from(edgeUplinkRejection)
    .where(ofLane)
    .orderBy(desc(edgeUplinkRejection.seq))
    .limit(1)
    .offset(KEPT_FOR_PEOPLE - 1);
  await tx
    .delete(edgeUplinkRejection)
    .where(and(ofLane, lte(edgeUplinkRejection.seq, ackedSeq), lt(edgeUplinkRejection.seq, sql`(${newest})`)));
  if (rangesAbove(committed, ackedSeq).length === 0) return [];
  const { seq, code, reason, version } = edgeUplinkRejection;
  return tx
    .select({ seq, code, text: reason, version })
    .from(edgeUplinkRejection)
    .where(and(ofLane, gt(seq, ackedSeq)))
    .orderBy(asc(seq));
}

/** Forgets, in time, what was refused of databases that the edge no longer has. */
async function forgetOtherStores(
  tx: Queryable,
  { edgeId, storeId, nowMs }: { readonly edgeId: Uuid; readonly storeId: Uuid; readonly nowMs: number },
): Promise<void> {
  await tx
    .delete(edgeUplinkRejection)
    .where(
      and(
        eq(edgeUplinkRejection.edgeId, edgeId),
        ne(edgeUplinkRejection.storeId, storeId),
        lt(edgeUplinkRejection.rejectedMs, nowMs - OTHER_STORE_KEPT_MS),
      ),
    );
}

function laneCondition({ edgeId, storeId, lane }: Pick<LaneKnowledge, "edgeId" | "storeId" | "lane">) {
  return and(
    eq(edgeUplinkRejection.edgeId, edgeId),
    eq(edgeUplinkRejection.storeId, storeId),
    eq(edgeUplinkRejection.lane, lane),
  );
}

export interface RefusedUplink extends Rejection {
  readonly lane: string;
  /** Database of the edge that the sequence belongs to. */
  readonly storeId: Uuid;
  readonly rejectedMs: number;
}

export interface RefusedUplinkFilter {
  readonly edgeId: Uuid;
  readonly lane?: UplinkLane | undefined;
  readonly code?: string | undefined;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listRefusedUplinks(
  db: Queryable,
  { edgeId, lane, code }: RefusedUplinkFilter,
  page: PageRequest,
): Promise<Page<RefusedUplink>> {
  const table = edgeUplinkRejection;
  const where = and(
    eq(table.edgeId, edgeId),
    lane === undefined ? undefined : eq(table.lane, lane),
    code === undefined ? undefined : eq(table.code, code),
  );
  const order = page.sortOrder === "DESC" ? desc : asc;
  if (!["", "parkedTime", "createdTime", "seq"].includes(page.sortProperty ?? ""))
    throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${page.sortProperty?.slice(0, 64)}'!`, {
      field: "sortProperty",
    });
  const [rows, totals] = await Promise.all([
    db
      .select()
      .from(table)
      .where(where)
      .orderBy(order(table.rejectedMs), order(table.lane), order(table.seq))
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db.select({ count: count() }).from(table).where(where),
  ]);
  // The column holds uuids.
  const data = rows.map(({ storeId, reason, ...row }) => ({ ...row, storeId: storeId as Uuid, text: reason }));
  return toPage(data, totals[0]?.count ?? 0, page);
}
