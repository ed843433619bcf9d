import { and, eq, getTableColumns, inArray, lt, or, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { alarmBody, type Alarm, type AlarmRecord, type AlarmSeverity } from "../entities/alarm.ts";
import type { AlarmAction, AlarmRemoved, AlarmSaved, EntityRef } from "../entities/change.ts";
import type { Json } from "../entities/entity-record.ts";
import { isKindType } from "../entities/entity-types.ts";
import { alarmOriginator } from "./alarm-originator.ts";
import { alarm, alarmComment, alarmFormerId } from "./alarm-tables.ts";
import { entity } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Rows of alarms. Whoever writes one holds the row of its originator until the commit (lockOriginator): an originator has one active
// alarm of a type, and no alarm is left behind when its originator goes.

/** How long it is remembered that an alarm was deleted: what an edge says of it after that makes it anew. */
const DELETED_KEPT_MS = 90 * 24 * 3_600_000;
const FORGOTTEN_AT_ONCE_MAX = 100;

/** Held against other writers of its alarms and against deletion until the commit; false when it is not there. */
export async function lockOriginator(tx: Queryable, originator: EntityRef, tenantId: Uuid): Promise<boolean> {
  if (!isKindType(originator.type)) {
    await lockAlarmsOf(tx, originator.id);
    return (await findOriginator(tx, originator, tenantId)) !== null;
  }
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(and(eq(entity.id, originator.id), eq(entity.entityType, originator.type), eq(entity.tenantId, tenantId)))
    .for("no key update");
  return rows.length > 0;
}

/** Users, edges and tenants have rows that others write for other reasons: what is locked is their alarms. */
async function lockAlarmsOf(tx: Queryable, originatorId: Uuid): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`alarms ${originatorId}`}, 0))`);
}

/** What an alarm is of, or could be; null: it is not there, or another tenant's. */
export async function findOriginator(
  db: Queryable,
  { type, id }: EntityRef,
  tenantId: Uuid,
): Promise<{ readonly customerId: Uuid | null } | null> {
  const [row] = await db
    .select({ customerId: alarmOriginator.customerId })
    .from(alarmOriginator)
    .where(and(eq(alarmOriginator.id, id), eq(alarmOriginator.type, type), eq(alarmOriginator.tenantId, tenantId)));
  return row === undefined ? null : { customerId: row.customerId as Uuid | null }; // a uuid column
}

/** The alarm with this id, or that an alarm with this id has become. */
export async function findAlarm(db: Queryable, id: Uuid): Promise<AlarmRecord | null> {
  const current = db.select({ alarmId: alarmFormerId.alarmId }).from(alarmFormerId).where(eq(alarmFormerId.id, id));
  const rows = await db
    .select()
    .from(alarm)
    .where(or(eq(alarm.id, id), inArray(alarm.id, current)));
  const [record] = await toRecords(db, rows);
  return record ?? null;
}

/** Those of `ids` that are alarms now. */
export async function findAlarms(db: Queryable, ids: readonly Uuid[]): Promise<readonly AlarmRecord[]> {
  if (ids.length === 0) return [];
  return toRecords(
    db,
    await db
      .select()
      .from(alarm)
      .where(inArray(alarm.id, [...ids])),
  );
}

export async function findActiveAlarm(
  db: Queryable,
  { originatorId, type }: { readonly originatorId: Uuid; readonly type: string },
): Promise<AlarmRecord | null> {
  const rows = await db
    .select()
    .from(alarm)
    .where(and(eq(alarm.originatorId, originatorId), eq(alarm.type, type), eq(alarm.clearMs, 0)));
  const [record] = await toRecords(db, rows);
  return record ?? null;
}

/** The same alarm, locked with its originator. @throws AppError NOT_FOUND, also for one of another tenant */
export async function lockAlarm(
  tx: Queryable,
  { alarmId, tenantId }: { readonly alarmId: Uuid; readonly tenantId: Uuid },
): Promise<AlarmRecord> {
  const found = await findAlarm(tx, alarmId);
  const isOwn = found !== null && (await lockOriginator(tx, found.originator, tenantId));
  // What it has become while the lock was waited for.
  const locked = isOwn ? await findAlarm(tx, alarmId) : null;
  if (locked === null) throw alarmNotFound(alarmId);
  return locked;
}

export function alarmNotFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `Alarm with id [${id}] is not found`);
}

/** Writes the row of an alarm whose originator is locked. */
export function putAlarm(tx: Queryable, record: Alarm): Promise<void> {
  return putAlarms(tx, [record]);
}

/** As `putAlarm`, in the order given; each alarm is there once. */
export async function putAlarms(tx: Queryable, records: readonly Alarm[]): Promise<void> {
  if (records.length === 0) return;
  const rows = JSON.stringify(records.map(toRow));
  await tx.execute(sql`
    insert into alarm select * from json_populate_recordset(null::alarm, ${rows}::text::json)
    on conflict (id) do update set ${ALL_COLUMNS}`);
}

/** `parts` become `whole`: rows, former ids and comments. */
export async function joinAlarms(
  tx: Queryable,
  { parts, whole, nowMs }: { readonly parts: readonly Alarm[]; readonly whole: AlarmRecord; readonly nowMs: number },
): Promise<void> {
  const gone = parts.map(({ id }) => id).filter((id) => id !== whole.id);
  if (gone.length > 0) await tx.delete(alarm).where(inArray(alarm.id, gone));
  if (whole.formerIds.length > 0) {
    await tx
      .update(alarmComment)
      .set({ alarmId: whole.id })
      .where(inArray(alarmComment.alarmId, [...whole.formerIds]));
    await tx.delete(alarmFormerId).where(eq(alarmFormerId.id, whole.id));
    await keepFormerIds(tx, whole.formerIds, { originatorId: whole.originator.id, alarmId: whole.id, nowMs });
  }
  // Last: what the cloud queues by it looks at the former ids.
  await putAlarm(tx, whole);
}

/** Deletes an alarm with its comments, and remembers that it was there. */
export async function eraseAlarm(tx: Queryable, record: AlarmRecord, nowMs: number): Promise<AlarmRemoved> {
  await tx.delete(alarmComment).where(eq(alarmComment.alarmId, record.id));
  await tx.delete(alarm).where(eq(alarm.id, record.id));
  const ids = [record.id, ...record.formerIds];
  await keepFormerIds(tx, ids, { originatorId: record.originator.id, alarmId: null, nowMs });
  const old = tx
    .select({ id: alarmFormerId.id })
    .from(alarmFormerId)
    .where(and(lt(alarmFormerId.endedMs, Math.round(nowMs - DELETED_KEPT_MS)), sql`${alarmFormerId.alarmId} is null`))
    .limit(FORGOTTEN_AT_ONCE_MAX);
  await tx.delete(alarmFormerId).where(inArray(alarmFormerId.id, old));
  return { kind: "alarm-removed", entity: alarmRef(record.id), originator: record.originator };
}

/** Of users, edges and tenants that go. */
export async function eraseOtherAlarmsOf(tx: Queryable, ids: readonly Uuid[]): Promise<void> {
  for (const id of ids) {
    await lockAlarmsOf(tx, id);
    await eraseAlarmsOf(tx, id);
  }
}

/** Everything of an originator that goes; its row is locked. */
export async function eraseAlarmsOf(tx: Queryable, originatorId: Uuid): Promise<void> {
  const own = tx.select({ id: alarm.id }).from(alarm).where(eq(alarm.originatorId, originatorId));
  await tx.delete(alarmComment).where(inArray(alarmComment.alarmId, own));
  await tx.delete(alarm).where(eq(alarm.originatorId, originatorId));
  await tx.delete(alarmFormerId).where(eq(alarmFormerId.originatorId, originatorId));
}

export interface FormerId {
  readonly originatorId: Uuid;
  /** null: it was deleted. */
  readonly alarmId: Uuid | null;
}

/** What is remembered of ids that are no alarms now. */
export async function findFormerIds(db: Queryable, ids: readonly Uuid[]): Promise<readonly FormerId[]> {
  const rows = await db
    .select({ originatorId: alarmFormerId.originatorId, alarmId: alarmFormerId.alarmId })
    .from(alarmFormerId)
    .where(inArray(alarmFormerId.id, [...ids]));
  // Ids are uuid columns.
  return rows.map((row) => ({ originatorId: row.originatorId as Uuid, alarmId: row.alarmId as Uuid | null }));
}

async function keepFormerIds(
  tx: Queryable,
  ids: readonly Uuid[],
  { originatorId, alarmId, nowMs }: FormerId & { readonly nowMs: number },
): Promise<void> {
  const endedMs = Math.round(nowMs);
  await tx
    .insert(alarmFormerId)
    .values(ids.map((id) => ({ id, originatorId, alarmId, endedMs })))
    .onConflictDoUpdate({ target: alarmFormerId.id, set: { alarmId, endedMs } });
}

export function alarmRef(id: Uuid): EntityRef {
  return { type: "ALARM", id };
}

export function alarmSaved(record: AlarmRecord, action: AlarmAction): AlarmSaved {
  const { id, originator } = record;
  return { kind: "alarm-saved", entity: alarmRef(id), originator, action, body: alarmBody(record) };
}

/** Rows with the ids that they had before. */
export async function toRecords(
  db: Queryable,
  rows: readonly (typeof alarm.$inferSelect)[],
): Promise<readonly AlarmRecord[]> {
  if (rows.length === 0) return [];
  const former = await db
    .select({ id: alarmFormerId.id, alarmId: alarmFormerId.alarmId })
    .from(alarmFormerId)
    .where(
      inArray(
        alarmFormerId.alarmId,
        rows.map(({ id }) => id),
      ),
    );
  return rows.map((row) => {
    const formerIds = former.filter(({ alarmId }) => alarmId === row.id).map(({ id }) => id as Uuid);
    return { ...toAlarm(row), formerIds: formerIds.sort() };
  });
}

export function toAlarm(row: typeof alarm.$inferSelect): Alarm {
  const { originatorType, originatorId, ...rest } = row;
  // Ids are uuid columns, and rows are written from an Alarm only.
  return {
    ...rest,
    id: row.id as Uuid,
    originator: { type: originatorType, id: originatorId as Uuid },
    severity: row.severity as AlarmSeverity,
    details: row.details as Json,
    propagateRelationTypes: row.propagateRelationTypes as string[],
    assigneeId: row.assigneeId as Uuid | null,
  };
}

const COLUMN_NAMES = new Map(
  Object.entries(getTableColumns(alarm)).map(([member, { name }]) => [member, name] as const),
);
const ALL_COLUMNS = sql.raw(Array.from(COLUMN_NAMES.values(), (name) => `${name} = excluded.${name}`).join(", "));

/** By the names of columns. */
function toRow({ originator, ...rest }: Alarm): Readonly<Record<string, unknown>> {
  const members = { ...rest, originatorId: originator.id, originatorType: originator.type };
  return Object.fromEntries(
    Object.entries(members).flatMap(([member, value]) => {
      const name = COLUMN_NAMES.get(member);
      return name === undefined ? [] : [[name, value]];
    }),
  );
}
