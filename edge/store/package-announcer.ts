import { sql } from "drizzle-orm";
import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import {
  OTA_PREFIXES,
  otaAttributeKeys,
  otaAttributes,
  otaType,
  type OtaType,
} from "../../shared/entities/ota-package.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { joinValues, keySetOf } from "../../shared/entities/values.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { attributesSaved, putAttributes, type AttributeRow } from "../../shared/store/attribute-store.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import { writeTelemetry } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { EdgeOutcome } from "./group-writer.ts";

// Devices hear of the package that they are to run by shared attributes. Which one that is follows from the device and its profile,
// whoever changes them; so it is not part of those changes, but worked out behind them from what is stored: what differs from what was
// announced is announced, some devices at a time. What a crash leaves over is found at the next start.

export interface PackageAnnouncerDeps {
  readonly db: Queryable;
  readonly groupCommit: Pick<GroupCommit, "run">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface PackageAnnouncer {
  /** Changes were committed, by whomever. */
  note(changes: readonly Change[]): void;
  run(signal: AbortSignal): Promise<void>;
}

/** Devices in one transaction. */
const DEVICES_AT_ONCE = 200;
/** Beyond it all devices are looked through. */
const NOTED_MAX = 1000;
const RETRY_MS = 5_000;
/** Changes are gathered for so long: looking for differences passes all devices, and nobody waits for it. */
const GATHER_MS = 250;
const CONCERNED: ReadonlySet<string> = new Set(["DEVICE", "DEVICE_PROFILE", "OTA_PACKAGE"]);

export function createPackageAnnouncer(deps: PackageAnnouncerDeps): PackageAnnouncer {
  const wakeUp = new WakeUp();
  /** Devices, profiles and packages that were changed; null: any may have been. */
  let noted: Set<Uuid> | null = null;

  async function announceAll(): Promise<void> {
    const ids = noted;
    noted = new Set();
    try {
      for (;;) {
        const differences = await findDifferences(deps.db, ids);
        if (differences.length === 0) return;
        await deps.groupCommit.run((tx) => announce(tx, deps.clock.nowMs(), differences));
      }
    } catch (error) {
      noted = null;
      throw error;
    }
  }

  return {
    note: (changes) => {
      for (const { entity, kind } of changes) {
        if ((kind !== "entity-saved" && kind !== "entity-removed") || !CONCERNED.has(entity.type)) continue;
        noted?.add(entity.id);
        if ((noted?.size ?? 0) > NOTED_MAX) noted = null;
        wakeUp.signal();
      }
    },
    run: async (signal) => {
      wakeUp.signal();
      while (!signal.aborted) {
        await wakeUp.wait(signal).catch(() => undefined);
        await deps.clock.sleep(GATHER_MS, signal).catch(() => undefined);
        if (signal.aborted) return;
        try {
          await announceAll();
        } catch (error) {
          deps.log.warn("Packages were not announced to devices; it is tried again", { error: databaseError(error) });
          await deps.clock.sleep(RETRY_MS, signal).catch(() => undefined);
          wakeUp.signal();
        }
      }
    },
  };
}

/** A device that was told of another package, or of none, than it is to run; null: of none. */
interface Difference extends Record<string, unknown> {
  readonly device_id: Uuid;
  readonly type: OtaType;
  readonly package_id: Uuid | null;
}

/** Few sites have any. */
async function hasPackages(db: Queryable): Promise<boolean> {
  const rows = await db.execute(sql`
    select where exists (select from entity where entity_type = 'OTA_PACKAGE') or exists (select from announced_package)`);
  return rows.length > 0;
}

/** @param ids null: of all */
async function findDifferences(db: Queryable, ids: ReadonlySet<Uuid> | null): Promise<readonly Difference[]> {
  if (ids?.size === 0 || !(await hasPackages(db))) return [];
  const list = arrayParam([...(ids ?? [])], "uuid");
  const isNoted = ids === null ? sql`true` : sql`${list} && array[device_id, profile_id, package_id, announced_id]`;
  return db.execute<Difference>(sql`
    with wanted as (
      select d.id as device_id, d.profile_id, kind.type, p.id as package_id, p.version as package_version
      from entity d
      join entity profile on profile.id = d.profile_id
      cross join (values ('FIRMWARE', 'firmwareId'), ('SOFTWARE', 'softwareId')) as kind (type, field)
      join entity p on p.entity_type = 'OTA_PACKAGE'
        and p.id = coalesce(d.body ->> kind.field, profile.body ->> kind.field)::uuid
      where d.entity_type = 'DEVICE'
    ), compared as (
      select device_id, type, w.profile_id, w.package_id, w.package_version, a.package_id as announced_id,
        a.package_version as announced_version
      from wanted w full join announced_package a using (device_id, type)
    )
    select device_id, type, package_id
    from compared
    where (package_id is distinct from announced_id or package_version is distinct from announced_version) and ${isNoted}
    limit ${DEVICES_AT_ONCE}`);
}

async function announce(
  tx: Queryable,
  nowMs: number,
  differences: readonly Difference[],
): Promise<EdgeOutcome<undefined>> {
  const there = await lockDevices(tx, differences);
  const packages = new Map<Uuid, EntityRecord>();
  for (const { package_id: id } of differences) {
    if (id === null || packages.has(id)) continue;
    const record = await findEntity(tx, { type: "OTA_PACKAGE", id });
    if (record !== null) packages.set(id, record);
  }
  const rows: AttributeRow[] = [];
  const telemetry = new TelemetryColumnsBuilder();
  const known: { readonly deviceId: Uuid; readonly type: OtaType; readonly record: EntityRecord }[] = [];
  const outdated: { readonly deviceId: Uuid; readonly key: string }[] = [];
  for (const { device_id: deviceId, package_id: packageId, type } of differences) {
    const record = packageId === null ? undefined : packages.get(packageId);
    if (!there.has(deviceId)) continue;
    const values = record === undefined ? {} : otaAttributes(record);
    for (const key of otaAttributeKeys(type)) if (!(key in values)) outdated.push({ deviceId, key });
    if (record === undefined) continue;
    known.push({ deviceId, type, record });
    for (const [key, value] of Object.entries(values)) {
      rows.push({ entityId: deviceId, scope: "SHARED_SCOPE", key, value: canonical(value), updatedMs: nowMs });
    }
    for (const reading of progressOf(deviceId, record, nowMs)) telemetry.add(reading);
  }
  await rememberAnnounced(tx, differences, known);
  const changes = [...(await deleteShared(tx, outdated)), ...byDevice(await putAttributes(tx, rows, "local"))];
  const columns = telemetry.build();
  await writeTelemetry(runStatementIn(tx), columns);
  return { result: undefined, changes, resend: columns };
}

/** Those that are still there, kept from being deleted until the commit. */
async function lockDevices(tx: Queryable, differences: readonly Difference[]): Promise<ReadonlySet<Uuid>> {
  const ids = arrayParam([...new Set(differences.map((difference) => difference.device_id))], "uuid");
  const rows = await tx.execute<{ id: Uuid }>(
    sql`select id from entity where id = any(${ids}) and entity_type = 'DEVICE' order by id for key share`,
  );
  return new Set(rows.map(({ id }) => id));
}

async function rememberAnnounced(
  tx: Queryable,
  differences: readonly Difference[],
  known: readonly { readonly deviceId: Uuid; readonly type: OtaType; readonly record: EntityRecord }[],
): Promise<void> {
  await tx.execute(sql`
    delete from announced_package a
    using unnest(${arrayParam(
      differences.map((difference) => difference.device_id),
      "uuid",
    )}, ${arrayParam(
      differences.map(({ type }) => type),
      "text",
    )}) as gone (device_id, type)
    where a.device_id = gone.device_id and a.type = gone.type`);
  if (known.length === 0) return;
  await tx.execute(sql`
    insert into announced_package (device_id, type, package_id, package_version)
    select * from unnest(${arrayParam(
      known.map(({ deviceId }) => deviceId),
      "uuid",
    )}, ${arrayParam(
      known.map(({ type }) => type),
      "text",
    )}, ${arrayParam(
      known.map(({ record }) => record.id),
      "uuid",
    )}, ${arrayParam(
      known.map(({ record }) => record.version),
      "bigint",
    )})`);
}

async function deleteShared(
  tx: Queryable,
  outdated: readonly { readonly deviceId: Uuid; readonly key: string }[],
): Promise<Change[]> {
  if (outdated.length === 0) return [];
  const rows = await tx.execute<{ entity_id: Uuid; key: string }>(sql`
    delete from attribute a
    using unnest(${arrayParam(
      outdated.map(({ deviceId }) => deviceId),
      "uuid",
    )}, ${arrayParam(
      outdated.map(({ key }) => key),
      "text",
    )}) as gone (entity_id, key)
    where a.entity_id = gone.entity_id and a.scope = 'SHARED_SCOPE' and a.key = gone.key
    returning a.entity_id, a.key`);
  return Array.from(
    Map.groupBy(rows, (row) => row.entity_id),
    ([id, gone]) => ({
      kind: "attributes-deleted",
      entity: { type: "DEVICE", id },
      scope: "SHARED_SCOPE",
      keys: gone.map(({ key }) => key).sort(),
    }),
  );
}

function byDevice(rows: readonly AttributeRow[]): Change[] {
  return Array.from(
    Map.groupBy(rows, (row) => row.entityId),
    ([id, saved]) => attributesSaved({ type: "DEVICE", id }, "SHARED_SCOPE", saved),
  );
}

/** QUEUED, and INITIATED with the attributes; the device reports the rest. */
function progressOf(deviceId: Uuid, record: EntityRecord, nowMs: number): TelemetryRecord[] {
  const values = otaAttributes(record);
  const prefix = OTA_PREFIXES[otaType(record)];
  const target = ["title", "version", "tag"].flatMap((name): [string, string | number][] => {
    const value = values[`${prefix}_${name}`];
    return value === undefined ? [] : [[`target_${prefix}_${name}`, value]];
  });
  const tsMs = Math.round(nowMs);
  return [
    reading(deviceId, tsMs, [...target, [`target_${prefix}_ts`, tsMs], [`${prefix}_state`, "QUEUED"]]),
    reading(deviceId, tsMs + 1, [[`${prefix}_state`, "INITIATED"]]),
  ];
}

function reading(entityId: Uuid, tsMs: number, values: readonly [string, string | number][]): TelemetryRecord {
  const members = values.map(([key, value]): [string, CanonicalJson] => [key, canonical(value)]);
  return { entityId, tsMs, values: joinValues(members), keySet: keySetOf(members.map(([key]) => key)) };
}

/** Texts and whole numbers are canonical as JSON.stringify writes them. */
function canonical(value: string | number): CanonicalJson {
  return JSON.stringify(value) as CanonicalJson;
}
