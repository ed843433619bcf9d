import { and, asc, count, desc, eq, inArray, isNull, lt, lte, max, min, not, or, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { RpcSaved } from "../entities/change.ts";
import {
  isRpcDone,
  parseRpcRecord,
  rpcBody,
  rpcStatus,
  withStep,
  type RpcRecord,
  type RpcStatus,
} from "../entities/rpc.ts";
import type { Page, PageRequest } from "./entity-store.ts";
import { rpc } from "./rpc-tables.ts";
import { readTablePage } from "./table-page.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Rows of requests to devices. Whoever changes one holds its row until the commit (lockRpc).

/** Requests of one device that wait; one more is refused. */
const OPEN_PER_DEVICE_MAX = 100;
/** How long a request is kept after its last change. */
export const RPC_KEPT_MS = 90 * 24 * 3_600_000;
/** One that is not persistent is of nobody's interest so long after its deadline. */
const CALL_KEPT_MS = 60_000;
const CHANGED_AT_ONCE_MAX = 500;

export interface StoredRpc {
  readonly record: RpcRecord;
  /** On the clock of this side; null: the other side says when it expires. */
  readonly deadlineMs: number | null;
  /** Edge: under which number the device knows it; null: it was not sent yet. */
  readonly requestNumber: number | null;
}

/** The row, locked until the commit; null when there is none. */
export async function lockRpc(tx: Queryable, id: Uuid): Promise<StoredRpc | null> {
  const [row] = await tx.select().from(rpc).where(eq(rpc.id, id)).for("update");
  return row === undefined ? null : toStored(row);
}

export async function findRpc(db: Queryable, id: Uuid): Promise<StoredRpc | null> {
  const [row] = await db.select().from(rpc).where(eq(rpc.id, id));
  return row === undefined ? null : toStored(row);
}

/** Those of `ids` that are there. */
export async function findRpcs(db: Queryable, ids: readonly Uuid[]): Promise<readonly RpcRecord[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .select()
    .from(rpc)
    .where(inArray(rpc.id, [...ids]));
  return rows.map((row) => toStored(row).record);
}

export async function putRpc(tx: Queryable, stored: StoredRpc, nowMs: number): Promise<void> {
  const { record, deadlineMs, requestNumber } = stored;
  const row = {
    id: record.id,
    deviceId: record.deviceId,
    isPersistent: record.isPersistent,
    status: rpcStatus(record),
    isOpen: !isRpcDone(record),
    createdMs: record.createdMs,
    expirationMs: record.expirationMs,
    deadlineMs: deadlineMs === null ? null : Math.round(deadlineMs),
    requestNumber,
    updatedMs: Math.round(nowMs),
    body: JSON.parse(rpcBody(record)) as unknown,
  };
  await tx.insert(rpc).values(row).onConflictDoUpdate({ target: rpc.id, set: row });
}

/**
 * A new request of this side; with an id that is there already nothing happens, so that a caller may repeat itself.
 *
 * @throws AppError TOO_MANY_REQUESTS, ALREADY_EXISTS when the id belongs to another device's
 */
export async function createRpc(tx: Queryable, record: RpcRecord, nowMs: number): Promise<Outcome<RpcRecord>> {
  const known = await lockRpc(tx, record.id);
  if (known !== null && (known.record.deviceId !== record.deviceId || !record.isPersistent))
    throw new AppError("ALREADY_EXISTS", `A request with the id ${record.id} exists already`, { field: "requestUUID" });
  if (known !== null) return { result: known.record, changes: [] };
  const [open] = await tx
    .select({ count: count() })
    .from(rpc)
    .where(and(eq(rpc.deviceId, record.deviceId), rpc.isOpen));
  if ((open?.count ?? 0) >= OPEN_PER_DEVICE_MAX)
    throw new AppError("TOO_MANY_REQUESTS", `${OPEN_PER_DEVICE_MAX} requests wait for the device already`);
  const stored = { record, deadlineMs: record.expirationMs, requestNumber: null };
  await putRpc(tx, stored, nowMs);
  return { result: record, changes: [rpcSaved(stored, nowMs)] };
}

/** The row stays for as long as something may be said of it, so that nothing brings it back. @throws AppError NOT_FOUND */
export async function deleteRpc(tx: Queryable, id: Uuid, nowMs: number): Promise<Outcome<void>> {
  const stored = await lockRpc(tx, id);
  if (stored === null || rpcStatus(stored.record) === "DELETED") throw rpcNotFound(id);
  const deleted = { ...stored, record: withStep(stored.record, { status: "DELETED", attempt: 0, atMs: round(nowMs) }) };
  await putRpc(tx, deleted, nowMs);
  return { result: undefined, changes: [rpcSaved(deleted, nowMs)] };
}

/** Ends what has not come to an end before its deadline. */
export async function expireRpcs(tx: Queryable, nowMs: number): Promise<Outcome<readonly RpcRecord[]>> {
  const rows = await tx
    .select()
    .from(rpc)
    .where(and(rpc.isOpen, rpc.isPersistent, lte(rpc.deadlineMs, round(nowMs))))
    .orderBy(asc(rpc.deadlineMs))
    .limit(CHANGED_AT_ONCE_MAX)
    .for("update");
  const changes: RpcSaved[] = [];
  const expired: RpcRecord[] = [];
  for (const row of rows) {
    const stored = toStored(row);
    const record = withStep(stored.record, { status: "EXPIRED", attempt: 0, atMs: round(nowMs) });
    await putRpc(tx, { ...stored, record }, nowMs);
    changes.push(rpcSaved({ ...stored, record }, nowMs));
    expired.push(record);
  }
  return { result: expired, changes };
}

/** What nobody asks for any more. @returns how many */
export async function removeOldRpcs(db: Queryable, nowMs: number): Promise<number> {
  // What an edge made and says nothing of any more is over, too.
  const isOver = or(not(rpc.isOpen), isNull(rpc.deadlineMs));
  const isCall = and(eq(rpc.isPersistent, false), lt(rpc.deadlineMs, round(nowMs - CALL_KEPT_MS)));
  const removed = await db
    .delete(rpc)
    .where(or(and(lt(rpc.updatedMs, round(nowMs - RPC_KEPT_MS)), isOver), isCall))
    .returning({ id: rpc.id });
  return removed.length;
}

export async function eraseRpc(tx: Queryable, id: Uuid): Promise<void> {
  await tx.delete(rpc).where(eq(rpc.id, id));
}

/** Of a device what is kept and may go on, oldest first. */
export async function findOpenRpcs(db: Queryable, deviceId: Uuid): Promise<readonly StoredRpc[]> {
  const rows = await db
    .select()
    .from(rpc)
    .where(and(eq(rpc.deviceId, deviceId), rpc.isOpen, rpc.isPersistent))
    .orderBy(asc(rpc.createdMs), asc(rpc.id))
    .limit(OPEN_PER_DEVICE_MAX);
  return rows.map(toStored);
}

/** Of these what may have to be sent. */
export async function findRpcsToSend(db: Queryable, deviceId: Uuid): Promise<readonly StoredRpc[]> {
  const rows = await db
    .select()
    .from(rpc)
    .where(and(eq(rpc.deviceId, deviceId), rpc.isOpen, rpc.isPersistent, inArray(rpc.status, TO_SEND)))
    .orderBy(asc(rpc.createdMs), asc(rpc.id))
    .limit(OPEN_PER_DEVICE_MAX);
  return rows.map(toStored);
}

const TO_SEND: RpcStatus[] = ["QUEUED", "SENT", "TIMEOUT"];

/** Devices for which something may have to be sent. */
export async function findDevicesToSendTo(db: Queryable): Promise<readonly Uuid[]> {
  const rows = await db
    .selectDistinct({ deviceId: rpc.deviceId })
    .from(rpc)
    .where(and(rpc.isOpen, rpc.isPersistent, inArray(rpc.status, TO_SEND)));
  return rows.map((row) => row.deviceId as Uuid); // the column holds uuids
}

/** What the device knows under this number and has not answered; the newest of them. */
export async function findNumberedRpc(
  db: Queryable,
  { deviceId, number }: { readonly deviceId: Uuid; readonly number: number },
): Promise<Uuid | null> {
  const [row] = await db
    .select({ id: rpc.id })
    .from(rpc)
    .where(and(eq(rpc.deviceId, deviceId), rpc.isOpen, eq(rpc.requestNumber, number)))
    .orderBy(desc(rpc.createdMs))
    .limit(1);
  return row === undefined ? null : (row.id as Uuid);
}

/** The number after those of all requests to the device that are kept. */
export async function nextRequestNumber(db: Queryable, deviceId: Uuid): Promise<number> {
  const [row] = await db
    .select({ last: max(rpc.requestNumber) })
    .from(rpc)
    .where(eq(rpc.deviceId, deviceId));
  return row?.last === null || row?.last === undefined ? 0 : row.last + 1;
}

/** The wall clock jumped: what waits has the same time left as before. */
export async function moveRpcDeadlines(tx: Queryable, byMs: number): Promise<void> {
  await tx
    .update(rpc)
    .set({ deadlineMs: sql`greatest(${rpc.deadlineMs} + ${round(byMs)}, 0)` })
    .where(sql`${rpc.isOpen}`);
}

/** null: nothing is left that could expire. */
export async function firstRpcDeadlineMs(db: Queryable): Promise<number | null> {
  const [row] = await db
    .select({ first: min(rpc.deadlineMs) })
    .from(rpc)
    .where(and(rpc.isOpen, rpc.isPersistent));
  return row?.first ?? null;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listRpcs(
  db: Queryable,
  { deviceId, status }: { readonly deviceId: Uuid; readonly status?: RpcStatus | undefined },
  page: PageRequest,
): Promise<Page<RpcRecord>> {
  const search = page.textSearch ?? "";
  const where = and(
    eq(rpc.deviceId, deviceId),
    rpc.isPersistent,
    status === undefined ? sql`${rpc.status} <> 'DELETED'` : eq(rpc.status, status),
    page.startTime === undefined ? undefined : sql`${rpc.createdMs} >= ${page.startTime}`,
    page.endTime === undefined ? undefined : sql`${rpc.createdMs} <= ${page.endTime}`,
    search === "" ? undefined : sql`strpos(lower(${rpc.body}->>'method'), lower(${search})) > 0`,
  );
  const sortable = {
    createdTime: rpc.createdMs,
    expirationTime: rpc.expirationMs,
    status: rpc.status,
    // No index has them: a device has few.
    request: sql`${rpc.body} ->> 'method'`,
    response: sql`${rpc.body} ->> 'response'`,
  };
  return await readTablePage(
    db,
    { table: rpc, where, key: rpc.id, sortable, toItem: (row) => toStored(row).record },
    page,
  );
}

export function rpcNotFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `Rpc with id [${id}] is not found`);
}

/** The change that says what is known of a request now. */
export function rpcSaved({ record, deadlineMs }: Pick<StoredRpc, "record" | "deadlineMs">, nowMs: number): RpcSaved {
  const { createdMs, deviceId, expirationMs } = record;
  const leftMs = deadlineMs === null ? expirationMs - createdMs : deadlineMs - nowMs;
  return {
    kind: "rpc-saved",
    entity: { type: "DEVICE", id: deviceId },
    body: rpcBody(record),
    leftMs: Math.max(0, Math.round(leftMs)),
  };
}

/** What there is to say now of a request that was said before; null: it is gone. */
export async function currentRpcChange(db: Queryable, change: RpcSaved): Promise<RpcSaved | null> {
  const stored = await findRpc(db, parseRpcRecord(change.body).id);
  return stored === null ? null : { ...change, body: rpcBody(stored.record) };
}

/** Whether there is a device of this tenant; it is kept from being deleted until the commit, and other writers of its requests wait. */
export async function lockRpcDevice(
  tx: Queryable,
  { deviceId, tenantId }: { readonly deviceId: Uuid; readonly tenantId: Uuid },
): Promise<boolean> {
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(and(eq(entity.id, deviceId), eq(entity.entityType, "DEVICE"), eq(entity.tenantId, tenantId)))
    .for("no key update");
  return rows.length > 0;
}

function toStored(row: typeof rpc.$inferSelect): StoredRpc {
  const { deadlineMs, requestNumber } = row;
  return { record: parseRpcRecord(JSON.stringify(row.body)), deadlineMs, requestNumber };
}

function round(ms: number): number {
  return Math.round(ms);
}
