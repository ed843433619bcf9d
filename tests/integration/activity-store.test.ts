import { afterAll, beforeAll, expect, test } from "bun:test";
import type { ActivityStore } from "../../edge/devices/activity.ts";
import { createActivityStore, openInactivityTimeouts } from "../../edge/store/activity-store.ts";
import { openSite } from "../../edge/store/site-store.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { readValue } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { findActive, readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

let postgres: TestPostgres;
let database: TestDatabase;
let store: ActivityStore;
let device: { readonly deviceId: Uuid; readonly profileId: Uuid };
const changes: Change[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("edge");
  const { db } = database;
  const { tenantId } = await openSite(db);
  const deps = { clock: systemClock, random: systemRandom };
  const { result } = await db.transaction((tx) => saveDevice(tx, deps, { tenantId, input: { name: "A" } }));
  if (result.profileId === null) throw new Error("Expected a profile");
  device = { deviceId: result.id, profileId: result.profileId };
  store = createActivityStore({
    db,
    groupCommit: {
      run: (work) =>
        db.transaction(async (tx) => {
          const outcome = await work(tx);
          changes.push(...outcome.changes);
          return outcome.result;
        }),
    },
  });
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("createActivityStore() writes server attributes as changes for the cloud, and passes over devices that are gone", async () => {
  const values = new Map([
    ["active", readValue("true")],
    ["lastConnectTime", readValue("1700000000000")],
  ]);
  const gone = createUuid(systemClock, systemRandom);
  await store.save(
    [
      { deviceId: gone, values },
      { deviceId: device.deviceId, values },
    ],
    5,
  );
  const rows = await readAttributeRows(database.db, { entityId: device.deviceId, scopes: ["SERVER_SCOPE"] });
  expect(rows.map(({ key, value }) => [key, String(value)])).toEqual([
    ["active", "true"],
    ["lastConnectTime", "1700000000000"],
  ]);
  expect(changes.map(({ kind, entity }) => [kind, entity.id])).toEqual([["attributes-saved", device.deviceId]]);
  expect([...(await findActive(database.db, [device.deviceId, gone]))]).toEqual([device.deviceId]);
  expect(await store.readActive()).toEqual([device]);
  await store.save([{ deviceId: device.deviceId, values: new Map([["active", readValue("false")]]) }], 6);
  expect(await store.readActive()).toEqual([]);
});

test("openInactivityTimeouts() takes that of the device, else of its profile, and follows changes", async () => {
  const { db } = database;
  const timeouts = await openInactivityTimeouts({ db, log: silentLog });
  const setTimeout = async (type: "DEVICE" | "DEVICE_PROFILE", id: Uuid, text: string): Promise<void> => {
    const readings = [{ key: "inactivityTimeout", value: readValue(text) }];
    const save = { entity: { type, id }, scope: "SERVER_SCOPE", readings, nowMs: 1 } as const;
    const { changes: saved } = await db.transaction((tx) => saveAttributes(tx, save));
    for (const change of saved) timeouts.note(change);
  };
  expect(timeouts.of(device)).toBeUndefined();
  await setTimeout("DEVICE_PROFILE", device.profileId, "60000");
  await waitFor("the profile's", () => timeouts.of(device) === 60_000);
  await setTimeout("DEVICE", device.deviceId, "5000");
  await waitFor("the device's", () => timeouts.of(device) === 5000);
  await setTimeout("DEVICE", device.deviceId, '"soon"');
  await waitFor("the profile's again", () => timeouts.of(device) === 60_000);
});
