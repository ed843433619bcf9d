import { and, eq, lt, ne, sql } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { AlarmSeverity } from "../entities/alarm.ts";
import type { Json } from "../entities/entity-record.ts";
import type { AlarmTransition, NotificationState, NotifiedAlarm, StoredTarget } from "../entities/notification.ts";
import type { ClaimedNotification, NotificationClaim, NotificationJobStore } from "../notifications/job.ts";
import type { NotificationTarget } from "../notifications/sender.ts";
import type { Page, PageRequest } from "./entity-store.ts";
import { notification } from "./notification-tables.ts";
import { readTablePage } from "./table-page.ts";
import type { Queryable } from "./unit-of-work.ts";

// What is to be told of alarms, as rows that a trigger writes in the transaction of the change. A row is claimed by one process for LEASE_MS and
// marked when it was sent: of a process that dies in between, another one sends it again under the same id.

/** More than sending may take. */
const LEASE_MS = 60_000;

interface ClaimedRow extends Record<string, unknown> {
  readonly id: Uuid;
  readonly rule_id: Uuid;
  readonly rule_name: string;
  readonly transition: AlarmTransition;
  readonly attempts: number;
  readonly alarm: AlarmRow;
  readonly target: StoredTarget;
  readonly webhook_secret: string | null;
  readonly originator_name: string | null;
}

/** A row of the table of alarms as JSON. */
interface AlarmRow {
  readonly id: Uuid;
  readonly originator_id: Uuid;
  readonly originator_type: string;
  readonly type: string;
  readonly severity: AlarmSeverity;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly ack_ms: number;
  readonly clear_ms: number;
  readonly details: Json;
}

/** Takes what is due, the longest due first; nobody else gets it for a while. */
async function claimNotifications(
  db: Queryable,
  { countMax, nowMs }: { readonly countMax: number; readonly nowMs: number },
): Promise<readonly ClaimedNotification[]> {
  const now = Math.round(nowMs);
  const rows = await db.execute<ClaimedRow>(sql`
    with due as (
      select id from notification where state = 'QUEUED' and due_ms <= ${now}::bigint
      order by due_ms limit ${countMax}::int for update skip locked
    ), claimed as (
      update notification n set attempts = attempts + 1, due_ms = ${now + LEASE_MS}::bigint
      from due where n.id = due.id returning n.*
    )
    select c.id, c.rule_id, c.transition, c.attempts, c.alarm, r.name as rule_name, r.target, r.webhook_secret,
      (select o.name from alarm_originator o where o.id = (c.alarm ->> 'originator_id')::uuid) as originator_name
    from claimed c join notification_rule r on r.id = c.rule_id order by c.created_ms, c.id`);
  return rows.map((row) => ({
    notification: {
      id: row.id,
      transition: row.transition,
      rule: { id: row.rule_id, name: row.rule_name },
      originator: { type: row.alarm.originator_type, id: row.alarm.originator_id, name: row.originator_name },
      alarm: toNotifiedAlarm(row.alarm),
    },
    target: toTarget(row.target, row.webhook_secret),
    attempts: row.attempts,
  }));
}

function toNotifiedAlarm(row: AlarmRow): NotifiedAlarm {
  const { id, type, severity, start_ms, end_ms, ack_ms, clear_ms, details } = row;
  return { id, type, severity, startMs: start_ms, endMs: end_ms, ackMs: ack_ms, clearMs: clear_ms, details };
}

function toTarget(target: StoredTarget, secret: string | null): NotificationTarget {
  return target.type === "WEBHOOK" ? { ...target, secret: () => secret ?? "" } : target;
}

/** Does nothing when the claim has run out, and another process has it. */
async function markSent(db: Queryable, { attempts, id }: NotificationClaim, nowMs: number): Promise<void> {
  await db
    .update(notification)
    .set({ state: "SENT", sentMs: Math.round(nowMs), error: null })
    .where(and(eq(notification.id, id), eq(notification.attempts, attempts), eq(notification.state, "QUEUED")));
}

/** @param dueMs when it is tried again; null: never */
async function markFailed(
  db: Queryable,
  { attempts, id }: NotificationClaim,
  { dueMs, error }: { readonly dueMs: number | null; readonly error: string },
): Promise<void> {
  const set = dueMs === null ? { state: "FAILED", error } : { dueMs: Math.round(dueMs), error };
  await db
    .update(notification)
    .set(set)
    .where(and(eq(notification.id, id), eq(notification.attempts, attempts), eq(notification.state, "QUEUED")));
}

/** Those that are done with. @returns how many */
async function removeOldNotifications(db: Queryable, beforeMs: number): Promise<number> {
  const gone = await db
    .delete(notification)
    .where(and(lt(notification.createdMs, Math.round(beforeMs)), ne(notification.state, "QUEUED")))
    .returning({ id: notification.id });
  return gone.length;
}

/** The rows as the job that sends them sees them. */
export function createNotificationJobStore(db: Queryable): NotificationJobStore {
  return {
    claim: (options) => claimNotifications(db, options),
    markSent: (claim, nowMs) => markSent(db, claim, nowMs),
    markFailed: (claim, failure) => markFailed(db, claim, failure),
    removeOld: (beforeMs) => removeOldNotifications(db, beforeMs),
  };
}

export interface NotificationRecord {
  readonly id: Uuid;
  readonly ruleId: Uuid;
  readonly alarmId: Uuid;
  readonly alarmType: string;
  readonly severity: string;
  readonly transition: AlarmTransition;
  readonly state: NotificationState;
  readonly attempts: number;
  readonly createdMs: number;
  /** When it is tried next; null: it is not. */
  readonly dueMs: number | null;
  readonly sentMs: number | null;
  readonly error: string | null;
}

export function listNotifications(
  db: Queryable,
  { state, tenantId }: { readonly tenantId: Uuid; readonly state: NotificationState | null },
  page: PageRequest,
): Promise<Page<NotificationRecord>> {
  const { createdMs, id } = notification;
  const where = and(eq(notification.tenantId, tenantId), state === null ? undefined : eq(notification.state, state));
  const sortable = { "": createdMs, createdTime: createdMs };
  return readTablePage(db, { table: notification, where, key: id, sortable, toItem: toRecord }, page);
}

function toRecord(row: typeof notification.$inferSelect): NotificationRecord {
  const { alarmId, alarm, attempts, createdMs, dueMs, error, id, ruleId, sentMs, state, transition } = row;
  const { severity, type } = alarm as AlarmRow; // written by the trigger only, as are ids, states and transitions
  return {
    id: id as Uuid,
    ruleId: ruleId as Uuid,
    alarmId: alarmId as Uuid,
    alarmType: type,
    severity,
    transition: transition as AlarmTransition,
    state: state as NotificationState,
    attempts,
    createdMs,
    dueMs: state === "QUEUED" ? dueMs : null,
    sentMs,
    error,
  };
}

/** Cloud, until the commit: of changes of alarms from now on an edge tells by these rules, and nobody else. */
export async function setToldByEdge(tx: Queryable, ruleIds: readonly Uuid[]): Promise<void> {
  await tx.execute(sql`select set_config('skerry.told_by_edge', ${ruleIds.join(",")}, true)`);
}

/** Edge, until the commit: of changes of alarms from now on this edge tells by these rules. */
export async function setTelling(tx: Queryable, ruleIds: readonly Uuid[]): Promise<void> {
  await tx.execute(sql`select set_config('skerry.telling', ${ruleIds.join(",")}, true)`);
}
