import { and, eq, sql } from "drizzle-orm";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { ALARM_SEVERITIES, type AlarmRecord } from "../../shared/entities/alarm.ts";
import type { AlarmAction, Change } from "../../shared/entities/change.ts";
import type { AlarmEffect } from "../../shared/rules/alarm-evaluator.ts";
import type { AlarmRule } from "../../shared/rules/alarm-rule.ts";
import type { Decided } from "../../shared/rules/device-alarms.ts";
import { addSystemComment } from "../../shared/store/alarm-comment-store.ts";
import { alarmSaved, findActiveAlarm, lockOriginator, putAlarm } from "../../shared/store/alarm-store.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { alarmRuleState } from "./schema.ts";

// What alarm rules decided, written within the commit of what they decided upon.

export interface DeviceDecision {
  readonly deviceId: Uuid;
  readonly tenantId: Uuid;
  readonly decided: readonly Decided[];
}

/** @returns what the cloud has to hear of it */
export async function writeDecisions(
  tx: Queryable,
  deps: StoreDeps,
  decisions: readonly DeviceDecision[],
): Promise<readonly Change[]> {
  const changes: Change[] = [];
  for (const { decided, deviceId, tenantId } of decisions) {
    for (const { isToBeKept, rule, state } of decided)
      if (isToBeKept) await keepConditions(tx, { deviceId, ruleId: rule.rule.id, conditions: state.conditions });
    const doing = decided.filter(({ effects }) => effects.length > 0);
    if (doing.length === 0) continue;
    // It went in this very commit: so do its rules.
    if (!(await lockOriginator(tx, { type: "DEVICE", id: deviceId }, tenantId))) continue;
    for (const { effects, rule } of doing) {
      let active = await findActiveAlarm(tx, { originatorId: deviceId, type: rule.rule.alarmType });
      for (const effect of effects) {
        const done = await writeEffect(tx, deps, { deviceId, rule: rule.rule, effect, active });
        ({ active } = done);
        changes.push(...done.changes);
      }
    }
  }
  return changes;
}

async function keepConditions(tx: Queryable, row: typeof alarmRuleState.$inferInsert): Promise<void> {
  const { conditions, deviceId, ruleId } = row;
  if (Object.keys(conditions as object).length === 0) {
    await tx
      .delete(alarmRuleState)
      .where(and(eq(alarmRuleState.deviceId, deviceId), eq(alarmRuleState.ruleId, ruleId)));
    return;
  }
  const target = [alarmRuleState.deviceId, alarmRuleState.ruleId];
  await tx.insert(alarmRuleState).values(row).onConflictDoUpdate({ target, set: { conditions } });
}

interface EffectOfRule {
  readonly deviceId: Uuid;
  readonly rule: AlarmRule;
  readonly effect: AlarmEffect;
  /** As it was before. */
  readonly active: AlarmRecord | null;
}

interface Done {
  /** As it is now. */
  readonly active: AlarmRecord | null;
  readonly changes: readonly Change[];
}

async function writeEffect(tx: Queryable, deps: StoreDeps, of: EffectOfRule): Promise<Done> {
  const { active, effect, rule } = of;
  const nowMs = Math.max(1, Math.round(deps.clock.nowMs()));
  if (active === null) {
    if (effect.kind !== "raise") return { active, changes: [] };
    return put(tx, newAlarm(deps, { ...of, effect, nowMs }), "ADDED");
  }
  // A clock that was set back loses no edit.
  const editedMs = Math.max(nowMs, active.editedMs + 1);
  const edited = { ...active, endMs: Math.max(active.startMs, timeOf(effect)), editedMs };
  const details = effect.details ?? active.details;
  switch (effect.kind) {
    case "clear":
      return put(tx, { ...edited, details, clearMs: nowMs }, "ALARM_CLEAR");
    case "update":
      return put(tx, { ...edited, details }, "UPDATED");
    case "raise":
      return raise(tx, deps, { active, alarm: { ...edited, ...propagation(rule), details }, effect });
    default:
      return effect satisfies never;
  }
}

type Raise = Extract<AlarmEffect, { readonly kind: "raise" }>;

function newAlarm(
  { clock, random }: StoreDeps,
  { deviceId, effect, nowMs, rule }: EffectOfRule & { readonly effect: Raise; readonly nowMs: number },
): AlarmRecord {
  return {
    id: createUuid(clock, random),
    formerIds: [],
    originator: { type: "DEVICE", id: deviceId },
    type: rule.alarmType,
    severity: effect.severity,
    createdMs: nowMs,
    editedMs: nowMs,
    startMs: timeOf(effect),
    endMs: timeOf(effect),
    ackMs: 0,
    clearMs: 0,
    assigneeId: null,
    assignMs: 0,
    details: effect.details,
    ...propagation(rule),
  };
}

/** Somebody else may have raised it higher meanwhile. */
async function raise(
  tx: Queryable,
  deps: StoreDeps,
  { active, alarm, effect }: { readonly active: AlarmRecord; readonly alarm: AlarmRecord; readonly effect: Raise },
): Promise<Done> {
  const isHigher = ALARM_SEVERITIES.indexOf(effect.severity) < ALARM_SEVERITIES.indexOf(active.severity);
  if (!isHigher) return put(tx, alarm, "UPDATED");
  const raised = { ...alarm, severity: effect.severity };
  const saved = await put(tx, raised, "UPDATED");
  const comment = await addSystemComment(tx, deps, {
    alarm: raised,
    actor: null,
    subtype: "SEVERITY_CHANGED",
    what: `changed from ${active.severity} to ${effect.severity}`,
    more: { oldSeverity: active.severity, newSeverity: effect.severity },
  });
  return { ...saved, changes: [...saved.changes, comment] };
}

async function put(tx: Queryable, alarm: AlarmRecord, action: AlarmAction): Promise<Done> {
  await putAlarm(tx, alarm);
  return { active: alarm.clearMs === 0 ? alarm : null, changes: [alarmSaved(alarm, action)] };
}

function propagation({ propagate, propagateRelationTypes, propagateToOwner, propagateToTenant }: AlarmRule) {
  return {
    propagate: propagate ?? false,
    propagateToOwner: propagateToOwner ?? false,
    propagateToTenant: propagateToTenant ?? false,
    propagateRelationTypes: propagateRelationTypes ?? [],
  };
}

/** Times of alarms are none before 1970. */
function timeOf({ tsMs }: AlarmEffect): number {
  return Math.max(1, Math.round(tsMs));
}

/** What was kept of rules that a profile no longer has. */
export async function forgetOtherRules(
  db: Queryable,
  { profileId, ruleIds }: { readonly profileId: Uuid; readonly ruleIds: readonly string[] },
): Promise<void> {
  await db.execute(sql`
    delete from alarm_rule_state s using entity d
    where d.id = s.device_id and d.profile_id = ${profileId} and s.rule_id <> all (${arrayParam(ruleIds, "text")})`);
}
