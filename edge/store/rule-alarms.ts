import { and, eq, sql } from "drizzle-orm";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { ALARM_SEVERITIES, type AlarmRecord, type AlarmSeverity } from "../../shared/entities/alarm.ts";
import type { AlarmAction, Change } from "../../shared/entities/change.ts";
import type { AlarmEffect } from "../../shared/rules/alarm-evaluator.ts";
import type { AlarmRule } from "../../shared/rules/alarm-rule.ts";
import type { Decided } from "../../shared/rules/device-alarms.ts";
import { addSystemComment, type SystemNote } from "../../shared/store/alarm-comment-store.ts";
import { alarmSaved, putAlarms, toRecords } from "../../shared/store/alarm-store.ts";
import { alarm } from "../../shared/store/alarm-tables.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

// What alarm rules decided, written within the commit of what they decided upon.

export interface DeviceDecision {
  readonly deviceId: Uuid;
  readonly decided: readonly Decided[];
}

/** A handful of statements, however many devices there are. @returns what the cloud has to hear of it */
export async function writeDecisions(
  tx: Queryable,
  deps: StoreDeps,
  decisions: readonly DeviceDecision[],
): Promise<readonly Change[]> {
  const doing = decisions.filter(({ decided }) => decided.some(({ effects }) => effects.length > 0));
  const [devices] = await Promise.all([lockDevices(tx, doing), keepConditions(tx, decisions)]);
  const writes = new AlarmWrites(deps);
  for (const { decided, deviceId } of doing) {
    const active = devices.get(deviceId);
    // It went in this very commit: so do its rules.
    if (active === undefined) continue;
    for (const { effects, rule } of decided) {
      const { alarmType } = rule.rule;
      for (const effect of effects) {
        const before = active.get(alarmType) ?? null;
        active.set(alarmType, writes.add({ deviceId, rule: rule.rule, effect, active: before }));
      }
    }
  }
  return writes.write(tx);
}

/** Those that are there, with their active alarms by type. */
async function lockDevices(
  tx: Queryable,
  decisions: readonly DeviceDecision[],
): Promise<ReadonlyMap<string, Map<string, AlarmRecord | null>>> {
  if (decisions.length === 0) return new Map();
  const ids = arrayParam(
    decisions.map(({ deviceId }) => deviceId),
    "uuid",
  );
  const rows = await tx
    .select({ deviceId: entity.id, active: alarm })
    .from(entity)
    .leftJoin(alarm, and(eq(alarm.originatorId, entity.id), eq(alarm.clearMs, 0)))
    .where(and(sql`${entity.id} = any(${ids})`, eq(entity.entityType, "DEVICE")))
    .orderBy(entity.id)
    .for("no key update", { of: entity });
  const devices = new Map<string, Map<string, AlarmRecord | null>>(rows.map(({ deviceId }) => [deviceId, new Map()]));
  const active = rows.flatMap((row) => (row.active === null ? [] : [row.active]));
  for (const record of await toRecords(tx, active)) devices.get(record.originator.id)?.set(record.type, record);
  return devices;
}

async function keepConditions(tx: Queryable, decisions: readonly DeviceDecision[]): Promise<void> {
  const rows = decisions.flatMap(({ decided, deviceId }) =>
    decided
      .filter(({ isToBeKept }) => isToBeKept)
      .map(({ rule, state }) => ({ device_id: deviceId, rule_id: rule.rule.id, conditions: state.conditions })),
  );
  const { kept = [], over = [] } = Object.groupBy(rows, ({ conditions }) =>
    Object.keys(conditions).length > 0 ? "kept" : "over",
  );
  const recordset = (part: typeof rows) =>
    sql`json_populate_recordset(null::alarm_rule_state, ${JSON.stringify(part)}::text::json)`;
  if (over.length > 0) {
    await tx.execute(sql`
      delete from alarm_rule_state s using ${recordset(over)} o
      where s.device_id = o.device_id and s.rule_id = o.rule_id`);
  }
  if (kept.length > 0) {
    await tx.execute(sql`
      insert into alarm_rule_state select * from ${recordset(kept)}
      on conflict (device_id, rule_id) do update set conditions = excluded.conditions`);
  }
}

interface EffectOfRule {
  readonly deviceId: Uuid;
  readonly rule: AlarmRule;
  readonly effect: AlarmEffect;
  /** As it was before. */
  readonly active: AlarmRecord | null;
}

/** What effects do to alarms, gathered; written at once. */
class AlarmWrites {
  readonly #deps: StoreDeps;
  /** The last state of each, in the order in which they were touched first: one that ends makes room for the next of its type. */
  readonly #alarms = new Map<Uuid, AlarmRecord>();
  readonly #saves: { readonly alarm: AlarmRecord; readonly action: AlarmAction; readonly note: SystemNote | null }[] =
    [];

  constructor(deps: StoreDeps) {
    this.#deps = deps;
  }

  /** @returns the active alarm after it */
  add(of: EffectOfRule): AlarmRecord | null {
    const { active, effect, rule } = of;
    const nowMs = Math.max(1, Math.round(this.#deps.clock.nowMs()));
    if (active === null)
      return effect.kind === "raise" ? this.#put(newAlarm(this.#deps, { ...of, effect, nowMs }), "ADDED") : null;
    // A clock that was set back loses no edit.
    const editedMs = Math.max(nowMs, active.editedMs + 1);
    const details = effect.details ?? active.details;
    const edited = { ...active, details, endMs: Math.max(active.startMs, timeOf(effect)), editedMs };
    switch (effect.kind) {
      case "clear":
        return this.#put({ ...edited, clearMs: nowMs }, "ALARM_CLEAR");
      case "update":
        return this.#put(edited, "UPDATED");
      case "raise":
        return this.#raise(active, { ...edited, ...propagation(rule) }, effect.severity);
      default:
        return effect satisfies never;
    }
  }

  /** Somebody else may have raised it higher meanwhile. */
  #raise(before: AlarmRecord, alarm: AlarmRecord, severity: AlarmSeverity): AlarmRecord | null {
    const isHigher = ALARM_SEVERITIES.indexOf(severity) < ALARM_SEVERITIES.indexOf(before.severity);
    if (!isHigher) return this.#put(alarm, "UPDATED");
    const raised = { ...alarm, severity };
    return this.#put(raised, "UPDATED", {
      alarm: raised,
      actor: null,
      subtype: "SEVERITY_CHANGED",
      what: `changed from ${before.severity} to ${severity}`,
      more: { oldSeverity: before.severity, newSeverity: severity },
    });
  }

  #put(record: AlarmRecord, action: AlarmAction, note: SystemNote | null = null): AlarmRecord | null {
    this.#alarms.set(record.id, record);
    this.#saves.push({ alarm: record, action, note });
    return record.clearMs === 0 ? record : null;
  }

  async write(tx: Queryable): Promise<readonly Change[]> {
    await putAlarms(tx, [...this.#alarms.values()]);
    const changes: Change[] = [];
    for (const { action, alarm: record, note } of this.#saves) {
      changes.push(alarmSaved(record, action));
      if (note !== null) changes.push(await addSystemComment(tx, this.#deps, note));
    }
    return changes;
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
