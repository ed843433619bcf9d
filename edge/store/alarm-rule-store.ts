import { and, eq, inArray, isNotNull, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AlarmSeverity } from "../../shared/entities/alarm.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { ActiveAlarm, RuleState } from "../../shared/rules/alarm-evaluator.ts";
import type { CompiledProfile, DeviceKnowledge, KnownValue } from "../../shared/rules/device-alarms.ts";
import { alarm } from "../../shared/store/alarm-tables.ts";
import { attribute, entity, telemetryLatest } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { alarmRuleState } from "./schema.ts";

// What alarm rules have to know at first, read for many devices at a time.

/** All device profiles, as they are stored. */
export async function readProfileBodies(db: Queryable): Promise<ReadonlyMap<Uuid, unknown>> {
  const rows = await db
    .select({ id: entity.id, body: entity.body })
    .from(entity)
    .where(eq(entity.entityType, "DEVICE_PROFILE"));
  return new Map(rows.map(({ body, id }) => [id as Uuid, body] as const)); // a uuid column
}

/** Devices of which something is kept: their durations go on after a restart. What is kept of devices that went is removed. */
export async function findDevicesWithState(db: Queryable): Promise<readonly Uuid[]> {
  await db.execute(
    sql`delete from alarm_rule_state s where not exists (select from entity d where d.id = s.device_id)`,
  );
  const rows = await db.selectDistinct({ id: alarmRuleState.deviceId }).from(alarmRuleState);
  return rows.map(({ id }) => id as Uuid); // a uuid column
}

export interface DeviceWithRules {
  readonly profile: CompiledProfile;
  readonly known: DeviceKnowledge;
}

export interface DevicesQuery {
  readonly ids: readonly Uuid[];
  readonly profiles: ReadonlyMap<Uuid, CompiledProfile>;
  /** Newest values that are not in telemetry_latest yet. */
  readonly unsettled: readonly TelemetryRecord[];
}

/** Those of `ids` that are devices whose profile has rules. */
export async function readDevicesWithRules(
  db: Queryable,
  { ids, profiles, unsettled }: DevicesQuery,
): Promise<ReadonlyMap<Uuid, DeviceWithRules>> {
  const rows = await db
    .select()
    .from(entity)
    .where(and(inArray(entity.id, [...ids]), eq(entity.entityType, "DEVICE"), isNotNull(entity.profileId)));
  const devices = rows.flatMap((row) => {
    const profile = profiles.get(row.profileId as Uuid); // a uuid column
    return profile === undefined ? [] : [{ row, profile }];
  });
  if (devices.length === 0) return new Map();
  const found = devices.map(({ row }) => row.id);
  const owners = devices.flatMap(({ row }) => [row.tenantId, ...(row.customerId === null ? [] : [row.customerId])]);
  const keys = keysOf(devices.map(({ profile }) => profile));
  const telemetry = await readLatest(db, { ids: found, keys: keys.telemetry });
  for (const record of unsettled) noteRecord(telemetry, record);
  const attributes = await readAttributes(db, { ids: found, keys: keys.attributes, scope: null });
  const ofOwners = await readAttributes(db, { ids: owners, keys: keys.owners, scope: "SERVER_SCOPE" });
  const states = await readStates(db, found);
  const alarms = await readActiveAlarms(db, found);
  return new Map(
    devices.map(({ profile, row }) => {
      const known: DeviceKnowledge = {
        telemetry: telemetry.get(row.id) ?? new Map(),
        attributes: attributes.get(row.id) ?? new Map(),
        customerAttributes: valuesOf(ofOwners.get(row.customerId ?? "")),
        tenantAttributes: valuesOf(ofOwners.get(row.tenantId)),
        fields: fieldsOf(row),
        states: statesOf(profile, { conditions: states.get(row.id), alarms: alarms.get(row.id) }),
      };
      return [row.id as Uuid, { profile, known }] as const; // a uuid column
    }),
  );
}

type Values = Map<string, KnownValue>;
export type ByEntity<T> = Map<string, Map<string, T>>;

function keysOf(profiles: readonly CompiledProfile[]) {
  const all = { telemetry: new Set<string>(), attributes: new Set<string>(), owners: new Set<string>() };
  for (const { keys } of new Set(profiles)) {
    for (const key of keys.telemetry) all.telemetry.add(key);
    for (const key of keys.attributes) all.attributes.add(key);
    for (const key of [...keys.customerAttributes, ...keys.tenantAttributes]) all.owners.add(key);
  }
  return all;
}

/** Of telemetry_latest. */
export async function readLatest(
  db: Queryable,
  { ids, keys }: { readonly ids: readonly string[]; readonly keys: ReadonlySet<string> },
): Promise<ByEntity<KnownValue>> {
  if (keys.size === 0) return new Map();
  const rows = await db
    .select({
      entityId: telemetryLatest.entityId,
      key: telemetryLatest.key,
      tsMs: telemetryLatest.tsMs,
      value: sql<string>`${telemetryLatest.value}::text`,
    })
    .from(telemetryLatest)
    .where(and(inArray(telemetryLatest.entityId, [...ids]), inArray(telemetryLatest.key, [...keys])));
  const byEntity: ByEntity<KnownValue> = new Map();
  for (const { entityId, key, tsMs, value } of rows)
    put(byEntity, entityId, { key, value: { tsMs, value: parse(value) } });
  return byEntity;
}

/** A newest value that is not there yet. */
export function noteRecord(byEntity: ByEntity<KnownValue>, { entityId, tsMs, values }: TelemetryRecord): void {
  for (const [key, value] of Object.entries(parse(values) as Record<string, Json>)) {
    const known = byEntity.get(entityId)?.get(key);
    if (known === undefined || known.tsMs <= tsMs) put(byEntity, entityId, { key, value: { tsMs, value } });
  }
}

async function readAttributes(
  db: Queryable,
  {
    ids,
    keys,
    scope,
  }: { readonly ids: readonly string[]; readonly keys: ReadonlySet<string>; readonly scope: string | null },
): Promise<ByEntity<KnownValue>> {
  if (keys.size === 0) return new Map();
  const rows = await db
    .select({
      entityId: attribute.entityId,
      key: attribute.key,
      tsMs: attribute.updatedMs,
      value: sql<string>`${attribute.value}::text`,
    })
    .from(attribute)
    .where(
      and(
        inArray(attribute.entityId, [...new Set(ids)]),
        inArray(attribute.key, [...keys]),
        scope === null ? undefined : eq(attribute.scope, scope),
      ),
    )
    .orderBy(attribute.updatedMs);
  const byEntity: ByEntity<KnownValue> = new Map();
  for (const { entityId, key, tsMs, value } of rows)
    put(byEntity, entityId, { key, value: { tsMs, value: parse(value) } });
  return byEntity;
}

async function readStates(db: Queryable, ids: readonly string[]): Promise<ByEntity<RuleState["conditions"]>> {
  const rows = await db
    .select()
    .from(alarmRuleState)
    .where(inArray(alarmRuleState.deviceId, [...ids]));
  const byEntity: ByEntity<RuleState["conditions"]> = new Map();
  for (const { conditions, deviceId, ruleId } of rows) {
    put(byEntity, deviceId, { key: ruleId, value: conditions as RuleState["conditions"] }); // written from such only
  }
  return byEntity;
}

/** Per device, by type. */
export async function readActiveAlarms(db: Queryable, ids: readonly string[]): Promise<ByEntity<ActiveAlarm>> {
  const rows = await db
    .select({ deviceId: alarm.originatorId, type: alarm.type, severity: alarm.severity, endMs: alarm.endMs })
    .from(alarm)
    .where(and(inArray(alarm.originatorId, [...ids]), eq(alarm.clearMs, 0)));
  const byEntity: ByEntity<ActiveAlarm> = new Map();
  for (const { deviceId, endMs, severity, type } of rows) {
    put(byEntity, deviceId, { key: type, value: { severity: severity as AlarmSeverity, updatedMs: endMs } }); // written from an Alarm only
  }
  return byEntity;
}

function statesOf(
  { rules }: CompiledProfile,
  {
    alarms,
    conditions,
  }: {
    readonly alarms: ReadonlyMap<string, ActiveAlarm> | undefined;
    readonly conditions: ReadonlyMap<string, RuleState["conditions"]> | undefined;
  },
): ReadonlyMap<string, RuleState> {
  return new Map(
    rules.map(({ rule }) => [
      rule.id,
      { conditions: conditions?.get(rule.id) ?? {}, alarm: alarms?.get(rule.alarmType) ?? null },
    ]),
  );
}

function fieldsOf(row: typeof entity.$inferSelect): ReadonlyMap<string, Json> {
  return new Map<string, Json>([
    ["name", row.name],
    ["type", row.subtype],
    ["label", row.label],
    ["createdTime", row.createdMs],
  ]);
}

function valuesOf(values: Values | undefined): ReadonlyMap<string, Json> {
  return new Map(Array.from(values ?? [], ([key, { value }]) => [key, value]));
}

function put<T>(byEntity: ByEntity<T>, id: string, { key, value }: { readonly key: string; readonly value: T }): void {
  const values = byEntity.get(id) ?? new Map<string, T>();
  byEntity.set(id, values.set(key, value));
}

function parse(text: string): Json {
  return JSON.parse(text) as Json; // what JSON.parse makes
}
