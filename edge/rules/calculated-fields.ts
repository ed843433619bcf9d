import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { DeviceFields } from "../../shared/rules/calculated-fields.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Stored } from "../store/commit-rules.ts";
import type { DerivedValues } from "./derived-values.ts";
import { hasProfileList, openProfileReader, type ProfileReader } from "./profile-reader.ts";

// Calculated fields of device profiles, worked out within the commit of what they look at, before alarm rules and chains. What they know of
// a device (windows, newest values, attributes) is read from the database once and then kept up to date by the commits themselves.
//
// Invariant: what is kept in memory is what was committed. A commit of which it is not known has its devices forgotten and read again.
// Only the writer calls `derive`, for one commit after the other.

/** Devices kept in memory, and points of all their windows; those that were known first leave first. */
const DEVICES_MAX = 20_000;
const POINTS_MAX = 1_000_000;

export interface CalculatedFieldsDeps extends StoreDeps {
  readonly db: Queryable;
  readonly log: Log;
}

export interface DerivedRecords {
  readonly records: readonly TelemetryRecord[];
  /** What came with what was derived of it behind each. */
  readonly all: readonly TelemetryRecord[];
  /** As of a Decision. */
  committed(): void;
}

export interface CalculatedFields {
  /** No profile has any. */
  readonly isIdle: boolean;
  /** Changes were committed, by whomever. */
  note(changes: readonly Change[]): void;
  derive(db: Queryable, stored: Stored): Promise<DerivedRecords>;
}

export async function openCalculatedFields(deps: CalculatedFieldsDeps): Promise<CalculatedFields> {
  const { db, log } = deps;
  const profiles = await openProfileReader<DerivedValues>({
    db,
    log,
    what: "Calculated fields",
    compile: async (bodies) =>
      // Most sites have none, and pay nothing for them.
      bodies.values().some((body) => hasProfileList(body, "calculatedFields"))
        ? (await import("./compile-fields.ts")).compileFieldsOf(bodies, log)
        : new Map<Uuid, DerivedValues>(),
  });
  return new CommittedFields(deps, profiles);
}

interface KnownDevice {
  readonly profile: DerivedValues;
  readonly fields: DeviceFields;
  /** Of its windows, as counted last. */
  points: number;
}

class CommittedFields implements CalculatedFields {
  readonly #deps: CalculatedFieldsDeps;
  readonly #profiles: ProfileReader<DerivedValues>;
  /** null: its profile has no fields, or it is no device. */
  readonly #devices = new Map<Uuid, KnownDevice | null>();
  #points = 0;
  /** Looked at in a commit of which nothing is known yet. */
  readonly #uncommitted = new Set<Uuid>();

  constructor(deps: CalculatedFieldsDeps, profiles: ProfileReader<DerivedValues>) {
    this.#deps = deps;
    this.#profiles = profiles;
  }

  get isIdle(): boolean {
    return this.#profiles.byId().size === 0 && this.#profiles.reading() === null;
  }

  note(changes: readonly Change[]): void {
    for (const { entity, kind } of changes) {
      if (kind !== "entity-saved" && kind !== "entity-removed") continue;
      if (entity.type === "DEVICE_PROFILE") this.#profiles.readAgain(() => this.#forgetAll());
      else if (entity.type === "DEVICE") this.#forget(entity.id);
    }
  }

  async derive(db: Queryable, stored: Stored): Promise<DerivedRecords> {
    const reading = this.#profiles.reading();
    if (reading !== null) await reading;
    for (const id of this.#uncommitted) this.#forget(id);
    this.#uncommitted.clear();
    for (const change of stored.changes) this.#takeAttributes(change);
    const ids = new Set(stored.records.map(({ entityId }) => entityId));
    const unknown = [...ids].filter((id) => !this.#devices.has(id));
    if (unknown.length > 0) await this.#load(db, unknown, stored);
    const nowMs = this.#deps.clock.nowMs();
    const records: TelemetryRecord[] = [];
    const all: TelemetryRecord[] = [];
    for (const record of stored.records) {
      all.push(record);
      const device = this.#touch(record.entityId);
      const derived = device?.profile.derive(device.fields, record, nowMs) ?? null;
      if (derived === null) continue;
      records.push(derived);
      all.push(derived);
    }
    this.#countPoints(ids);
    return { records, all, committed: () => this.#uncommitted.clear() };
  }

  async #load(db: Queryable, ids: readonly Uuid[], { unsettled }: Stored): Promise<void> {
    const profiles = this.#profiles.byId();
    const { readDevicesWithFields } = await import("../store/calculated-store.ts");
    const compiled = new Map(Array.from(profiles, ([id, profile]) => [id, profile.compiled] as const));
    const query = { ids, profiles: compiled, unsettled: unsettled(new Set(ids)) };
    const nowMs = this.#deps.clock.nowMs();
    // In a transaction of its own, or a savepoint: what fails in it must not end the commit.
    const found = await db.transaction((tx) => readDevicesWithFields(tx, { ...query, nowMs }));
    for (const id of ids) {
      const device = found.get(id);
      const profile = device === undefined ? undefined : profiles.get(device.profileId);
      if (device === undefined || profile === undefined) this.#devices.set(id, null);
      else this.#devices.set(id, { profile, fields: profile.watch(device.known), points: 0 });
    }
  }

  #touch(id: Uuid): KnownDevice | null {
    const device = this.#devices.get(id) ?? null;
    if (device !== null) this.#uncommitted.add(id);
    return device;
  }

  #takeAttributes(change: Change): void {
    if (change.kind !== "attributes-saved" && change.kind !== "attributes-deleted") return;
    const fields = this.#touch(change.entity.id)?.fields;
    if (fields === undefined) return;
    const { scope } = change;
    if (change.kind === "attributes-deleted") return fields.dropAttributes(scope, change.keys);
    for (const { key, updatedMs, value } of change.attributes)
      fields.takeAttribute({ scope, key, tsMs: updatedMs, value: JSON.parse(value) as Json }); // canonical JSON
  }

  #countPoints(ids: ReadonlySet<Uuid>): void {
    for (const id of ids) {
      const device = this.#devices.get(id) ?? null;
      if (device === null) continue;
      const { points } = device.fields;
      this.#points += points - device.points;
      device.points = points;
    }
    for (const id of this.#devices.keys()) {
      if (this.#devices.size <= DEVICES_MAX && this.#points <= POINTS_MAX) return;
      if (!this.#uncommitted.has(id)) this.#forget(id);
    }
  }

  #forget(id: Uuid): void {
    this.#points -= this.#devices.get(id)?.points ?? 0;
    this.#devices.delete(id);
  }

  #forgetAll(): void {
    this.#devices.clear();
    this.#points = 0;
  }
}
