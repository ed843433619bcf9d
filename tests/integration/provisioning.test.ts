import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { DeviceProvisioning, ProvisionRequest } from "../../edge/devices/ports.ts";
import { createProvisioning } from "../../edge/store/provisioning.ts";
import { openSite } from "../../edge/store/site-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { readAttributeRows } from "../../shared/store/attribute-store.ts";
import { findCredentials, saveDevice } from "../../shared/store/device-store.ts";
import { findEntityByName } from "../../shared/store/entity-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { startTestCloud } from "../support/test-cloud.ts";
import { openTestSite, type TestSite } from "../support/test-site.ts";

const deps = { clock: systemClock, random: systemRandom };
let postgres: TestPostgres;
let database: TestDatabase;
let tenantId: Uuid;
let preProvisioned: Uuid;
let provisioning: DeviceProvisioning;
const changes: Change[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("edge");
  ({ tenantId } = await openSite(database.db));
  await addProfile("open", "ALLOW_CREATE_NEW_DEVICES");
  preProvisioned = await addProfile("checked", "CHECK_PRE_PROVISIONED_DEVICES");
  await addProfile("closed", "DISABLED");
  provisioning = createProvisioning({ ...deps, db: database.db, groupCommit: { run } });
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(() => void changes.splice(0));

/** As the group commit does, with the changes kept. */
function run<T>(work: (tx: Queryable) => Promise<Outcome<T>>): Promise<T> {
  return database.db.transaction(async (tx) => {
    const outcome = await work(tx);
    changes.push(...outcome.changes);
    return outcome.result;
  });
}

async function addProfile(name: string, provisionType: string): Promise<Uuid> {
  const provisionConfiguration = { type: provisionType, provisionDeviceSecret: `secret of ${name}` };
  const body = {
    name,
    provisionType,
    provisionDeviceKey: `key of ${name}`,
    profileData: { provisionConfiguration },
  };
  const input = deviceProfileForm.input.parse(body);
  return (await run((tx) => saveProfile(tx, deps, { form: deviceProfileForm, tenantId, input }))).id;
}

function ask(profile: string, request: Partial<ProvisionRequest> = {}) {
  return provisioning.provision({
    deviceName: "",
    key: `key of ${profile}`,
    secret: `secret of ${profile}`,
    isGateway: false,
    credentials: null,
    ...request,
  });
}

async function find(name: string) {
  const record = await findEntityByName(database.db, { type: "DEVICE", tenantId, name });
  if (record === null) throw new Error(`There is no device ${name}`);
  const attributes = await readAttributeRows(database.db, { entityId: record.id, scopes: ["SERVER_SCOPE"] });
  const state = attributes.find(({ key }) => key === "provisionState")?.value;
  return { record, credentials: await findCredentials(database.db, record.id), state };
}

describe("ALLOW_CREATE_NEW_DEVICES", () => {
  test("makes the device with a token, for the cloud to hear of", async () => {
    const outcome = await ask("open", { deviceName: "A" });
    const { credentials, record, state } = await find("A");
    expect(outcome).toMatchObject({
      status: "SUCCESS",
      credentials: { credentialsType: "ACCESS_TOKEN", credentialsId: credentials?.credentialsId },
    });
    expect(record).toMatchObject({ subtype: "open" });
    expect(state).toBe('"provisioned"' as never);
    expect(changes.map(({ kind }) => kind)).toEqual(["entity-saved", "credentials-saved", "attributes-saved"]);
  });
  test("makes a gateway that signs in with what it asked for", async () => {
    const credentialsValue = '{"clientId":"c","userName":"u","password":"p"}';
    const credentials = { credentialsType: "MQTT_BASIC", credentialsId: "", credentialsValue } as const;
    const outcome = await ask("open", { deviceName: "G", isGateway: true, credentials });
    expect(outcome).toMatchObject({ status: "SUCCESS", credentials: { credentialsValue } });
    expect((await find("G")).record.body["additionalInfo"]).toEqual({ gateway: true });
  });
  test("gives a device without a name one of 20 characters", async () => {
    expect((await ask("open")).status).toBe("SUCCESS");
    const [saved] = changes;
    const name = saved?.kind === "entity-saved" ? (JSON.parse(saved.body) as { name: string }).name : "";
    expect(name).toMatch(/^[A-Za-z0-9]{20}$/);
  });
  test("fails for a name, credentials or text that can't be used, and leaves nothing", async () => {
    const taken = { credentialsType: "ACCESS_TOKEN", credentialsId: "taken", credentialsValue: null } as const;
    expect((await ask("open", { deviceName: "B", credentials: taken })).status).toBe("SUCCESS");
    changes.splice(0);
    for (const request of [
      { deviceName: "B" },
      { deviceName: "C", credentials: taken },
      { deviceName: "<b>" },
      { deviceName: "C", credentials: { ...taken, credentialsId: "" } },
      { deviceName: "C", credentials: { ...taken, credentialsType: "X509_CERTIFICATE", credentialsValue: "none" } },
    ] as const) {
      expect((await ask("open", request)).status).toBe("FAILURE");
    }
    expect(changes).toEqual([]);
    expect(await findEntityByName(database.db, { type: "DEVICE", tenantId, name: "C" })).toBeNull();
  });
});

describe("CHECK_PRE_PROVISIONED_DEVICES", () => {
  test("admits a device that was entered, once", async () => {
    const input = { name: "Known", deviceProfileId: preProvisioned };
    await run((tx) => saveDevice(tx, deps, { tenantId, input }));
    changes.splice(0);
    const outcome = await ask("checked", { deviceName: "Known" });
    const { credentials, state } = await find("Known");
    expect(outcome).toMatchObject({ status: "SUCCESS", credentials: { credentialsId: credentials?.credentialsId } });
    expect(state).toBe('"provisioned"' as never);
    expect(changes.map(({ kind }) => kind)).toEqual(["attributes-saved"]);
    expect((await ask("checked", { deviceName: "Known" })).status).toBe("FAILURE");
  });
  test("fails for an unknown device, and for one of another profile", async () => {
    await run((tx) => saveDevice(tx, deps, { tenantId, input: { name: "Of another profile" } }));
    for (const deviceName of ["Nobody", "Of another profile", ""]) {
      expect((await ask("checked", { deviceName })).status).toBe("FAILURE");
    }
  });
});

test("provision() finds no profile by a wrong key or secret, by none, and none that provisions nothing", async () => {
  for (const request of [{ key: "key" }, { secret: "secret" }, { key: "" }, { secret: "" }]) {
    expect((await ask("open", request)).status).toBe("NOT_FOUND");
  }
  expect((await ask("closed", { deviceName: "D" })).status).toBe("NOT_FOUND");
});

describe("in the cloud", () => {
  const newProfile = (name: string, provisionType: string, id?: Uuid) => ({
    ...(id === undefined ? {} : { id: { id } }),
    name,
    provisionType,
    provisionDeviceKey: name,
    profileData: { provisionConfiguration: { type: provisionType, provisionDeviceSecret: "s" } },
  });
  test("a profile that makes devices is on every edge of its tenant for as long as it does", async () => {
    await using cloud = await startTestCloud();
    const before = await openTestSite(cloud, "Before");
    const save = (body: object) => cloud.call<{ id: { id: Uuid } }>("POST", "/api/deviceProfile", body);
    const profile = await save(newProfile("Open", "ALLOW_CREATE_NEW_DEVICES"));
    await save(newProfile("Checked", "CHECK_PRE_PROVISIONED_DEVICES"));
    const after = await openTestSite(cloud, "After");
    const names = async (site: TestSite) =>
      (await site.call<{ name: string }[]>("GET", "/api/deviceProfile/names")).map(({ name }) => name);
    for (const site of [before, after]) {
      await site.sync();
      expect(await names(site)).toEqual(["Open"]);
    }
    const { db } = before.edge.database;
    const here = createProvisioning({ ...deps, db, groupCommit: before.edge.unitOfWork });
    const request = { key: "Open", secret: "s", isGateway: false, credentials: null } as const;
    expect((await here.provision({ ...request, deviceName: "Made on the edge" })).status).toBe("SUCCESS");
    await before.sync();
    const made = await cloud.call("GET", "/api/tenant/devices?deviceName=Made%20on%20the%20edge");
    expect(made).toMatchObject({ type: "Open", deviceProfileId: { id: profile.id.id } });
    await save(newProfile("Open", "DISABLED", profile.id.id));
    for (const site of [before, after]) await site.sync();
    expect([await names(before), await names(after)]).toEqual([["Open"], []]);
  });
});
