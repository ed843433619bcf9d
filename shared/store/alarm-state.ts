import { and, desc, eq, gt } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { AlarmRecord } from "../entities/alarm.ts";
import type { AlarmChange, Change, EntityRef } from "../entities/change.ts";
import { commentSaved, findComment, findCommentsOf } from "./alarm-comment-store.ts";
import { alarmSaved, findAlarm, toRecords } from "./alarm-store.ts";
import { alarm } from "./alarm-tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Alarms as they are now, in the form of the changes that make them on the other side.

/** Cleared alarms that go with their originator; older ones are history that stays where it is. */
const CLEARED_MAX = 100;
/** Of all alarms of one originator, the newest. */
const COMMENTS_MAX = 1_000;

/** The alarms of an originator with their comments: what was cleared first, so that what is active meets nothing active there. */
export async function loadAlarmsOf(db: Queryable, originator: EntityRef): Promise<Change[]> {
  const [cleared, active] = await Promise.all([
    db
      .select()
      .from(alarm)
      .where(and(eq(alarm.originatorId, originator.id), gt(alarm.clearMs, 0)))
      .orderBy(desc(alarm.createdMs))
      .limit(CLEARED_MAX),
    selectActive(db, originator.id),
  ]);
  return withComments(db, originator, await toRecords(db, [...cleared.toReversed(), ...active]));
}

/** Those that are compared by digests. */
export async function loadActiveAlarms(db: Queryable, originator: EntityRef): Promise<Change[]> {
  return withComments(db, originator, await toRecords(db, await selectActive(db, originator.id)));
}

export async function loadAlarm(db: Queryable, alarmId: Uuid): Promise<Change[]> {
  const record = await findAlarm(db, alarmId);
  return record === null ? [] : [alarmSaved(record, "UPDATED")];
}

/** All that is known of it. */
export async function loadWholeAlarm(db: Queryable, alarmId: Uuid): Promise<Change[]> {
  const record = await findAlarm(db, alarmId);
  return record === null ? [] : withComments(db, record.originator, [record]);
}

/** Behind its alarm, which may not be on the other side. */
export async function loadAlarmComment(db: Queryable, commentId: Uuid): Promise<Change[]> {
  const comment = await findComment(db, commentId);
  const record = comment === null ? null : await findAlarm(db, comment.alarmId);
  if (comment === null || record === null) return [];
  const { originator } = record;
  return [alarmSaved(record, "UPDATED"), commentSaved(comment, { originator, action: "UPDATED_COMMENT" })];
}

/** What there is to say now of what a change was about; null: nothing. */
export async function currentAlarmChange(db: Queryable, change: AlarmChange): Promise<Change | null> {
  const { id } = change.entity;
  switch (change.kind) {
    case "alarm-saved":
      return (await loadAlarm(db, id))[0] ?? null;
    case "alarm-removed":
      return (await findAlarm(db, id)) === null ? change : null;
    case "alarm-comment-saved":
      return (await loadAlarmComment(db, id)).at(-1) ?? null;
    default:
      return change satisfies never;
  }
}

function selectActive(db: Queryable, originatorId: Uuid) {
  return db
    .select()
    .from(alarm)
    .where(and(eq(alarm.originatorId, originatorId), eq(alarm.clearMs, 0)));
}

async function withComments(db: Queryable, originator: EntityRef, records: readonly AlarmRecord[]): Promise<Change[]> {
  const comments = await findCommentsOf(
    db,
    records.map(({ id }) => id),
    COMMENTS_MAX,
  );
  return [
    ...records.map((record) => alarmSaved(record, "UPDATED")),
    ...comments.map((comment) => commentSaved(comment, { originator, action: "UPDATED_COMMENT" })),
  ];
}
