import type { Uuid } from "../core/ids.ts";
import { commentBody, mergeComments, parseAlarmComment } from "../entities/alarm-comment.ts";
import { isSameAlarm, mergeAlarms, parseAlarmRecord, type AlarmRecord } from "../entities/alarm.ts";
import type { AlarmChange, AlarmCommentSaved, AlarmRemoved, AlarmSaved, Change } from "../entities/change.ts";
import { commentSaved, findComment, putComment } from "./alarm-comment-store.ts";
import {
  alarmRef,
  alarmSaved,
  eraseAlarm,
  findActiveAlarm,
  findAlarm,
  findAlarms,
  findFormerIds,
  joinAlarms,
  lockOriginator,
} from "./alarm-store.ts";
import { applied, orRejected, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import type { StoreDeps } from "./store-deps.ts";
import type { Queryable } from "./unit-of-work.ts";

// Alarms and comments of the other side. What it says is joined with what is here (mergeAlarms, mergeComments). An edge is told the whole
// when it said less; the cloud is when it does not know which alarms are one, as all else that is newer here is on its way to it.
// Deleting wins over everything: an alarm that was deleted here is deleted for whoever still says something of it.

export function applyAlarmChange(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  { change, context }: { readonly change: AlarmChange; readonly context: ApplyContext },
): Promise<ApplyResult> {
  const nowMs = clock.nowMs();
  return orRejected(() => {
    switch (change.kind) {
      case "alarm-saved":
        return applyAlarmSaved(tx, change, { context, nowMs });
      case "alarm-removed":
        return applyAlarmRemoved(tx, change, { context, nowMs });
      case "alarm-comment-saved":
        return applyCommentSaved(tx, change, context);
      default:
        return change satisfies never;
    }
  });
}

interface ApplyTime {
  readonly context: ApplyContext;
  readonly nowMs: number;
}

async function applyAlarmSaved(tx: Queryable, change: AlarmSaved, { context, nowMs }: ApplyTime): Promise<ApplyResult> {
  const sent = parseAlarmRecord(change.body);
  const { originator } = change;
  if (
    sent.id !== change.entity.id ||
    sent.originator.id !== originator.id ||
    sent.originator.type !== originator.type
  ) {
    return rejected("INVALID_ARGUMENT", "Can't read an alarm: its body is about another one");
  }
  if (!(await lockOriginator(tx, originator, context.tenantId))) return originatorMissing(change);
  const known = await findKnown(tx, sent);
  if (known === "foreign") return rejected("ALREADY_EXISTS", `The id ${sent.id} belongs to another alarm`);
  if (known.isDeleted) return discard(tx, { change, parts: known.alarms, context, nowMs });
  const parts = [...known.alarms];
  let whole = parts.reduce(mergeAlarms, sent);
  const active =
    whole.clearMs === 0 ? await findActiveAlarm(tx, { originatorId: originator.id, type: sent.type }) : null;
  if (active !== null && parts.every(({ id }) => id !== active.id)) {
    parts.push(active);
    whole = mergeAlarms(whole, active);
  }
  const [stored] = parts;
  const isNews = stored === undefined || parts.length > 1 || !isSameAlarm(stored, whole);
  if (isNews) await joinAlarms(tx, { parts, whole, nowMs });
  const isMore = context.from === "edge" ? !isSameAlarm(sent, whole) : idsOf(sent).join() !== idsOf(whole).join();
  return applied(isNews ? [alarmSaved(whole, change.action)] : [], isMore ? [alarmSaved(whole, "UPDATED")] : []);
}

interface KnownAlarms {
  /** What is here of the alarm: more than one when the other side has joined them. */
  readonly alarms: readonly AlarmRecord[];
  readonly isDeleted: boolean;
}

/** By all ids that the alarm has and had. foreign: one of them is of another originator or type. */
async function findKnown(tx: Queryable, sent: AlarmRecord): Promise<KnownAlarms | "foreign"> {
  const ids = [sent.id, ...sent.formerIds];
  const former = await findFormerIds(tx, ids);
  const current = former.flatMap(({ alarmId }) => alarmId ?? []);
  const alarms = await findAlarms(tx, [...new Set<Uuid>([...ids, ...current])]);
  const isForeign =
    former.some(({ originatorId }) => originatorId !== sent.originator.id) ||
    alarms.some(({ originator, type }) => originator.id !== sent.originator.id || type !== sent.type);
  return isForeign ? "foreign" : { alarms, isDeleted: former.some(({ alarmId }) => alarmId === null) };
}

/** It was deleted here. */
async function discard(
  tx: Queryable,
  {
    change,
    parts,
    context,
    nowMs,
  }: ApplyTime & { readonly change: AlarmSaved; readonly parts: readonly AlarmRecord[] },
): Promise<ApplyResult> {
  const effects: Change[] = [];
  for (const part of parts) effects.push(await eraseAlarm(tx, part, nowMs));
  const gone = parts.flatMap(idsOf).filter((id) => id !== change.entity.id);
  return applied(effects, removals(change, context.from === "edge" ? [change.entity.id, ...gone] : gone));
}

async function applyAlarmRemoved(
  tx: Queryable,
  change: AlarmRemoved,
  { context, nowMs }: ApplyTime,
): Promise<ApplyResult> {
  const { entity, originator } = change;
  // Gone already, with all that it had: that is what was wanted.
  if (!(await lockOriginator(tx, originator, context.tenantId))) return applied();
  const stored = await findAlarm(tx, entity.id);
  if (stored === null || stored.originator.id !== originator.id) return applied();
  // Whoever deleted a part of it may hold the rest as another alarm.
  const others = idsOf(stored).filter((id) => id !== entity.id);
  return applied([await eraseAlarm(tx, stored, nowMs)], removals(change, others));
}

function removals({ originator }: AlarmChange, ids: readonly Uuid[]): Change[] {
  return ids.map((id) => ({ kind: "alarm-removed", entity: alarmRef(id), originator }));
}

function idsOf({ id, formerIds }: AlarmRecord): readonly Uuid[] {
  return [id, ...formerIds];
}

async function applyCommentSaved(
  tx: Queryable,
  change: AlarmCommentSaved,
  context: ApplyContext,
): Promise<ApplyResult> {
  const sent = parseAlarmComment(change.body);
  const { entity, originator } = change;
  if (sent.id !== entity.id) return rejected("INVALID_ARGUMENT", "Can't read a comment: its body is about another one");
  if (!(await lockOriginator(tx, originator, context.tenantId))) return originatorMissing(change);
  const alarm = await findAlarm(tx, sent.alarmId);
  // Deleted here.
  if (alarm === null) return applied();
  const stored = await findComment(tx, sent.id);
  if (alarm.originator.id !== originator.id || (stored !== null && stored.alarmId !== alarm.id)) {
    return rejected("ALREADY_EXISTS", `The id ${sent.id} belongs to another comment`);
  }
  const placed = { ...sent, alarmId: alarm.id };
  const whole = stored === null ? placed : mergeComments(stored, placed);
  const { action } = change;
  if (stored !== null && whole === stored) {
    const isMore = context.from === "edge" && commentBody(stored) !== commentBody(placed);
    return applied([], isMore ? [commentSaved(stored, { originator, action: "UPDATED_COMMENT" })] : []);
  }
  await putComment(tx, whole);
  return applied([commentSaved(whole, { originator, action })]);
}

function originatorMissing({ originator: { type, id } }: AlarmSaved | AlarmCommentSaved): ApplyResult {
  return rejected("NOT_FOUND", `${type.slice(0, 64)} with id [${id}] is not found`);
}
