import { AppError } from "../core/errors.ts";
import { createUuid, NULL_UUID, type Uuid } from "../core/ids.ts";
import type { AlarmInput } from "../entities/alarm-form.ts";
import { contentOf, type Alarm, type AlarmContent, type AlarmRecord } from "../entities/alarm.ts";
import type { AlarmAction, Change } from "../entities/change.ts";
import { addSystemComment, nameOf, type Actor, type SystemNote } from "./alarm-comment-store.ts";
import { alarmSaved, eraseAlarm, findActiveAlarm, lockAlarm, lockOriginator, putAlarm } from "./alarm-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";
import { findUser } from "./user-store.ts";

// What people do to alarms on this side. Each returns the alarm as it is then, and notes itself as a comment.

export interface AlarmKey {
  readonly alarmId: Uuid;
  readonly tenantId: Uuid;
  readonly actor: Actor;
}

export interface AlarmSave {
  readonly tenantId: Uuid;
  readonly actor: Actor;
  readonly input: AlarmInput;
}

/**
 * With an id: updates this alarm. Without: updates the active alarm of the same originator and type, or creates one.
 *
 * @throws AppError NOT_FOUND
 */
export async function saveAlarm(tx: Queryable, deps: StoreDeps, save: AlarmSave): Promise<Outcome<Alarm>> {
  const { actor, input, tenantId } = save;
  const nowMs = timeOf(deps);
  const stored = await findSaved(tx, save);
  const content = contentFrom(input, { stored, nowMs });
  const step: AlarmStep =
    stored === null
      ? await createAlarm(tx, deps, { content, input, nowMs })
      : await editAlarm(tx, deps, { alarm: stored, content, actor });
  const steps = [step];
  const last = (): AlarmRecord => steps.at(-1)?.result ?? step.result;
  if (input.acknowledged === true && last().ackMs === 0)
    steps.push(await acknowledge(tx, deps, { alarm: last(), actor, atMs: input.ackTs ?? 0 }));
  if (input.cleared === true && last().clearMs === 0)
    steps.push(await clear(tx, deps, { alarm: last(), actor, atMs: input.clearTs ?? 0 }));
  // Absent: as it is; null or the null uuid: nobody.
  const { assigneeId } = input;
  const wanted = assigneeId === NULL_UUID ? null : assigneeId;
  if (wanted !== undefined && wanted !== last().assigneeId)
    steps.push(await assign(tx, deps, { alarm: last(), actor, assigneeId: wanted, tenantId }));
  return { result: last(), changes: steps.flatMap(({ changes }) => changes) };
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT when it was before */
export async function acknowledgeAlarm(tx: Queryable, deps: StoreDeps, key: AlarmKey): Promise<Outcome<Alarm>> {
  const alarm = await lockAlarm(tx, key);
  if (alarm.ackMs > 0) throw new AppError("INVALID_ARGUMENT", "Alarm was already acknowledged!");
  return acknowledge(tx, deps, { alarm, actor: key.actor, atMs: 0 });
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT when it was before */
export async function clearAlarm(tx: Queryable, deps: StoreDeps, key: AlarmKey): Promise<Outcome<Alarm>> {
  const alarm = await lockAlarm(tx, key);
  if (alarm.clearMs > 0) throw new AppError("INVALID_ARGUMENT", "Alarm was already cleared!");
  return clear(tx, deps, { alarm, actor: key.actor, atMs: 0 });
}

/** @param assigneeId null: unassign. @throws AppError NOT_FOUND for alarm and user, INVALID_ARGUMENT when nothing would change */
export async function assignAlarm(
  tx: Queryable,
  deps: StoreDeps,
  { assigneeId, ...key }: AlarmKey & { readonly assigneeId: Uuid | null },
): Promise<Outcome<Alarm>> {
  const alarm = await lockAlarm(tx, key);
  if (alarm.assigneeId === assigneeId) {
    const how = assigneeId === null ? "unassigned" : "assigned to this user";
    throw new AppError("INVALID_ARGUMENT", `Alarm was already ${how}!`);
  }
  return assign(tx, deps, { alarm, actor: key.actor, assigneeId, tenantId: key.tenantId });
}

/** @throws AppError NOT_FOUND */
export async function deleteAlarm(
  tx: Queryable,
  deps: StoreDeps,
  key: Omit<AlarmKey, "actor">,
): Promise<Outcome<void>> {
  const alarm = await lockAlarm(tx, key);
  return { result: undefined, changes: [await eraseAlarm(tx, alarm, timeOf(deps))] };
}

interface AlarmStep {
  readonly result: AlarmRecord;
  readonly changes: readonly Change[];
}

async function findSaved(tx: Queryable, { input, tenantId }: AlarmSave): Promise<AlarmRecord | null> {
  if (input.id !== undefined && input.id !== null) return lockAlarm(tx, { alarmId: input.id, tenantId });
  if (!(await lockOriginator(tx, input.originator, tenantId))) {
    const { type, id } = input.originator;
    throw new AppError("NOT_FOUND", `${type} with id [${id}] is not found`);
  }
  return findActiveAlarm(tx, { originatorId: input.originator.id, type: input.type });
}

/** What is not said stays; an active alarm that is raised again goes on until now. */
function contentFrom(
  input: AlarmInput,
  { stored, nowMs }: { readonly stored: AlarmRecord | null; readonly nowMs: number },
): AlarmContent {
  const startMs = input.startTs || (stored?.startMs ?? (input.endTs || nowMs));
  const isRaisedAgain = stored !== null && (input.id === undefined || input.id === null);
  const endMs = input.endTs || (isRaisedAgain ? nowMs : (stored?.endMs ?? startMs));
  return {
    severity: input.severity,
    startMs,
    endMs,
    details: input.details === undefined ? (stored?.details ?? null) : input.details,
    propagate: input.propagate ?? stored?.propagate ?? false,
    propagateToOwner: input.propagateToOwner ?? stored?.propagateToOwner ?? false,
    propagateToTenant: input.propagateToTenant ?? stored?.propagateToTenant ?? false,
    propagateRelationTypes: input.propagateRelationTypes ?? stored?.propagateRelationTypes ?? [],
  };
}

async function createAlarm(
  tx: Queryable,
  { clock, random }: StoreDeps,
  { content, input, nowMs }: { readonly content: AlarmContent; readonly input: AlarmInput; readonly nowMs: number },
): Promise<AlarmStep> {
  const alarm: AlarmRecord = {
    ...content,
    id: createUuid(clock, random),
    formerIds: [],
    originator: input.originator,
    type: input.type,
    createdMs: nowMs,
    editedMs: nowMs,
    ackMs: 0,
    clearMs: 0,
    assigneeId: null,
    assignMs: 0,
  };
  return write(tx, alarm, "ADDED");
}

async function editAlarm(
  tx: Queryable,
  deps: StoreDeps,
  { alarm, content, actor }: { readonly alarm: AlarmRecord; readonly content: AlarmContent; readonly actor: Actor },
): Promise<AlarmStep> {
  if (JSON.stringify(contentOf(alarm)) === JSON.stringify(contentOf(content))) return { result: alarm, changes: [] };
  // A clock that was set back loses no edit.
  const editedMs = Math.max(timeOf(deps), alarm.editedMs + 1);
  const step = await write(tx, { ...alarm, ...content, editedMs }, "UPDATED");
  if (alarm.severity === content.severity) return step;
  return noted(tx, deps, step, {
    alarm,
    actor,
    subtype: "SEVERITY_CHANGED",
    what: `changed from ${alarm.severity} to ${content.severity}`,
    more: { oldSeverity: alarm.severity, newSeverity: content.severity },
  });
}

interface AlarmMark {
  readonly alarm: AlarmRecord;
  readonly actor: Actor;
  /** 0: now. */
  readonly atMs: number;
}

async function acknowledge(tx: Queryable, deps: StoreDeps, { alarm, actor, atMs }: AlarmMark): Promise<AlarmStep> {
  const step = await write(tx, { ...alarm, ackMs: atMs || timeOf(deps) }, "ALARM_ACK");
  return noted(tx, deps, step, { alarm, actor, subtype: "ACK", what: "acknowledged" });
}

async function clear(tx: Queryable, deps: StoreDeps, { alarm, actor, atMs }: AlarmMark): Promise<AlarmStep> {
  const step = await write(tx, { ...alarm, clearMs: atMs || timeOf(deps) }, "ALARM_CLEAR");
  return noted(tx, deps, step, { alarm, actor, subtype: "CLEAR", what: "cleared" });
}

interface Assignment {
  readonly alarm: AlarmRecord;
  readonly actor: Actor;
  readonly assigneeId: Uuid | null;
  readonly tenantId: Uuid;
}

async function assign(
  tx: Queryable,
  deps: StoreDeps,
  { alarm, actor, assigneeId, tenantId }: Assignment,
): Promise<AlarmStep> {
  const assignee = assigneeId === null ? null : await findUser(tx, assigneeId);
  if (assigneeId !== null && assignee?.tenantId !== tenantId) {
    throw new AppError("NOT_FOUND", `User with id [${assigneeId}] is not found`);
  }
  const assignMs = Math.max(timeOf(deps), alarm.assignMs + 1);
  const action = assigneeId === null ? "ALARM_UNASSIGNED" : "ALARM_ASSIGNED";
  const step = await write(tx, { ...alarm, assigneeId, assignMs }, action);
  const what = assigneeId === null ? "unassigned" : `assigned to ${await nameOf(tx, assigneeId)}`;
  return noted(tx, deps, step, { alarm, actor, subtype: "ASSIGN", what, more: { assigneeId } });
}

async function write(tx: Queryable, alarm: AlarmRecord, action: AlarmAction): Promise<AlarmStep> {
  await putAlarm(tx, alarm);
  return { result: alarm, changes: [alarmSaved(alarm, action)] };
}

async function noted(tx: Queryable, deps: StoreDeps, step: AlarmStep, note: SystemNote): Promise<AlarmStep> {
  return { ...step, changes: [...step.changes, await addSystemComment(tx, deps, note)] };
}

/** Never 0, which stands for no time. */
function timeOf({ clock }: Pick<StoreDeps, "clock">): number {
  return Math.max(1, Math.round(clock.nowMs()));
}
