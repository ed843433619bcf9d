import { and, asc, eq, inArray, isNull, ne, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { isUuid } from "../../shared/core/ids.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { CloudUnitOfWork } from "./downlink-store.ts";
import { recordEvents } from "./downlink-store.ts";
import type { EdgeEvent, EdgeEventAction } from "./edge-event.ts";
import { edge, edgeEvent, edgeEventRejection, edgeSync } from "./schema.ts";

// Decisions about downlinks that an edge refused: sent again as a new row about the same entity, or given up. A rejection stays for
// the list, with what was decided.

/** Downlinks decided about in one transaction. */
const DECISIONS_MAX = 1_000;

export interface FailedDownlinks {
  readonly edgeId: Uuid;
  /** undefined: of any. */
  readonly code?: string | undefined;
  /** undefined: all, at most 1,000 at a time. */
  readonly seq?: number | undefined;
}

/** @returns the sequences of the new downlinks, in the order of the old ones */
export function replayFailed(unitOfWork: CloudUnitOfWork, failed: FailedDownlinks): Promise<readonly number[]> {
  return unitOfWork.runEvents(async (tx) => {
    const { events, seqs } = await prepareReplay(tx, failed);
    return { result: seqs, events };
  });
}

/** @returns how many were given up */
export async function discardFailed(db: Queryable, failed: FailedDownlinks): Promise<number> {
  const rows = await db
    .update(edgeEventRejection)
    .set({ decision: "discarded" })
    .where(undecided(failed))
    .returning({ seq: edgeEventRejection.seq });
  return rows.length;
}

/** Sends again what another version of the edge did not know. @returns how many */
export async function replayUnsupported(
  tx: Queryable,
  { edgeId, edgeVersion, nowMs }: { readonly edgeId: Uuid; readonly edgeVersion: string; readonly nowMs: number },
): Promise<number> {
  const { events, seqs } = await prepareReplay(tx, { edgeId, code: "UNSUPPORTED_ITEM", notOfVersion: edgeVersion });
  await recordEvents(tx, events, { nowMs });
  return seqs.length;
}

/** The sequence of a downlink that is named by it, or by the id of its row. @throws AppError NOT_FOUND, INVALID_ARGUMENT */
export async function findDownlinkSeq(db: Queryable, edgeId: Uuid, name: string): Promise<number> {
  if (/^\d{1,15}$/.test(name)) return Number(name);
  if (!isUuid(name)) throw new AppError("INVALID_ARGUMENT", "Expected the sequence or the id of an event");
  const [row] = await db
    .select({ seq: edgeEvent.seq })
    .from(edgeEvent)
    .where(and(eq(edgeEvent.edgeId, edgeId), eq(edgeEvent.id, name)));
  if (row === undefined) throw new AppError("NOT_FOUND", `Event with id [${name}] is not found`);
  return row.seq;
}

/** Refused downlinks that nobody has decided about, per tenant. */
export async function countFailedDownlinks(db: Queryable): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .select({ tenantId: edge.tenantId, failed: sql<number>`count(*)`.mapWith(Number) })
    .from(edgeEventRejection)
    .innerJoin(edge, eq(edge.id, edgeEventRejection.edgeId))
    .where(isNull(edgeEventRejection.decision))
    .groupBy(edge.tenantId);
  return new Map(rows.map(({ tenantId, failed }) => [tenantId, failed]));
}

interface ReplayFilter extends FailedDownlinks {
  /** Only what another version of the edge refused. */
  readonly notOfVersion?: string;
}

/** Marks the rejections and names the rows that stand for them; the caller records these in the same transaction, and nothing else. */
async function prepareReplay(
  tx: Queryable,
  filter: ReplayFilter,
): Promise<{ readonly events: readonly EdgeEvent[]; readonly seqs: readonly number[] }> {
  const { edgeId, notOfVersion } = filter;
  const rejected = await tx
    .select({ seq: edgeEventRejection.seq })
    .from(edgeEventRejection)
    .where(
      and(undecided(filter), notOfVersion === undefined ? undefined : ne(edgeEventRejection.edgeVersion, notOfVersion)),
    )
    .orderBy(asc(edgeEventRejection.seq))
    .limit(DECISIONS_MAX)
    .for("update");
  if (rejected.length === 0) return { events: [], seqs: [] };
  const seqs = rejected.map(({ seq }) => seq);
  const rows = await tx
    .select()
    .from(edgeEvent)
    .where(and(eq(edgeEvent.edgeId, edgeId), inArray(edgeEvent.seq, seqs)))
    .orderBy(asc(edgeEvent.seq));
  // Held until the commit: the rows get the numbers that follow.
  const [counter] = await tx
    .select({ last: edgeSync.downlinkLast })
    .from(edgeSync)
    .where(eq(edgeSync.edgeId, edgeId))
    .for("update");
  const last = counter?.last ?? 0;
  for (const [index, { seq }] of rows.entries()) {
    await tx
      .update(edgeEventRejection)
      .set({ decision: "replayed", replaySeq: last + 1 + index })
      .where(and(eq(edgeEventRejection.edgeId, edgeId), eq(edgeEventRejection.seq, seq)));
  }
  const events = rows.map(({ type, action, entityId, body }) => ({
    edgeId,
    type,
    // Written from an EdgeEvent.
    action: action as EdgeEventAction,
    entityId: entityId as Uuid,
    body: body as EdgeEvent["body"],
  }));
  return { events, seqs: rows.map((_, index) => last + 1 + index) };
}

function undecided({ edgeId, code, seq }: FailedDownlinks) {
  return and(
    eq(edgeEventRejection.edgeId, edgeId),
    isNull(edgeEventRejection.decision),
    code === undefined ? undefined : eq(edgeEventRejection.code, code),
    seq === undefined ? undefined : eq(edgeEventRejection.seq, seq),
  );
}
