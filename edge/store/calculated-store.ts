import { and, eq, inArray, isNotNull, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeScope } from "../../shared/entities/attributes.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import {
  AHEAD_MAX_MS,
  type CompiledFields,
  type FieldKnowledge,
  type KnownAttribute,
  type KnownPoint,
} from "../../shared/rules/calculated-fields.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { attribute, entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { noteRecord, readLatest } from "./alarm-rule-store.ts";

// What calculated fields have to know of devices at first: their windows are read from the local telemetry.

export interface DeviceWithFields {
  readonly profileId: Uuid;
  readonly known: FieldKnowledge;
}

export interface FieldsQuery {
  readonly ids: readonly Uuid[];
  readonly profiles: ReadonlyMap<Uuid, CompiledFields>;
  /** Newest values that are not in telemetry_latest yet. */
  readonly unsettled: readonly TelemetryRecord[];
  readonly nowMs: number;
}

/** Those of `ids` that are devices whose profile has fields. */
export async function readDevicesWithFields(
  db: Queryable,
  { ids, nowMs, profiles, unsettled }: FieldsQuery,
): Promise<ReadonlyMap<Uuid, DeviceWithFields>> {
  const rows = await db
    .select({ id: entity.id, profileId: entity.profileId })
    .from(entity)
    .where(and(inArray(entity.id, [...ids]), eq(entity.entityType, "DEVICE"), isNotNull(entity.profileId)));
  const devices = rows.flatMap(({ id, profileId }) => {
    // Ids are uuid columns.
    const compiled = profiles.get(profileId as Uuid);
    return compiled === undefined ? [] : [{ id: id as Uuid, profileId: profileId as Uuid, compiled }];
  });
  if (devices.length === 0) return new Map();
  const found = devices.map(({ id }) => id);
  const keys = new Set(devices.flatMap(({ compiled: { latestKeys, windows } }) => [...latestKeys, ...windows.keys()]));
  const latest = await readLatest(db, { ids: found, keys });
  for (const record of unsettled) noteRecord(latest, record);
  const attributeKeys = new Set(devices.flatMap(({ compiled }) => [...compiled.attributeKeys]));
  const attributes = await readAttributes(db, found, [...attributeKeys]);
  const devicesWithFields = new Map<Uuid, DeviceWithFields>();
  for (const { compiled, id, profileId } of devices) {
    const newest = beforeOnly(latest.get(id), nowMs + AHEAD_MAX_MS);
    const points = await readPoints(db, { id, compiled, newest });
    const known = { latest: newest, attributes: attributes.get(id) ?? [], points };
    devicesWithFields.set(id, { profileId, known });
  }
  return devicesWithFields;
}

function beforeOnly(
  values: ReadonlyMap<string, KnownPoint> | undefined,
  untilMs: number,
): ReadonlyMap<string, KnownPoint> {
  return new Map([...(values ?? [])].filter(([, { tsMs }]) => tsMs <= untilMs));
}

interface PointsQuery {
  readonly id: Uuid;
  readonly compiled: CompiledFields;
  readonly newest: ReadonlyMap<string, KnownPoint>;
}

/**
 * The newest points of each window, of a time up to the newest one or a number of them. What the commit stores is behind the newest: it
 * may be in the table already, and comes as a reading.
 */
async function readPoints(
  db: Queryable,
  { compiled: { windows }, id, newest }: PointsQuery,
): Promise<ReadonlyMap<string, readonly KnownPoint[]>> {
  const wanted = Array.from(windows).flatMap(([key, { lengthMs, pointsMax }]) => {
    const toMs = newest.get(key)?.tsMs;
    // Never sent.
    if (toMs === undefined) return [];
    return [{ key, toMs, fromMs: Number.isFinite(lengthMs) ? toMs - lengthMs : 0, points: pointsMax }];
  });
  if (wanted.length === 0) return new Map();
  const column = (values: readonly (string | number)[], type: string) => arrayParam([...values], type);
  const rows = await db.execute<{ key: string; ts_ms: number; value: string }>(sql`
    select wanted.key, point.ts_ms, point.value
    from unnest(
      ${column(
        wanted.map(({ key }) => key),
        "text",
      )}, ${column(
        wanted.map(({ fromMs }) => fromMs),
        "bigint",
      )}, ${column(
        wanted.map(({ toMs }) => toMs),
        "bigint",
      )}, ${column(
        wanted.map(({ points }) => points),
        "int",
      )}) as wanted (key, from_ms, to_ms, points)
    cross join lateral (
      select ts_ms, (values -> wanted.key)::text as value from telemetry
      where entity_id = ${id}::uuid and ts_ms between wanted.from_ms and wanted.to_ms and values ? wanted.key
      order by ts_ms desc limit wanted.points
    ) as point
    order by wanted.key, point.ts_ms`);
  const points = new Map<string, KnownPoint[]>();
  for (const { key, ts_ms: tsMs, value } of rows) {
    const known = points.get(key) ?? [];
    known.push({ tsMs, value: JSON.parse(value) as Json }); // a jsonb column
    points.set(key, known);
  }
  return points;
}

async function readAttributes(
  db: Queryable,
  ids: readonly Uuid[],
  keys: readonly string[],
): Promise<ReadonlyMap<Uuid, readonly KnownAttribute[]>> {
  const byDevice = new Map<Uuid, KnownAttribute[]>();
  if (keys.length === 0) return byDevice;
  const rows = await db
    .select({
      entityId: attribute.entityId,
      scope: attribute.scope,
      key: attribute.key,
      tsMs: attribute.updatedMs,
      value: sql<string>`${attribute.value}::text`,
    })
    .from(attribute)
    .where(and(inArray(attribute.entityId, [...ids]), inArray(attribute.key, [...keys])));
  for (const { entityId, key, scope, tsMs, value } of rows) {
    const id = entityId as Uuid; // a uuid column
    const known = byDevice.get(id) ?? [];
    known.push({ scope: scope as AttributeScope, key, tsMs, value: JSON.parse(value) as Json }); // written by attribute-store only
    byDevice.set(id, known);
  }
  return byDevice;
}
