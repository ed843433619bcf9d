import { and, eq, sql } from "drizzle-orm";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError, type ErrorCode } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { addRange, gapsBelow, prefixEnd, unionOf } from "../../shared/core/seq-range.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { inOrderFrom, planTelemetry } from "../../shared/sync/course.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import type { Ack, Hello, LaneCourse, LaneOffer, LaneTag, Rejection } from "../../shared/sync/frames.ts";
import type { ItemTag } from "../../shared/wire/item-tag.ts";
import { replayUnsupported } from "./downlink-replay.ts";
import { requestFullSync, runTransaction } from "./downlink-store.ts";
import { admitMachine, CONFLICT_RETRY_MS, resumeDownlinks } from "./edge-identity.ts";
import { readEdgeSettings } from "./edge-settings.ts";
import { edge, edgeEventAck, edgeEventRejection, edgeSync, edgeUplink } from "./schema.ts";
import { recordConnect, recordFence } from "./session-history.ts";
import { findMissedAcks, type OpenedLane } from "./uplink-rejections.ts";
import type { UplinkPosition } from "./uplink.ts";

// Sessions of edges as the database sees them: fencing, what is committed, presence. A session may write only while its number is
// the newest of its edge; the rows that it writes carry that number, so that the check is part of the write.

export interface EdgeAccount {
  readonly edgeId: Uuid;
  readonly tenantId: Uuid;
  readonly name: string;
  readonly type: string;
  readonly secretHash: string;
}

export interface OpenedSession {
  readonly session: number;
  /** Whether another replica held the session before, and may not know yet that it is over. */
  readonly isTakenOver: boolean;
  readonly courses: readonly LaneCourse[];
  /** What the newest item of each lane is whose tag is known. */
  readonly tags: readonly LaneTag[];
  readonly downlinkResume: number;
  /** The last downlink whose acknowledgement was stored here. */
  readonly downlinkAcked: number;
  /** Acknowledgements of uplinks that the edge does not know of. */
  readonly missedAcks: readonly Ack[];
  readonly settings: EdgeSettings;
  /** Why not everything continues where it ended; for the log. */
  readonly notes: readonly string[];
}

/** The edge with this routing key, when the secret fits, or the one before it still does. `secretHash` is made by hashEdgeSecret. */
export async function findEdgeByCredentials(
  db: Queryable,
  {
    routingKey,
    secretHash,
    nowMs,
  }: { readonly routingKey: string; readonly secretHash: string; readonly nowMs: number },
): Promise<EdgeAccount | null> {
  const [row] = await db.select().from(edge).where(eq(edge.routingKey, routingKey));
  if (row === undefined || !opensSessions(row, secretHash, nowMs)) return null;
  const { id, tenantId, name, type } = row;
  return { edgeId: id as Uuid, tenantId: tenantId as Uuid, name, type, secretHash }; // columns written from Uuids
}

/**
 * Makes `hello` the newest session of the edge and says where its lanes go on. Waits for what an older session is committing.
 *
 * @throws AppError NOT_FOUND when the edge was deleted, UNAUTHENTICATED when its secret was changed since the account was read,
 *   IDENTITY_CONFLICT when another machine speaks for the edge, STORE_MISMATCH when the edge's database is older than what it sent before
 */
export async function openSession(
  db: Queryable,
  account: EdgeAccount,
  hello: Hello,
  deps: { readonly cloudId: Uuid; readonly replicaId: Uuid; readonly clock: Clock },
): Promise<OpenedSession> {
  const opened = await runTransaction(db, async (tx) => {
    const { edgeId } = account;
    const nowMs = Math.round(deps.clock.nowMs());
    const [before] = await tx.select().from(edgeSync).where(eq(edgeSync.edgeId, edgeId)).for("update");
    if (before === undefined) throw new AppError("NOT_FOUND", "The edge was deleted in the cloud");
    await guardSecret(tx, account, nowMs);
    const machine = admitMachine(before, hello.machineId, nowMs);
    if (machine === null) {
      await tx.update(edgeSync).set({ conflictMs: nowMs }).where(eq(edgeSync.edgeId, edgeId));
      return null;
    }
    const session = before.session + 1;
    await tx.update(edgeUplink).set({ session }).where(eq(edgeUplink.edgeId, edgeId));
    const courses: LaneCourse[] = [];
    const lanes: OpenedLane[] = [];
    const tags: LaneTag[] = [];
    const notes: string[] = [];
    for (const offer of hello.lanes) {
      const { committed, tag, note } = await openLane(tx, { edgeId, storeId: hello.storeId, session, offer });
      courses.push(...planLanes(offer, committed, hello));
      lanes.push({ lane: offer.lane, ackedSeq: offer.ackedSeq, committed });
      if (tag !== null) tags.push({ lane: offer.lane, ...tag });
      if (note !== null) notes.push(note);
    }
    const missedAcks = await findMissedAcks(tx, { edgeId, storeId: hello.storeId, lanes, nowMs });
    const resume = await resumeDownlinks(tx, hello, { before, cloudId: deps.cloudId });
    // A full sync covers what was refused before it; else the edge says again what was not heard here.
    const downlinkAcked = resume.fullSync ? resume.seq : Math.min(before.downlinkAcked, resume.seq);
    if (resume.note !== null) notes.push(resume.note);
    await tx
      .update(edgeSync)
      .set({
        session,
        secretHash: account.secretHash,
        storeId: hello.storeId,
        edgeVersion: hello.edgeVersion,
        clockSkewMs: Math.round(hello.wallClockMs - nowMs),
        replicaId: deps.replicaId,
        connectedMs: nowMs,
        reason: null,
        downlinkLast: Math.max(before.downlinkLast, resume.seq),
        downlinkAcked,
        downlinkSent: resume.seq,
        settingsTold: before.settingsChanged,
        machineId: machine.machineId,
        displacedMachines: [...machine.displacedMachines],
        ...(notes.length === 0 ? {} : { notice: notes.join("; "), noticeMs: nowMs }),
      })
      .where(eq(edgeSync.edgeId, edgeId));
    const { edgeVersion } = hello;
    await recordConnect(tx, { edgeId, session, replicaId: deps.replicaId, edgeVersion, nowMs });
    if (resume.fullSync) await requestFullSync(tx, { clock: deps.clock }, edgeId);
    const isTakenOver = before.replicaId !== null && before.replicaId !== deps.replicaId;
    const replayed = await replayUnsupported(tx, { edgeId, edgeVersion: hello.edgeVersion, nowMs });
    if (replayed > 0) notes.push(`${replayed} downlinks that version ${hello.edgeVersion} may know are sent again`);
    // The row is locked: whoever changes them later counts it there.
    const settings = await readEdgeSettings(tx, edgeId);
    const place = { downlinkResume: resume.seq, downlinkAcked, missedAcks };
    return { session, isTakenOver, courses, tags, ...place, settings, notes };
  });
  // That it was refused is kept all the same.
  if (opened !== null) return opened;
  throw new AppError("IDENTITY_CONFLICT", "Another machine with the identity of this edge is connected", {
    retryAfterMs: CONFLICT_RETRY_MS,
  });
}

/** Who changes a secret fences the sessions after it, under the lock that the caller holds: one of both sees the other. */
async function guardSecret(tx: Queryable, { edgeId, secretHash }: EdgeAccount, nowMs: number): Promise<void> {
  const [row] = await tx.select().from(edge).where(eq(edge.id, edgeId));
  if (row === undefined || !opensSessions(row, secretHash, nowMs))
    throw new AppError("UNAUTHENTICATED", "Key or secret of the edge were changed");
}

type Secrets = Pick<typeof edge.$inferSelect, "secretHash" | "oldSecretHash" | "oldSecretUntilMs">;

function opensSessions(
  { secretHash, oldSecretHash, oldSecretUntilMs }: Secrets,
  shown: string,
  nowMs: number,
): boolean {
  if (equalInConstantTime(secretHash, shown)) return true;
  const isOldGood = oldSecretHash !== null && oldSecretUntilMs !== null && nowMs < oldSecretUntilMs;
  return isOldGood && equalInConstantTime(oldSecretHash, shown);
}

/**
 * Takes every session so far the right to write, and says that the edge is not connected.
 *
 * @returns the number that a session needs at least
 */
export async function fenceSessions(
  tx: Queryable,
  edgeId: Uuid,
  { reason, nowMs }: { readonly reason: ErrorCode; readonly nowMs: number },
): Promise<number> {
  const [row] = await tx
    .update(edgeSync)
    .set({
      session: sql`${edgeSync.session} + 1`,
      replicaId: null,
      disconnectedMs: sql`case when ${edgeSync.replicaId} is null then ${edgeSync.disconnectedMs} else ${Math.round(nowMs)}::bigint end`,
      reason: sql`case when ${edgeSync.replicaId} is null then ${edgeSync.reason} else ${reason} end`,
    })
    .where(eq(edgeSync.edgeId, edgeId))
    .returning({ session: edgeSync.session });
  const session = row?.session ?? 0;
  await tx.update(edgeUplink).set({ session }).where(eq(edgeUplink.edgeId, edgeId));
  await recordFence(tx, edgeId, { reason, nowMs });
  return session;
}

interface LaneOpening {
  readonly edgeId: Uuid;
  readonly storeId: Uuid;
  readonly session: number;
  readonly offer: LaneOffer;
}

function planLanes(
  { lane, nextSeq }: LaneOffer,
  committed: readonly SeqRange[],
  { backlogOrder }: Hello,
): readonly LaneCourse[] {
  if (lane === "telemetry") return planTelemetry({ committed, nextSeq, order: backlogOrder });
  return [{ lane, course: inOrderFrom(prefixEnd(committed) + 1) }];
}

interface OpenedUplink {
  readonly committed: readonly SeqRange[];
  /** Of the newest sequence whose tag is known. */
  readonly tag: Pick<LaneTag, "seq" | "tag"> | null;
  readonly note: string | null;
}

async function openLane(tx: Queryable, { edgeId, storeId, session, offer }: LaneOpening): Promise<OpenedUplink> {
  const { lane, nextSeq, oldestSeq, firstSeq } = offer;
  // What is below the first sequence of a store that was never seen belongs to the one before it.
  const [row] = await tx
    .insert(edgeUplink)
    .values({ edgeId, storeId, lane, session, committed: unionOf([{ first: 1, last: firstSeq - 1 }]) })
    .onConflictDoUpdate({ target: [edgeUplink.edgeId, edgeUplink.storeId, edgeUplink.lane], set: { session } })
    .returning({ committed: edgeUplink.committed, tag: edgeUplink.tag, tagSeq: edgeUplink.tagSeq });
  const before = row?.committed ?? [];
  const newest = before.at(-1)?.last ?? 0;
  if (newest >= nextSeq) {
    throw new AppError(
      "STORE_MISMATCH",
      `The edge's database continues lane ${lane} at ${nextSeq}, but ${newest} was received already: it was restored from a backup`,
    );
  }
  const lost = gapsBelow(before, oldestSeq);
  const tag = row === undefined || row.tag === null ? null : { seq: row.tagSeq, tag: row.tag };
  if (lost.length === 0) return { committed: before, tag, note: null };
  const committed = lost.reduce(addRange, before);
  await tx
    .update(edgeUplink)
    .set({ committed })
    .where(and(eq(edgeUplink.edgeId, edgeId), eq(edgeUplink.storeId, storeId), eq(edgeUplink.lane, lane)));
  const names = lost.map(({ first, last }) => `${first} to ${last}`).join(", ");
  return { committed, tag, note: `Lane ${lane} has a gap: ${names} are no longer on the edge` };
}

/**
 * Commits sequences in the transaction that applies them; the row stays locked until it commits. The newest `tag` is kept.
 *
 * @returns the newest sequence that is committed with it
 * @throws AppError SESSION_FENCED when the session is not the newest, a part of the range is committed already, or an item of config
 *   does not follow the last one
 */
export async function commitRange(
  tx: Queryable,
  position: UplinkPosition,
  { first, last }: SeqRange,
  tag: ItemTag | null,
): Promise<{ readonly newestSeq: number }> {
  const tagSeq = tag === null ? 0 : first + tag.offset;
  const range = sql`int8multirange(int8range(${first}, ${last + 1}))`;
  const [row] = await tx
    .update(edgeUplink)
    .set({
      committed: sql`${edgeUplink.committed} + ${range}`,
      tag: sql`case when ${tagSeq}::bigint > ${edgeUplink.tagSeq} then ${tag?.tag ?? null}::text else ${edgeUplink.tag} end`,
      tagSeq: sql`greatest(${edgeUplink.tagSeq}, ${tagSeq}::bigint)`,
    })
    .where(
      and(
        eq(edgeUplink.edgeId, position.edgeId),
        eq(edgeUplink.storeId, position.storeId),
        eq(edgeUplink.lane, position.lane),
        eq(edgeUplink.session, position.session),
        sql`not ${edgeUplink.committed} && ${range}`,
        position.lane === "config" ? sql`coalesce(upper(${edgeUplink.committed}), 1) = ${first}` : undefined,
      ),
    )
    .returning({ endSeq: sql<string | number>`upper(${edgeUplink.committed})` });
  if (row === undefined) throw new AppError("SESSION_FENCED", "A newer session of this edge took over");
  return { newestSeq: Number(row.endSeq) - 1 };
}

/**
 * The edge has committed downlinks up to `seq`, but for `rejections`.
 *
 * @throws AppError SESSION_FENCED when the session is not the newest; nothing changes then
 */
export function settleDownlinks(
  db: Queryable,
  settled: {
    readonly edgeId: Uuid;
    readonly session: number;
    readonly seq: number;
    readonly rejections: readonly Rejection[];
    readonly nowMs: number;
  },
): Promise<void> {
  return db.transaction(async (tx) => {
    const { edgeId, session, seq } = settled;
    const nowMs = Math.round(settled.nowMs);
    const moved = await tx
      .update(edgeSync)
      .set({ downlinkAcked: sql`greatest(${edgeSync.downlinkAcked}, ${seq})` })
      .where(and(eq(edgeSync.edgeId, edgeId), eq(edgeSync.session, session)))
      .returning({ edgeId: edgeSync.edgeId });
    if (moved.length === 0) throw new AppError("SESSION_FENCED", "A newer session of this edge took over");
    await tx.insert(edgeEventAck).values({ edgeId, lastSeq: seq, ackedMs: nowMs }).onConflictDoNothing();
    const rows = settled.rejections.map((rejection) => ({
      edgeId,
      seq: rejection.seq,
      code: rejection.code,
      reason: rejection.text,
      edgeVersion: rejection.version,
      rejectedMs: nowMs,
    }));
    if (rows.length > 0) await tx.insert(edgeEventRejection).values(rows).onConflictDoNothing();
  });
}

/** A session ended; a newer one's presence is left alone. */
export async function closeSession(
  db: Queryable,
  edgeId: Uuid,
  { session, reason, nowMs }: { readonly session: number; readonly reason: string; readonly nowMs: number },
): Promise<void> {
  const endedMs = Math.round(nowMs);
  await db.execute(sql`
    with closed as (
      update edge_sync set replica_id = null, disconnected_ms = ${endedMs}::bigint, reason = ${reason}
      where edge_id = ${edgeId}::uuid and session = ${session}::bigint
    )
    update edge_session set disconnected_ms = ${endedMs}::bigint, reason = ${reason}
    where edge_id = ${edgeId}::uuid and session = ${session}::bigint and disconnected_ms is null`);
}

function equalInConstantTime(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < left.length; index += 1)
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index % Math.max(1, right.length));
  return difference === 0;
}
