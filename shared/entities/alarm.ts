import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "./change.ts";
import type { Json } from "./entity-record.ts";
import { idText, parsePeerJson, shortText, timeMs } from "./peer-json.ts";

// An alarm as both sides keep it. Either side may make, change, acknowledge, clear and assign it while there is no link; what they hold
// is joined by mergeAlarms, which gives the same whatever the order and number of times: nobody has to decide, and nothing is lost.
// - acknowledging and clearing are for ever; of two times the earlier one stays
// - severity, details, times and propagation are one edit: the newest stays
// - of two assignments (or ends of one) the newest stays
// - an originator has one active alarm of a type: two made at once on two sides are one, with the lower of their ids

/** Highest first. */
export const ALARM_SEVERITIES = ["CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE"] as const;
export type AlarmSeverity = (typeof ALARM_SEVERITIES)[number];

/** What an edit of an alarm changes as a whole. */
export interface AlarmContent {
  readonly severity: AlarmSeverity;
  readonly startMs: number;
  readonly endMs: number;
  readonly details: Json;
  readonly propagate: boolean;
  readonly propagateToOwner: boolean;
  readonly propagateToTenant: boolean;
  /** Empty: along relations of any type. */
  readonly propagateRelationTypes: readonly string[];
}

export interface Alarm extends AlarmContent {
  readonly id: Uuid;
  readonly originator: EntityRef;
  readonly type: string;
  readonly createdMs: number;
  /** When its content was edited last. */
  readonly editedMs: number;
  /** 0: not acknowledged. */
  readonly ackMs: number;
  /** 0: active. */
  readonly clearMs: number;
  readonly assigneeId: Uuid | null;
  /** When it was assigned, or unassigned, last; 0: never. */
  readonly assignMs: number;
}

/** An alarm with all that is needed to join it with what the other side has of it. */
export interface AlarmRecord extends Alarm {
  /** Ids under which it was known before it was joined with another one, in order. */
  readonly formerIds: readonly Uuid[];
}

/** What both sides know of one alarm. Commutative, associative and idempotent. */
export function mergeAlarms(one: AlarmRecord, other: AlarmRecord): AlarmRecord {
  const [id = one.id, ...formerIds] = [
    ...new Set([one, other].flatMap((alarm) => [alarm.id, ...alarm.formerIds])),
  ].sort();
  const edited = later(one, other, (alarm) => [alarm.editedMs, JSON.stringify(contentOf(alarm))]);
  const assigned = later(one, other, (alarm) => [alarm.assignMs, alarm.assigneeId ?? ""]);
  return {
    ...contentOf(edited),
    id,
    formerIds,
    originator: one.originator,
    type: one.type,
    createdMs: Math.min(one.createdMs, other.createdMs),
    editedMs: edited.editedMs,
    ackMs: earlierTime(one.ackMs, other.ackMs),
    clearMs: earlierTime(one.clearMs, other.clearMs),
    assigneeId: assigned.assigneeId,
    assignMs: assigned.assignMs,
  };
}

export function isSameAlarm(one: AlarmRecord, other: AlarmRecord): boolean {
  return alarmBody(one) === alarmBody(other);
}

/** The record as JSON, with its fields in one order. */
export function alarmBody(alarm: AlarmRecord): string {
  const { id, formerIds, originator, type, createdMs, editedMs, ackMs, clearMs, assigneeId, assignMs } = alarm;
  const { type: originatorType, id: originatorId } = originator;
  return JSON.stringify({
    id,
    formerIds,
    originator: { type: originatorType, id: originatorId },
    type,
    createdMs,
    ...contentOf(alarm),
    editedMs,
    ackMs,
    clearMs,
    assigneeId,
    assignMs,
  });
}

export function contentOf(alarm: AlarmContent): AlarmContent {
  const { severity, startMs, endMs, details, propagate, propagateToOwner, propagateToTenant, propagateRelationTypes } =
    alarm;
  return { severity, startMs, endMs, details, propagate, propagateToOwner, propagateToTenant, propagateRelationTypes };
}

/** The one whose time is later; of one time the one whose text is greater, so that both sides choose the same. */
function later(
  one: AlarmRecord,
  other: AlarmRecord,
  rank: (alarm: AlarmRecord) => readonly [number, string],
): AlarmRecord {
  const [[oneMs, oneText], [otherMs, otherText]] = [rank(one), rank(other)];
  return oneMs > otherMs || (oneMs === otherMs && oneText >= otherText) ? one : other;
}

/** 0 is no time. */
function earlierTime(one: number, other: number): number {
  return one === 0 || other === 0 ? Math.max(one, other) : Math.min(one, other);
}

/** More ids than this of one alarm are a fault. */
const FORMER_IDS_MAX = 100;
const RELATION_TYPES_MAX = 100;

const alarmRecordSchema: z.ZodType<AlarmRecord> = z.object({
  id: idText,
  formerIds: z.array(idText).max(FORMER_IDS_MAX),
  originator: z.object({ type: shortText, id: idText }),
  type: shortText.min(1),
  createdMs: timeMs,
  severity: z.enum(ALARM_SEVERITIES),
  startMs: timeMs,
  endMs: timeMs,
  // Out of JSON.parse; kept without a look inside.
  details: z.unknown().transform((details) => (details ?? null) as Json),
  propagate: z.boolean(),
  propagateToOwner: z.boolean(),
  propagateToTenant: z.boolean(),
  propagateRelationTypes: z.array(shortText).max(RELATION_TYPES_MAX),
  editedMs: timeMs,
  ackMs: timeMs,
  clearMs: timeMs,
  assigneeId: idText.nullable(),
  assignMs: timeMs,
});

/** The record in the body of an AlarmSaved. @throws AppError INVALID_ARGUMENT that names the field */
export function parseAlarmRecord(text: string): AlarmRecord {
  return parsePeerJson(text, { what: "an alarm", schema: alarmRecordSchema });
}
