import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createDevicePackages } from "../../edge/store/device-packages.ts";
import type { EdgeOutcome } from "../../edge/store/group-writer.ts";
import { createPackageAnnouncer, type PackageAnnouncer } from "../../edge/store/package-announcer.ts";
import { openSite } from "../../edge/store/site-store.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import type { OtaType } from "../../shared/entities/ota-package.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { deleteEntity, insertEntityIfFree } from "../../shared/store/entity-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

const deps = { clock: systemClock, random: systemRandom };
let postgres: TestPostgres;
let database: TestDatabase;
let tenantId: Uuid;
let announcer: PackageAnnouncer;
let stop: AbortController;
let running: Promise<void>;
const changes: Change[] = [];
let resent: TelemetryColumns[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("edge");
  ({ tenantId } = await openSite(database.db));
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(start);
afterEach(halt);

function start(): void {
  changes.length = 0;
  resent = [];
  stop = new AbortController();
  announcer = createPackageAnnouncer({
    db: database.db,
    groupCommit: { run: commit },
    clock: systemClock,
    log: silentLog,
  });
  running = announcer.run(stop.signal);
}
async function halt(): Promise<void> {
  stop.abort();
  await running;
}

/** As the group commit does, with what would go to the cloud kept. */
function commit<T>(work: (tx: Queryable) => Promise<EdgeOutcome<T>>): Promise<T> {
  return database.db.transaction(async (tx) => {
    const outcome = await work(tx);
    changes.push(...outcome.changes);
    if (outcome.resend !== undefined) resent.push(outcome.resend);
    return outcome.result;
  });
}
/** A change as people make it, which the announcer hears of. */
async function change<T>(work: (tx: Queryable) => Promise<EdgeOutcome<T>>): Promise<T> {
  let made: readonly Change[] = [];
  const result = await database.db.transaction(async (tx) => {
    const outcome = await work(tx);
    made = outcome.changes;
    return outcome.result;
  });
  announcer.note(made);
  return result;
}

async function addPackage(version: string, { type = "FIRMWARE", bytes }: { type?: OtaType; bytes?: Uint8Array } = {}) {
  const id = createUuid(systemClock, systemRandom);
  await database.db.transaction(async (tx) => {
    const file = bytes ?? new TextEncoder().encode(`bytes of ${version}`);
    const blob = await createTestBlobs(database).put(tx, file);
    const content = { sha256: blob.sha256, dataSize: blob.bytes, checksumAlgorithm: "SHA256", checksum: blob.sha256 };
    await insertEntityIfFree(tx, {
      entityType: "OTA_PACKAGE",
      id,
      tenantId,
      customerId: null,
      name: "Pump",
      subtype: type,
      label: null,
      profileId: null,
      version: 1,
      createdMs: 1,
      body: { version, tag: `Pump ${version}`, fileName: "pump.bin", ...content },
    });
  });
  return id;
}

let names = 0;
async function addDevice(input: object = {}): Promise<Uuid> {
  names += 1;
  const named = { name: `Device ${names}`, ...input };
  return (await change((tx) => saveDevice(tx, deps, { tenantId, input: named }))).id;
}
const updateDevice = (id: Uuid, input: object) =>
  change((tx) => saveDevice(tx, deps, { tenantId, input: { id, name: `Device of ${id}`, ...input } }));

async function addProfile(name: string, ids: object = {}, id?: Uuid): Promise<Uuid> {
  const input = { ...deviceProfileForm.input.parse({ name }), ...ids, ...(id === undefined ? {} : { id }) };
  return (await change((tx) => saveProfile(tx, deps, { form: deviceProfileForm, tenantId, input }))).id;
}

async function shared(id: Uuid): Promise<Record<string, unknown>> {
  const rows = await readAttributeRows(database.db, { entityId: id, scopes: ["SHARED_SCOPE"] });
  return Object.fromEntries(rows.map(({ key, value }) => [key, JSON.parse(value) as unknown]));
}
const untilVersion = (id: Uuid, version: string | undefined, prefix = "fw") =>
  waitFor(`${prefix} ${version} to be announced`, async () => (await shared(id))[`${prefix}_version`] === version);

async function series(id: Uuid): Promise<unknown[]> {
  const rows = await database.sql<{ values: unknown }[]>`
    select "values" from telemetry where entity_id = ${id} order by ts_ms`;
  return rows.map(({ values }) => values);
}

describe("createPackageAnnouncer()", () => {
  test("tells a device of its package by shared attributes and the state by telemetry, and the cloud of both", async () => {
    const firmwareId = await addPackage("1.0");
    const id = await addDevice({ firmwareId });
    await untilVersion(id, "1.0");
    const attributes = await shared(id);
    expect(attributes).toMatchObject({
      fw_title: "Pump",
      fw_tag: "Pump 1.0",
      fw_size: 12,
      fw_checksum_algorithm: "SHA256",
    });
    expect(Object.keys(attributes).length).toBe(6);
    expect(changes).toMatchObject([{ kind: "attributes-saved", scope: "SHARED_SCOPE", entity: { id } }]);
    const [queued, initiated] = await series(id);
    expect(queued).toMatchObject({ target_fw_title: "Pump", target_fw_version: "1.0", fw_state: "QUEUED" });
    expect(initiated).toEqual({ fw_state: "INITIATED" });
    expect(resent.map(({ tsMs }) => tsMs.length)).toEqual([2]);
  });
  test("tells devices of the package of their profile, but for those that have one of their own", async () => {
    const [own, ofProfile] = [await addPackage("own"), await addPackage("of profile")];
    const deviceProfileId = await addProfile("pump");
    const [plain, special] = [
      await addDevice({ deviceProfileId }),
      await addDevice({ deviceProfileId, firmwareId: own }),
    ];
    await addProfile("pump", { firmwareId: ofProfile }, deviceProfileId);
    await untilVersion(plain, "of profile");
    await untilVersion(special, "own");
    await updateDevice(special, { deviceProfileId });
    await untilVersion(special, "of profile");
  });
  test("takes back what it told, and only that", async () => {
    const [firmwareId, softwareId] = [await addPackage("2.0"), await addPackage("2.1", { type: "SOFTWARE" })];
    const id = await addDevice({ firmwareId, softwareId });
    await untilVersion(id, "2.1", "sw");
    const own = await addDevice();
    const readings = [{ key: "fw_version", value: '"by hand"' as never }];
    const save = { entity: { type: "DEVICE", id: own }, scope: "SHARED_SCOPE", readings, nowMs: 1 } as const;
    await change((tx) => saveAttributes(tx, save));
    changes.length = 0;
    await updateDevice(own, { label: "changed" });
    await updateDevice(id, { softwareId });
    await untilVersion(id, undefined);
    expect(Object.keys(await shared(id)).every((key) => key.startsWith("sw_"))).toBe(true);
    expect(await shared(own)).toEqual({ fw_version: "by hand" });
    expect(changes).toMatchObject([{ kind: "attributes-deleted", scope: "SHARED_SCOPE", entity: { id } }]);
  });
  test("tells of one package once, whatever else changes, and finds after a start what changed before", async () => {
    const id = await addDevice({ firmwareId: await addPackage("3.0") });
    await untilVersion(id, "3.0");
    const firmwareId = await addPackage("3.1");
    await halt();
    await updateDevice(id, { firmwareId });
    expect((await shared(id))["fw_version"]).toBe("3.0");
    start();
    await untilVersion(id, "3.1");
    changes.length = 0;
    await updateDevice(id, { firmwareId, label: "changed" });
    const other = await addDevice({ firmwareId });
    await untilVersion(other, "3.1");
    expect(changes.map(({ entity }) => entity.id)).toEqual([other]);
  });
  test("forgets a device that is gone", async () => {
    const id = await addDevice({ firmwareId: await addPackage("4.0") });
    await untilVersion(id, "4.0");
    await change((tx) => deleteEntity(tx, { type: "DEVICE", id }));
    await waitFor("the note to go", async () => {
      const rows = await database.sql`select from announced_package where device_id = ${id}`;
      return rows.length === 0;
    });
  });
});

describe("createDevicePackages()", () => {
  const find = (id: Uuid, type: OtaType = "FIRMWARE") =>
    createDevicePackages({ db: database.db, blobs: createTestBlobs(database) }).find(id, type);

  test("finds the device's own package, else that of its profile, else none", async () => {
    const [own, ofProfile] = [await addPackage("5.0"), await addPackage("5.1")];
    const deviceProfileId = await addProfile("meter", { firmwareId: ofProfile });
    expect((await find(await addDevice({ deviceProfileId, firmwareId: own })))?.version).toBe("5.0");
    const found = await find(await addDevice({ deviceProfileId }));
    expect(found).toMatchObject({ title: "Pump", version: "5.1", fileName: "pump.bin" });
    expect(await find(await addDevice({ deviceProfileId }), "SOFTWARE")).toBeNull();
    expect(await find(await addDevice())).toBeNull();
  });
  test("reads any part of a file of several stored parts", async () => {
    const bytes = systemRandom.bytes(700_001);
    const found = await find(await addDevice({ firmwareId: await addPackage("6.0", { bytes }) }));
    if (found === null) throw new Error("There is no package");
    for (const [offset, length] of [
      [0, 1024],
      [65_000, 2000],
      [262_100, 100],
      [262_144, 65_536],
      [700_000, 1000],
      [700_001, 10],
    ] as const) {
      const parts: Uint8Array[] = [];
      const wanted = bytes.subarray(offset, offset + length);
      for (let read = 0; read < wanted.length;) {
        const part = await found.read(offset + read, wanted.length - read);
        expect(part.length).toBeGreaterThan(0);
        parts.push(part);
        read += part.length;
      }
      expect(Buffer.concat(parts).equals(Buffer.from(wanted))).toBe(true);
    }
    expect((await found.read(700_001, 10)).length).toBe(0);
  });
});
