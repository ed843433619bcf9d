import { afterAll, beforeAll, expect, test } from "bun:test";
import type { AuthenticatedDevice } from "../../edge/devices/ports.ts";
import { createGatewayDevices } from "../../edge/store/gateway-devices.ts";
import { openSite } from "../../edge/store/site-store.ts";
import type { Change } from "../../shared/entities/change.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { getEntity } from "../../shared/store/entity-store.ts";
import { findRelations } from "../../shared/store/relation-store.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock: systemClock, random: systemRandom };
let postgres: TestPostgres;
let database: TestDatabase;
let gateway: AuthenticatedDevice;
let other: AuthenticatedDevice;
const changes: Change[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("edge");
  await openSite(database.db);
  gateway = await addGateway("Gateway");
  other = await addGateway("Other gateway");
});
afterAll(() => postgres[Symbol.asyncDispose]());

async function addGateway(name: string): Promise<AuthenticatedDevice> {
  const { tenantId } = await openSite(database.db);
  const input = { name, additionalInfo: { gateway: true } };
  const { result } = await database.db.transaction((tx) => saveDevice(tx, deps, { tenantId, input }));
  return { deviceId: result.id, name, isGateway: true };
}

/** As the group commit does, with the changes kept. */
function open(by: AuthenticatedDevice, name: string, type = "default"): Promise<AuthenticatedDevice> {
  changes.length = 0;
  const { openBehind } = createGatewayDevices({
    ...deps,
    groupCommit: {
      run: (work) =>
        database.db.transaction(async (tx) => {
          const outcome = await work(tx);
          changes.push(...outcome.changes);
          return outcome.result;
        }),
    },
  });
  return openBehind(by, { name, type });
}

async function read(device: AuthenticatedDevice) {
  const { tenantId } = await openSite(database.db);
  const record = await getEntity(database.db, { type: "DEVICE", id: device.deviceId });
  const to = { type: "DEVICE", id: device.deviceId };
  const relations = await findRelations(database.db, tenantId, { to, type: "Created", typeGroup: "COMMON" });
  return { record, gateways: relations.map(({ from }) => from.id) };
}

test("openBehind() makes a device with the profile that is named, related to its gateway, for the cloud to hear of", async () => {
  const device = await open(gateway, "Meter 1", "meter");
  const { record, gateways } = await read(device);
  expect(record).toMatchObject({ name: "Meter 1", subtype: "meter" });
  expect(record.body["additionalInfo"]).toEqual({ lastConnectedGateway: gateway.deviceId });
  expect(gateways).toEqual([gateway.deviceId]);
  expect(changes.map(({ kind }) => kind)).toEqual([
    "entity-saved", // the profile
    "entity-saved",
    "credentials-saved",
    "relation-saved",
  ]);
});

test("openBehind() finds the device again and changes nothing", async () => {
  const before = await open(gateway, "Meter 2");
  expect(await open(gateway, "Meter 2", "ignored")).toEqual(before);
  expect(changes).toEqual([]);
  expect((await read(before)).record.version).toBe(1);
});

test("openBehind() moves a device to the gateway that speaks for it now, and keeps what else is said of it", async () => {
  const { tenantId } = await openSite(database.db);
  const input = { name: "Meter 3", label: "cellar", additionalInfo: { floor: -1 } };
  await database.db.transaction((tx) => saveDevice(tx, deps, { tenantId, input }));
  await open(gateway, "Meter 3");
  const device = await open(other, "Meter 3");
  const { record, gateways } = await read(device);
  expect(record).toMatchObject({ label: "cellar", version: 3 });
  expect(record.body["additionalInfo"]).toEqual({ floor: -1, lastConnectedGateway: other.deviceId });
  expect(new Set(gateways)).toEqual(new Set([gateway.deviceId, other.deviceId]));
});
