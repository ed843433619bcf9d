import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Key {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly userId: { readonly id: string };
  readonly value: string;
  readonly [key: string]: unknown;
}

const create = (input: object = {}): Promise<Key> =>
  cloud.call<Key>("POST", "/api/apiKey", { description: "ci", ...input });
const userWith = (value: string, header = "x-authorization") =>
  cloud.request("GET", "/api/auth/user", { token: null, headers: { [header]: `ApiKey ${value}` } });

describe("API keys", () => {
  test("sign requests of their user in, by either header, and are shown once", async () => {
    const key = await create({ expirationTime: 0, enabled: true });
    expect(key).toMatchObject({ id: { entityType: "API_KEY" }, description: "ci", expirationTime: 0, enabled: true });
    expect(key.value).toMatch(/^tb_[A-Za-z0-9]{43}$/);
    for (const header of ["x-authorization", "authorization"]) {
      expect((await userWith(key.value, header)).json).toMatchObject({ email: cloud.first.email });
    }
    const list = await cloud.request("GET", `/api/apiKeys/${key.userId.id}?pageSize=10&page=0&textSearch=CI`);
    expect(list.json).toMatchObject({ totalElements: 1, data: [{ id: key.id, expired: false }] });
    expect(list.text).not.toContain(key.value);
    const rows = await cloud.database.sql<{ row: string }[]>`select k::text as row from api_key k`;
    expect(JSON.stringify(rows)).not.toContain(key.value);
  });

  test("are refused when unknown, disabled, expired, or of a user who may not sign in", async () => {
    expect((await userWith("tb_nonsense")).json).toMatchObject({ status: 401, errorCode: 10 });
    const key = await create({ expirationTime: cloud.clock.nowMs() + 60_000 });
    expect((await userWith(key.value)).status).toBe(200);
    await cloud.call("PUT", `/api/apiKey/${key.id.id}/enabled/false`);
    expect((await userWith(key.value)).json).toMatchObject({ status: 401, message: "API key is disabled" });
    await cloud.call("PUT", `/api/apiKey/${key.id.id}/enabled/true`);
    expect((await userWith(key.value)).status).toBe(200);
    cloud.clock.advance(60_000);
    expect((await userWith(key.value)).json).toMatchObject({ status: 401, message: "API key has expired" });
    const lasting = await create();
    await cloud.database.sql`update app_user set enabled = false where id = ${key.userId.id}`;
    expect((await userWith(lasting.value)).status).toBe(401);
    await cloud.database.sql`update app_user set enabled = true where id = ${key.userId.id}`;
    expect((await userWith(lasting.value)).status).toBe(200);
  });

  test("have a description that can be changed, and can be deleted", async () => {
    const key = await create();
    const described = await cloud.request("PUT", `/api/apiKey/${key.id.id}/description`, { body: "build server" });
    expect(described.json).toMatchObject({ description: "build server" });
    await cloud.request("PUT", `/api/apiKey/${key.id.id}/description`, { body: JSON.stringify("as JSON") });
    const list = await cloud.request("GET", `/api/apiKeys/${key.userId.id}?pageSize=10&page=0&textSearch=as json`);
    expect(list.json).toMatchObject({ totalElements: 1 });
    await cloud.call("DELETE", `/api/apiKey/${key.id.id}`);
    expect((await userWith(key.value)).status).toBe(401);
    expect((await cloud.request("DELETE", `/api/apiKey/${key.id.id}`)).status).toBe(404);
  });

  test.each([
    [{}, "API key description should be specified!"],
    [{ description: "x", expirationTime: "tomorrow" }, "Validation error: expirationTime must be a time in ms"],
  ])("refuse %j", async (body, message) => {
    expect((await cloud.request("POST", "/api/apiKey", { body })).json).toMatchObject({ status: 400, message });
  });

  test("of others answer 404: another tenant's, and all but the own ones to a customer user", async () => {
    const key = await create();
    const customer = await addCustomerUser(cloud);
    for (const token of [cloud.second.token, customer.token]) {
      for (const [method, path] of [
        ["GET", `/api/apiKeys/${key.userId.id}?pageSize=10&page=0`],
        ["PUT", `/api/apiKey/${key.id.id}/enabled/false`],
        ["PUT", `/api/apiKey/${key.id.id}/description`],
        ["DELETE", `/api/apiKey/${key.id.id}`],
      ] as const) {
        const answer = await cloud.request(method, path, { token, ...(method === "GET" ? {} : { body: "x" }) });
        expect([path, answer.status]).toEqual([path, 404]);
        expect(answer.text).not.toContain(cloud.first.email);
      }
      const forOther = await cloud.request("POST", "/api/apiKey", {
        token,
        body: { description: "x", userId: key.userId },
      });
      expect(forOther.status).toBe(404);
    }
    expect((await userWith(key.value)).status).toBe(200);
    const own = await cloud.request("POST", "/api/apiKey", { token: customer.token, body: { description: "mine" } });
    expect((await userWith(String(own.json?.["value"]))).json).toMatchObject({ authority: "CUSTOMER_USER" });
  });
});
