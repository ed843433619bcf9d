import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

// What the Python client of the REST convention does and expects, call by call.

const UNKNOWN = "784f394c-42b6-435a-983c-b7beff2784f9";
let cloud: TestCloud;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Saved {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly [field: string]: unknown;
}

function make(kind: string, body: Readonly<Record<string, unknown>> = {}): Promise<Saved> {
  names += 1;
  const title = kind === "customer" || kind === "dashboard" ? "title" : "name";
  return cloud.call<Saved>("POST", `/api/${kind}`, { [title]: `${kind} ${names}`, ...body });
}

describe("a call without a body that sends {} all the same", () => {
  test("assigns, unassigns and deletes", async () => {
    const [edge, device] = [await make("edge"), await make("device")];
    const path = `/api/edge/${edge.id.id}/device/${device.id.id}`;
    for (const [method, address] of [
      ["POST", path],
      ["DELETE", path],
      ["DELETE", `/api/device/${device.id.id}`],
      ["DELETE", `/api/edge/${edge.id.id}`],
    ] as const) {
      const answer = await cloud.request(method, address, { body: {} });
      expect([method, address, answer.status]).toEqual([method, address, 200]);
    }
  });

  test("signs out", async () => {
    const login = { username: cloud.first.email, password: "correct horse" };
    const { token } = await cloud.call<{ token: string }>("POST", "/api/auth/login", login);
    expect(await cloud.request("POST", "/api/auth/logout", { token, body: {} })).toMatchObject({
      status: 200,
      text: "",
    });
  });
});

describe("an answer is refused by the client when it lacks", () => {
  const isText = (value: unknown): boolean => typeof value === "string" && value !== "";

  test("name, type, routingKey or secret of an edge, wherever it is shown", async () => {
    const edge = await make("edge");
    const { data } = await cloud.call<{ data: Saved[] }>("GET", "/api/tenant/edges?pageSize=100&page=0");
    const list = await cloud.call<Saved[]>("GET", `/api/edges?edgeIds=${edge.id.id}`);
    const infos = await cloud.call<{ data: Saved[] }>("GET", "/api/tenant/edgeInfos?pageSize=100&page=0");
    const one = await cloud.call<Saved>("GET", `/api/edge/${edge.id.id}`);
    for (const shown of [edge, one, ...data, ...list, ...infos.data]) {
      for (const field of ["name", "type", "routingKey", "secret"])
        expect([field, isText(shown[field])]).toEqual([field, true]);
    }
  });

  test("name or deviceProfileId of a device", async () => {
    const device = await make("device");
    for (const shown of [device, await cloud.call<Saved>("GET", `/api/device/info/${device.id.id}`)]) {
      expect(shown).toMatchObject({
        name: expect.any(String),
        deviceProfileId: { entityType: "DEVICE_PROFILE", id: expect.any(String) },
      });
    }
  });

  test("tenantId of a rule chain, or ruleChainId, nodes and ruleChainConnections of its metadata", async () => {
    const chain = await make("ruleChain", { type: "EDGE" });
    expect(chain["tenantId"]).toMatchObject({ entityType: "TENANT", id: expect.any(String) });
    expect(await cloud.call("GET", `/api/ruleChain/${chain.id.id}/metadata`)).toMatchObject({
      ruleChainId: chain.id,
      nodes: [],
      ruleChainConnections: [],
    });
  });
});

test("saving telemetry and attributes answers with an empty body, whatever scope stands beside that of the path", async () => {
  const { id } = await make("device");
  const path = `/api/plugins/telemetry/DEVICE/${id.id}`;
  for (const address of [
    `${path}/timeseries/ANY?scope=ANY`,
    `${path}/SHARED_SCOPE?scope=ANY`,
    `${path}/attributes/SERVER_SCOPE?scope=ANY`,
  ]) {
    expect(await cloud.request("POST", address, { body: { a: 1 } })).toMatchObject({ status: 200, text: "" });
  }
});

test("lists by name and by ids use the query forms; ids are a comma list, which may be escaped", async () => {
  const [one, other] = [await make("device"), await make("device")];
  const name = encodeURIComponent(String(one["name"]));
  expect(await cloud.call<Saved>("GET", `/api/tenant/devices?deviceName=${name}`)).toEqual(one);
  const both = await cloud.call<Saved[]>("GET", `/api/devices?deviceIds=${one.id.id}%2C${other.id.id}`);
  expect(both.map(({ id }) => id.id).toSorted()).toEqual([one.id.id, other.id.id].toSorted());
  const active = await cloud.call<{ data: Saved[] }>("GET", "/api/tenant/deviceInfos?pageSize=1&page=0&active=true");
  expect(active.data).toEqual([]);
});

test("Python's text of a list is no list of ids", async () => {
  const { id } = await make("edge");
  const answer = await cloud.request("GET", `/api/edges?edgeIds=${encodeURIComponent(`['${id.id}', '${id.id}']`)}`);
  expect([answer.status, answer.json?.["errorCode"]]).toEqual([400, 31]);
});

test("what a save leaves out is as if it were null, and unknown members are passed over", async () => {
  const device = await make("device", { label: "L", unknown: { a: 1 } });
  const { label, ...rest } = device;
  expect(label).toBe("L");
  expect(await cloud.call<Saved>("POST", "/api/device", { ...rest, createdTime: 1 })).toMatchObject({
    label: null,
    createdTime: device["createdTime"],
    version: 2,
  });
});

describe("harmless calls stay 200:", () => {
  test("keys of a device profile without devices", async () => {
    const { id } = await make("deviceProfile", { type: "DEFAULT", transportType: "DEFAULT" });
    for (const kind of ["timeseries", "attributes"]) {
      const path = `/api/deviceProfile/devices/keys/${kind}?deviceProfileId=${id.id}`;
      expect(await cloud.call<string[]>("GET", path)).toEqual([]);
    }
  });

  test("a save of an access token that carries a value", async () => {
    const { id } = await make("device");
    const path = `/api/device/${id.id}/credentials`;
    const credentials = await cloud.call<Saved>("GET", path);
    const saved = await cloud.call<Saved>("POST", "/api/device/credentials", { ...credentials, credentialsValue: "x" });
    expect(saved).toMatchObject({ credentialsId: credentials["credentialsId"], credentialsValue: null });
  });

  test("a key filter without a predicate", async () => {
    const body = {
      entityFilter: { type: "entityType", entityType: "DEVICE" },
      keyFilters: [{ key: { type: "ATTRIBUTE", key: "active" }, valueType: "BOOLEAN" }],
    };
    const all = await cloud.call<{ totalElements: number }>("GET", "/api/tenant/devices?pageSize=1&page=0");
    expect(await cloud.call<number>("POST", "/api/entitiesQuery/count", body)).toBe(all.totalElements);
  });

  test("giving back a device that nobody claimed, moving one to where it is, audit logs of an id that has none", async () => {
    const device = await make("device");
    const path = `/api/customer/device/${encodeURIComponent(String(device["name"]))}/claim`;
    expect((await cloud.request("DELETE", path, { body: {} })).text).toBe("");
    const { tenantId } = cloud.first;
    const moved = await cloud.call<Saved>("POST", `/api/tenant/${tenantId}/device/${device.id.id}`, {});
    expect(moved).toMatchObject({ id: device.id, version: 1 });
    const log = `/api/audit/logs/entity/DEVICE/${UNKNOWN}?pageSize=10&page=0&startTime=1&actionTypes=ADDED,DELETED`;
    expect(await cloud.call("GET", log)).toEqual({ data: [], totalPages: 0, totalElements: 0, hasNext: false });
  });
});

test("booleans of a query are true and false, lists are comma lists, and enums stay within those of the convention", async () => {
  const edge = await make("edge");
  const device = await make("device");
  await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`, {});
  const active = `/api/tenant/deviceInfos?pageSize=10&page=0&active=false`;
  expect((await cloud.call<{ totalElements: number }>("GET", active)).totalElements).toBeGreaterThan(0);
  expect((await cloud.request("GET", active.replace("false", "False"))).status).toBe(400);
  const alarms = `/api/v2/alarms?pageSize=10&page=0&statusList=ACTIVE,UNACK&severityList=MAJOR,MINOR&typeList=Hot`;
  expect(await cloud.call("GET", alarms)).toMatchObject({ totalElements: 0 });
  const page = await cloud.call<{ data: { type: string; action: string }[] }>(
    "GET",
    `/api/edge/${edge.id.id}/events?pageSize=10&page=0`,
  );
  const shown = page.data.map(({ type, action }) => `${type} ${action}`);
  expect(shown).toEqual(["RULE_CHAIN ASSIGNED_TO_EDGE", "DEVICE_PROFILE ADDED", "DEVICE ASSIGNED_TO_EDGE"]);
});
