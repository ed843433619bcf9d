import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { openClaim } from "../../shared/store/device-claim-store.ts";
import { addCustomerUser, PASSWORD, signIn, startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { openTestSite, type TestSite } from "../support/test-site.ts";

let cloud: TestCloud;
let customerId: Uuid;
let token: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  ({ customerId, token } = await addCustomerUser(cloud));
});
afterAll(() => cloud[Symbol.asyncDispose]());

async function addDevice(name: string, secretKey?: string): Promise<Uuid> {
  const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name });
  if (secretKey !== undefined) await open(device.id.id, secretKey);
  return device.id.id;
}

/** As a device asks for it. */
function open(deviceId: Uuid, secretKey: string): Promise<void> {
  const nowMs = cloud.clock.nowMs();
  return cloud.unitOfWork.run((tx) => openClaim(tx, { deviceId, secretKey, expiresMs: nowMs + 60_000, nowMs }));
}

function claim(name: string, body?: unknown, by = token) {
  const path = `/api/customer/device/${encodeURIComponent(name)}/claim`;
  return cloud.request("POST", path, { token: by, ...(body === undefined ? {} : { body }) });
}

const windows = (deviceId: Uuid) =>
  cloud.call<unknown[]>("GET", `/api/plugins/telemetry/DEVICE/${deviceId}/values/attributes?keys=claimingData`);

describe("POST claim", () => {
  test("gives the device to the customer of the caller who knows the secret, once", async () => {
    const id = await addDevice("Pump 1", "s");
    const answer = await claim("Pump 1", { secretKey: "s" });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ response: "SUCCESS", device: { id: { id }, customerId: { id: customerId } } });
    expect(await windows(id)).toEqual([]);
    const again = await claim("Pump 1", { secretKey: "s" });
    expect([again.status, again.text]).toEqual([400, '"CLAIMED"']);
  });
  test("takes no secret as an empty one", async () => {
    await addDevice("Pump 2", "");
    expect((await claim("Pump 2")).json).toMatchObject({ response: "SUCCESS" });
  });
  test("fails with another secret, without a window and behind its end", async () => {
    await addDevice("Pump 3", "s");
    await addDevice("Pump 4");
    for (const [name, body] of [
      ["Pump 3", { secretKey: "other" }],
      ["Pump 3", undefined],
      ["Pump 4", { secretKey: "" }],
    ] as const) {
      const answer = await claim(name, body);
      expect([answer.status, answer.text]).toEqual([400, '"FAILURE"']);
    }
    cloud.clock.advance(60_000);
    expect((await claim("Pump 3", { secretKey: "s" })).text).toBe('"FAILURE"');
  });
  test("knows no device by its id or of another tenant, and serves customer users only", async () => {
    const id = await addDevice("Pump 5", "s");
    expect((await claim(id, { secretKey: "s" })).status).toBe(404);
    const { token: other } = cloud.second;
    await cloud.request("POST", "/api/device", { body: { name: "Of others" }, token: other });
    expect((await claim("Of others")).status).toBe(404);
    expect((await claim("Pump 5", { secretKey: "s" }, cloud.first.token)).status).toBe(403);
  });
  test("lets a customer guess ten times a minute, whoever of its users it is, and no other waits for that", async () => {
    const id = await addDevice("Pump 10", "s");
    await addDevice("Pump 11", "s");
    for (let guess = 0; guess < 10; guess += 1)
      expect((await claim("Pump 10", { secretKey: `s${guess}` })).status).toBe(400);
    expect((await claim("Pump 10", { secretKey: "s" })).status).toBe(429);
    expect((await claim("Pump 11", { secretKey: "s" })).status).toBe(200);
    const { token: other } = await addCustomerUser(cloud, "Others");
    expect((await claim("Pump 10", { secretKey: "wrong" }, other)).status).toBe(400);
    cloud.clock.advance(60_000);
    await open(id, "s");
    expect((await claim("Pump 10", { secretKey: "s" })).status).toBe(200);
  });
  test("takes a window that people opened as a server attribute", async () => {
    const id = await addDevice("Pump 6");
    const window = { claimingData: { secretKey: "k", expirationTime: cloud.clock.nowMs() + 1000 } };
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${id}/SERVER_SCOPE`, window);
    expect((await claim("Pump 6", { secretKey: "k" })).json).toMatchObject({ response: "SUCCESS" });
  });
});

describe("openClaim()", () => {
  test("opens no window while a customer has the device", async () => {
    const id = await addDevice("Pump 7", "s");
    await claim("Pump 7", { secretKey: "s" });
    await open(id, "s");
    expect(await windows(id)).toEqual([]);
  });
});

describe("DELETE claim", () => {
  test("gives the device back, and does no harm when nobody has it", async () => {
    const id = await addDevice("Pump 8", "s");
    await claim("Pump 8", { secretKey: "s" });
    for (const by of [token, token, cloud.first.token]) {
      const answer = await cloud.request("DELETE", "/api/customer/device/Pump%208/claim", { token: by });
      expect([answer.status, answer.text]).toEqual([200, ""]);
    }
    const device = await cloud.call<{ customerId: { id: string } }>("GET", `/api/device/${id}`);
    expect(device.customerId.id).not.toBe(customerId);
  });
  test("takes nothing from another customer", async () => {
    const id = await addDevice("Pump 9");
    const other = await cloud.call<{ id: { id: string } }>("POST", "/api/customer", { title: "Another" });
    await cloud.call("POST", `/api/customer/${other.id.id}/device/${id}`);
    expect((await cloud.request("DELETE", "/api/customer/device/Pump%209/claim", { token })).status).toBe(404);
  });
});

describe("on an edge", () => {
  let site: TestSite;
  let here: string;
  beforeAll(async () => {
    site = await openTestSite(cloud, "Claims");
    await cloud.call("POST", `/api/customer/${customerId}/edge/${site.edgeId}`);
    await site.sync();
    here = await signIn(site.edge.api, "customer@example.com", PASSWORD);
  });

  interface Owned {
    readonly customerId: { readonly id: string };
  }
  const ownerInCloud = async (id: Uuid) => (await cloud.call<Owned>("GET", `/api/device/${id}`)).customerId.id;
  const ownerOnEdge = async (id: Uuid) => (await site.call<Owned>("GET", `/api/device/${id}`)).customerId.id;

  /** A device of the edge that has asked to be claimed, with or without a link. */
  async function addHere(name: string): Promise<Uuid> {
    const { id } = (await site.call<{ id: { id: Uuid } }>("POST", "/api/device", { name })).id;
    const nowMs = cloud.clock.nowMs();
    const window = { deviceId: id, secretKey: "s", expiresMs: nowMs + 60_000, nowMs };
    await site.edge.unitOfWork.run((tx) => openClaim(tx, window));
    return id;
  }
  const claimHere = (method: string, name: string) =>
    site.edge.request(method, `/api/customer/device/${name}/claim`, { token: here, body: { secretKey: "s" } });

  test("a window that the device opened there is known in the cloud", async () => {
    const id = await addHere("Fan1");
    await site.sync();
    expect((await claim("Fan1", { secretKey: "s" })).json).toMatchObject({ response: "SUCCESS" });
    await site.sync();
    expect(await ownerOnEdge(id)).toBe(customerId);
    expect((await claimHere("POST", "Fan1")).text).toBe('"CLAIMED"');
  });
  test("a claim without a link is one in the cloud too, and so is that it is given back", async () => {
    const id = await addHere("Fan2");
    expect((await claimHere("POST", "Fan2")).json).toMatchObject({ response: "SUCCESS" });
    expect(await ownerOnEdge(id)).toBe(customerId);
    await site.sync();
    expect([await ownerInCloud(id), await ownerOnEdge(id)]).toEqual([customerId, customerId]);
    expect((await claimHere("DELETE", "Fan2")).status).toBe(200);
    await site.sync();
    expect(await ownerInCloud(id)).not.toBe(customerId);
    expect(await ownerOnEdge(id)).not.toBe(customerId);
  });
  test("a claim loses against a customer who got the device in the cloud meanwhile", async () => {
    const id = await addHere("Fan3");
    await site.sync();
    const other = await cloud.call<{ id: { id: string } }>("POST", "/api/customer", { title: "Quicker" });
    await cloud.call("POST", `/api/customer/${other.id.id}/device/${id}`);
    expect((await claimHere("POST", "Fan3")).json).toMatchObject({ response: "SUCCESS" });
    await site.sync();
    expect([await ownerInCloud(id), await ownerOnEdge(id)]).toEqual([other.id.id, other.id.id]);
  });
  test("gives nothing to a customer whose edge it is not", async () => {
    const id = await addHere("Fan4");
    await site.sync();
    await cloud.call("DELETE", `/api/customer/edge/${site.edgeId}`);
    expect((await claimHere("POST", "Fan4")).status).toBe(200);
    await site.sync();
    expect(await ownerInCloud(id)).not.toBe(customerId);
  });
});
