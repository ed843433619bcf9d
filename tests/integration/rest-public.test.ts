import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { changesSomething, isOpenToPublic } from "../../shared/rest/route.ts";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

interface Entity {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly customerId: { readonly id: string };
}

let cloud: TestCloud;
let device: Entity;
let publicId: string;
let token: string;
let refreshToken: string;

const signInPublic = (body: unknown) => cloud.request("POST", "/api/auth/login/public", { body, token: null });
const asPublic = (method: string, path: string, body?: unknown) =>
  cloud.request(method, path, { token, ...(body === undefined ? {} : { body }) });

beforeAll(async () => {
  cloud = await startTestCloud();
  const made = await cloud.call<Entity>("POST", "/api/device", { name: "Weather" });
  device = await cloud.call<Entity>("POST", `/api/customer/public/device/${made.id.id}`);
  publicId = device.customerId.id;
  const answer = await signInPublic({ publicId });
  ({ token = "", refreshToken = "" } = answer.json as { token?: string; refreshToken?: string });
});
afterAll(() => cloud[Symbol.asyncDispose]());

describe("who signs in by the id of a public customer", () => {
  test("reads what that customer has", async () => {
    expect(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())).toMatchObject({
      isPublic: true,
      sub: publicId,
      scopes: ["CUSTOMER_USER"],
      customerId: publicId,
    });
    const path = `/api/device/${device.id.id}`;
    expect((await asPublic("GET", path)).json).toMatchObject({ name: "Weather" });
    const page = await asPublic("GET", `/api/customer/${publicId}/deviceInfos?pageSize=10&page=0`);
    expect(page.json).toMatchObject({ totalElements: 1 });
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${device.id.id}/timeseries/ANY`, { wind: 3 });
    const latest = await asPublic("GET", `/api/plugins/telemetry/DEVICE/${device.id.id}/values/timeseries?keys=wind`);
    expect(latest.json).toMatchObject({ wind: [{ value: "3" }] });
    const query = {
      entityFilter: { type: "entityType", entityType: "DEVICE" },
      pageLink: { pageSize: 10, page: 0 },
      entityFields: [{ type: "ENTITY_FIELD", key: "name" }],
    };
    expect((await asPublic("POST", "/api/entitiesQuery/find", query)).json).toMatchObject({ totalElements: 1 });
    expect((await asPublic("GET", "/api/auth/user")).json).toMatchObject({
      authority: "CUSTOMER_USER",
      firstName: "Public",
      customerId: { id: publicId },
    });
  });

  test("sees nothing else, changes nothing, and learns of no people and no secrets", async () => {
    const other = await cloud.call<Entity>("POST", "/api/device", { name: "Vault" });
    expect((await asPublic("GET", `/api/device/${other.id.id}`)).status).toBe(404);
    const { id } = device;
    const data = `/api/plugins/telemetry/DEVICE/${id.id}`;
    for (const [method, path, body] of [
      ["POST", "/api/device", { ...device, label: "Mine" }],
      ["POST", `${data}/timeseries/ANY`, { wind: 9 }],
      ["POST", `${data}/SERVER_SCOPE`, { site: 9 }],
      ["POST", "/api/alarm", { originator: id, type: "Storm", severity: "MAJOR" }],
      ["POST", "/api/user/settings", { a: 1 }],
      ["POST", "/api/auth/changePassword", { currentPassword: "a", newPassword: "b" }],
      ["POST", "/api/apiKey", { description: "key" }],
      ["GET", `/api/device/${id.id}/credentials`, undefined],
      ["GET", "/api/users?pageSize=10&page=0", undefined],
      ["GET", "/api/user/settings", undefined],
    ] as const) {
      const answer = await asPublic(method, path, body);
      expect([path, answer.status, answer.json?.["errorCode"]]).toEqual([path, 403, 20]);
    }
    const changing = cloud.api.routes.filter((route) => changesSomething(route) && isOpenToPublic(route));
    expect(changing.map(({ path }) => path)).toEqual([]);
  });

  test("gets in by the id of a public customer alone", async () => {
    const { customerId } = await addCustomerUser(cloud);
    for (const given of [customerId, device.id.id, "x", cloud.first.tenantId])
      expect((await signInPublic({ publicId: given })).json).toMatchObject({ status: 401, errorCode: 10 });
    expect((await signInPublic({})).status).toBe(400);
  });

  test("is out when it signs out, and everybody is when the customer is no longer public", async () => {
    const renewed = await cloud.request("POST", "/api/auth/token", { body: { refreshToken }, token: null });
    expect(renewed.status).toBe(200);
    const second = String((await signInPublic({ publicId })).json?.["token"]);
    expect((await cloud.request("POST", "/api/auth/logout", { token: second })).status).toBe(200);
    expect((await cloud.request("GET", "/api/auth/user", { token: second })).status).toBe(401);
    expect((await asPublic("GET", "/api/auth/user")).status).toBe(200);
    await cloud.call("DELETE", `/api/customer/${publicId}`);
    expect((await asPublic("GET", "/api/auth/user")).status).toBe(401);
    expect((await cloud.request("POST", "/api/auth/token", { body: { refreshToken }, token: null })).status).toBe(401);
  });
});
