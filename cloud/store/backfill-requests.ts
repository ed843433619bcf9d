import { and, desc, eq, inArray, isNull, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { isBackfillOpen, type BackfillRecord } from "../../shared/entities/backfill.ts";
import {
  backfillSaved,
  lockBackfill,
  putBackfill,
  toStoredBackfill,
  type StoredBackfill,
} from "../../shared/store/backfill-store.ts";
import { backfill } from "../../shared/store/backfill-tables.ts";
import { toPage, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { isAssigned } from "./assignment-store.ts";
import { backfillEvent } from "./backfill-downlinks.ts";
import type { CloudUnitOfWork } from "./downlink-store.ts";
import { edgeEvent, edgeEventRejection } from "./schema.ts";

// Requests for history that people make in the cloud. They go down as downlinks, and edges tell how far they came.

const OPEN_MAX = 100;
/** Of those that have ended, per edge. */
const KEPT_MAX = 1_000;

export type BackfillQuestion = Pick<BackfillRecord, "entity" | "keys" | "startMs" | "endMs">;

/** @throws AppError NOT_FOUND when the entity is not on the edge, TOO_MANY_REQUESTS */
export async function requestBackfill(
  unitOfWork: CloudUnitOfWork,
  deps: StoreDeps,
  { edgeId, ...question }: BackfillQuestion & { readonly edgeId: Uuid },
): Promise<StoredBackfill> {
  return unitOfWork.runEvents(async (tx) => {
    const { entity, startMs } = question;
    if (!(await isAssigned(tx, { edgeId, entityId: entity.id })))
      throw new AppError("NOT_FOUND", `${entity.type} with id [${entity.id}] is not assigned to this edge`);
    await keepNewest(tx, edgeId);
    const open = await tx.$count(backfill, and(eq(backfill.edgeId, edgeId), backfill.isOpen));
    if (open >= OPEN_MAX)
      throw new AppError(
        "TOO_MANY_REQUESTS",
        `${OPEN_MAX} requests for history of this edge are open; wait for one to end`,
      );
    const createdMs = Math.round(deps.clock.nowMs());
    const id = createUuid(deps.clock, deps.random);
    const progress = { createdMs, state: "QUEUED", reason: null, nextMs: startMs, records: 0 } as const;
    const stored: StoredBackfill = { record: { id, ...question, ...progress }, edgeId, updatedMs: createdMs };
    await putBackfill(tx, stored);
    return { result: stored, events: [{ edgeId, ...backfillEvent(backfillSaved(stored.record)) }] };
  });
}

/** What has ended stays as it is. @throws AppError NOT_FOUND */
export function cancelBackfill(
  unitOfWork: CloudUnitOfWork,
  { clock }: Pick<StoreDeps, "clock">,
  { edgeId, id }: { readonly edgeId: Uuid; readonly id: Uuid },
): Promise<StoredBackfill> {
  return unitOfWork.runEvents(async (tx) => {
    const stored = await lockBackfill(tx, id);
    if (stored?.edgeId !== edgeId) throw notFound(id);
    if (!isBackfillOpen(stored.record)) return { result: stored, events: [] };
    const cancelled: StoredBackfill = {
      ...stored,
      record: { ...stored.record, state: "CANCELLED" },
      updatedMs: clock.nowMs(),
    };
    await putBackfill(tx, cancelled);
    return { result: cancelled, events: [{ edgeId, ...backfillEvent(backfillSaved(cancelled.record)) }] };
  });
}

/** @throws AppError NOT_FOUND */
export async function getBackfill(
  db: Queryable,
  { edgeId, id }: { readonly edgeId: Uuid; readonly id: Uuid },
): Promise<StoredBackfill> {
  const rows = await db
    .select()
    .from(backfill)
    .where(and(eq(backfill.edgeId, edgeId), eq(backfill.id, id)));
  const [stored] = await withRefusals(db, edgeId, rows.map(toStoredBackfill));
  if (stored === undefined) throw notFound(id);
  return stored;
}

/** Newest first. */
export async function listBackfills(db: Queryable, edgeId: Uuid, page: PageRequest): Promise<Page<StoredBackfill>> {
  const where = eq(backfill.edgeId, edgeId);
  const rows = await db
    .select()
    .from(backfill)
    .where(where)
    .orderBy(desc(backfill.createdMs), desc(backfill.id))
    .limit(page.pageSize)
    .offset(page.pageSize * page.page);
  const total = await db.$count(backfill, where);
  return toPage(await withRefusals(db, edgeId, rows.map(toStoredBackfill)), total, page);
}

/** An edge that refused the downlink, say because it knows nothing of such requests, tells no more of it. */
async function withRefusals(
  db: Queryable,
  edgeId: Uuid,
  stored: readonly StoredBackfill[],
): Promise<readonly StoredBackfill[]> {
  const open = stored.filter(({ record }) => record.state === "QUEUED").map(({ record }) => record.id);
  if (open.length === 0) return stored;
  const id = sql<string>`${edgeEvent.body} ->> 'backfillId'`;
  const refusals = await db
    .select({ id, code: edgeEventRejection.code, reason: edgeEventRejection.reason })
    .from(edgeEventRejection)
    .innerJoin(
      edgeEvent,
      and(eq(edgeEvent.edgeId, edgeEventRejection.edgeId), eq(edgeEvent.seq, edgeEventRejection.seq)),
    )
    .where(
      and(
        eq(edgeEventRejection.edgeId, edgeId),
        isNull(edgeEventRejection.decision),
        eq(edgeEvent.action, "BACKFILL"),
        inArray(id, open),
      ),
    );
  const reasons = new Map(refusals.map(({ code, reason, ...refused }) => [refused.id, `${code}: ${reason}`]));
  return stored.map((one) => {
    const reason = reasons.get(one.record.id);
    return reason === undefined ? one : { ...one, record: { ...one.record, state: "FAILED", reason } };
  });
}

async function keepNewest(tx: Queryable, edgeId: Uuid): Promise<void> {
  const ended = and(eq(backfill.edgeId, edgeId), sql`not ${backfill.isOpen}`);
  const tooOld = tx
    .select({ id: backfill.id })
    .from(backfill)
    .where(ended)
    .orderBy(desc(backfill.createdMs), desc(backfill.id))
    .offset(KEPT_MAX);
  await tx.delete(backfill).where(inArray(backfill.id, tooOld));
}

function notFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `Request for history with id [${id}] is not found`);
}
