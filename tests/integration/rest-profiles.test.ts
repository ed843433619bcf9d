import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: string };
  readonly name: string;
  readonly version: number;
  readonly [key: string]: unknown;
}
interface Page {
  readonly data: readonly Entity[];
  readonly totalElements: number;
}

const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";
const PAGE = "pageSize=100&page=0";
const saveProfile = (input: object): Promise<Entity> => cloud.call("POST", "/api/deviceProfile", input);
const refused = async (method: string, path: string, body?: object): Promise<unknown> => {
  const answer = await cloud.request(method, path, body === undefined ? {} : { body });
  return [answer.status, answer.json?.["errorCode"], answer.json?.["message"]];
};

/** With null for what is not said, as clients send it. */
function alarmRule(condition: object = {}): object {
  const key = { type: "TIME_SERIES", key: "t" };
  const value = { defaultValue: 30.5, userValue: null, dynamicValue: null };
  const filter = {
    key,
    valueType: "NUMERIC",
    value: null,
    predicate: { type: "NUMERIC", operation: "GREATER", value },
  };
  const spec = { type: "SIMPLE" };
  const create = {
    condition: { condition: [filter], spec, ...condition },
    schedule: null,
    alarmDetails: null,
    dashboardId: null,
  };
  return {
    id: "a",
    alarmType: "High",
    createRules: { MAJOR: create },
    clearRule: null,
    propagate: false,
    propagateRelationTypes: null,
  };
}

describe("device profiles", () => {
  test("have a policy of what goes to the cloud that can be read; what is wrong is named", async () => {
    const uplink = { keys: { t: { deadband: { type: "ABSOLUTE", value: 0.5 }, maxIntervalMs: 60_000 } } };
    expect(await saveProfile({ name: "thinned", profileData: { uplink } })).toMatchObject({ profileData: { uplink } });
    const wrong = { name: "wrong", profileData: { uplink: { keys: { t: { maxIntervalMs: 60_000 } } } } };
    const { json, status } = await cloud.request("POST", "/api/deviceProfile", { body: wrong });
    expect([status, json?.["field"]]).toEqual([400, "profileData.uplink.keys.t.maxIntervalMs"]);
  });

  test("have alarm rules that can be read; what is wrong is named", async () => {
    const fieldOf = async (alarms: unknown): Promise<unknown> => {
      const body = { name: "ruled", profileData: { alarms } };
      const { json, status } = await cloud.request("POST", "/api/deviceProfile", { body });
      return [status, json?.["message"]];
    };
    expect(await fieldOf([{ ...alarmRule(), alarmType: "" }])).toEqual([
      400,
      "Alarm rule alarm type should be specified!",
    ]);
    expect(await fieldOf([alarmRule({ spec: { type: "SOON" } })])).toEqual([
      400,
      expect.stringContaining("profileData.alarms.0.createRules.MAJOR.condition.spec"),
    ]);
    const cel = (expression: string) => alarmRule({ expression: { type: "CEL", expression } });
    expect(await fieldOf([cel("telemetry.t >")])).toEqual([400, expect.stringContaining("Unreadable CEL expression")]);
    expect(await fieldOf([cel("telemetry.t > 30")])).toEqual([200, undefined]);
  });

  test("are made, changed and deleted; what is not said of them is as the convention has it", async () => {
    const made = await saveProfile({ name: "thermostat", description: "d", transportType: "MQTT", unknown: 1 });
    expect(made).toMatchObject({
      name: "thermostat",
      description: "d",
      default: false,
      type: "DEFAULT",
      transportType: "MQTT",
      provisionType: "DISABLED",
      firmwareId: null,
      version: 1,
      profileData: { configuration: { type: "DEFAULT" }, alarms: null },
    });
    const changed = await saveProfile({
      ...made,
      profileData: { configuration: { type: "DEFAULT" }, alarms: [alarmRule()] },
    });
    expect(changed).toMatchObject({ version: 2, profileData: { alarms: [alarmRule()] } });
    expect(await refused("POST", "/api/deviceProfile", { ...made, description: "stale" })).toEqual([
      409,
      35,
      "Device profile was already changed by someone else",
    ]);
    expect(await refused("POST", "/api/deviceProfile", { name: "thermostat" })).toEqual([
      400,
      31,
      "Device profile with such name already exists!",
    ]);
    await cloud.call("DELETE", `/api/deviceProfile/${made.id.id}`);
    expect((await cloud.request("GET", `/api/deviceProfile/${made.id.id}`)).status).toBe(404);
  });

  test("one is the default, which is not deleted; nor is one that devices have", async () => {
    const made = await saveProfile({ name: "pump" });
    const path = `/api/deviceProfile/${made.id.id}`;
    expect(await cloud.call<Entity>("POST", `${path}/default`)).toMatchObject({ default: true, version: 2 });
    expect(await cloud.call<Entity>("GET", "/api/deviceProfileInfo/default")).toMatchObject({ name: "pump" });
    const all = await cloud.call<Page>("GET", `/api/deviceProfiles?${PAGE}`);
    expect(all.data.filter((profile) => profile["default"] === true)).toHaveLength(1);
    expect(await refused("DELETE", path)).toEqual([400, 31, "Deletion of Default Device Profile is prohibited!"]);
    // A save says nothing of it.
    const { version: _, ...rest } = made;
    expect(await saveProfile({ ...rest, default: false })).toMatchObject({ default: true });
    const other = await saveProfile({ name: "valve" });
    await cloud.call("POST", "/api/device", { name: "V1", deviceProfileId: other.id });
    expect(await refused("DELETE", `/api/deviceProfile/${other.id.id}`)).toEqual([
      400,
      31,
      "The device profile referenced by the devices cannot be deleted!",
    ]);
  });

  test("renamed, give their devices the new type", async () => {
    const profile = await saveProfile({ name: "before" });
    const device = await cloud.call<Entity>("POST", "/api/device", { name: "R1", deviceProfileId: profile.id });
    await saveProfile({ ...profile, name: "after" });
    expect(await cloud.call<Entity>("GET", `/api/device/${device.id.id}`)).toMatchObject({ type: "after", version: 1 });
  });

  test("refuse a reference to nothing, and a provision key that is taken", async () => {
    expect(
      await refused("POST", "/api/deviceProfile", { name: "bad", defaultDashboardId: { id: UNKNOWN_ID } }),
    ).toEqual([400, 31, "Can't assign non-existent dashboard!"]);
    await saveProfile({ name: "with key", provisionDeviceKey: "k" });
    expect(await refused("POST", "/api/deviceProfile", { name: "again", provisionDeviceKey: "k" })).toEqual([
      400,
      31,
      "Device profile with such provision device key already exists!",
    ]);
  });

  test("are listed: infos by transport and by id, names in use, keys of their devices", async () => {
    const profile = await saveProfile({ name: "coap", transportType: "COAP" });
    const infos = await cloud.call<Page>("GET", `/api/deviceProfileInfos?${PAGE}&transportType=COAP`);
    expect(infos.data).toEqual([
      expect.objectContaining({ id: profile.id, name: "coap", transportType: "COAP", type: "DEFAULT" }),
    ]);
    for (const path of ["/api/deviceProfileInfos/list", "/api/deviceProfileInfos"]) {
      const some = await cloud.call<Entity[]>("GET", `${path}?deviceProfileIds=${profile.id.id},${UNKNOWN_ID}`);
      expect(some.map(({ name }) => name)).toEqual(["coap"]);
    }
    const active = () => cloud.call<Entity[]>("GET", "/api/deviceProfile/names?activeOnly=true");
    expect((await active()).map(({ name }) => name)).not.toContain("coap");
    const device = await cloud.call<Entity>("POST", "/api/device", { name: "K1", deviceProfileId: profile.id });
    expect((await active()).map(({ name }) => name)).toContain("coap");
    const keys = (what: string) =>
      cloud.call<string[]>("GET", `/api/deviceProfile/devices/keys/${what}?deviceProfileId=${profile.id.id}`);
    expect(await keys("timeseries")).toEqual([]);
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${device.id.id}/attributes/SERVER_SCOPE`, { site: 1 });
    expect(await keys("attributes")).toEqual(["site"]);
    const customer = await addCustomerUser(cloud);
    const answer = await cloud.request("GET", `/api/deviceProfileInfos?${PAGE}`, { token: customer.token });
    expect(answer.status).toBe(200);
  });
});

describe("asset profiles", () => {
  test("have the same routes, without what only devices have", async () => {
    const made = await cloud.call<Entity>("POST", "/api/assetProfile", { name: "room" });
    expect(made).toMatchObject({ name: "room", default: false });
    expect(made).not.toHaveProperty("transportType");
    await cloud.call("POST", "/api/asset", { name: "Room 1", assetProfileId: made.id });
    expect(await refused("DELETE", `/api/assetProfile/${made.id.id}`)).toEqual([
      400,
      31,
      "The asset profile referenced by the assets cannot be deleted!",
    ]);
    expect(await cloud.call<string[]>("GET", "/api/assetProfile/assets/keys/timeseries")).toEqual([]);
  });
});
