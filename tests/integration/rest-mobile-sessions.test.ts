import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { PASSWORD, signIn, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

describe("the phone of a user", () => {
  const path = "/api/user/mobile/session";
  const call = (method: string, phone: string | null, body?: unknown) =>
    cloud.request(method, path, {
      ...(phone === null ? {} : { headers: { "X-Mobile-Token": phone } }),
      ...(body === undefined ? {} : { body }),
    });

  test("is remembered by its token, and forgotten", async () => {
    const unknown = await call("GET", "phone-1");
    expect([unknown.status, unknown.text]).toEqual([200, ""]);
    expect((await call("POST", "phone-1", { fcmTokenTimestamp: 0 })).text).toBe("");
    await call("POST", "phone-1", { fcmTokenTimestamp: 5 });
    expect((await call("GET", "phone-1")).json).toEqual({ fcmTokenTimestamp: 5 });
    expect((await call("GET", "phone-2")).text).toBe("");
    expect((await call("DELETE", "phone-1", {})).status).toBe(200);
    expect((await call("GET", "phone-1")).text).toBe("");
    expect((await call("GET", null)).json).toMatchObject({ status: 400, field: "X-Mobile-Token" });
  });

  test("is one of twenty", async () => {
    for (let phone = 0; phone < 21; phone += 1) {
      cloud.clock.advance(1);
      await call("POST", `phone ${phone}`, { fcmTokenTimestamp: phone });
    }
    expect((await call("GET", "phone 0")).text).toBe("");
    expect((await call("GET", "phone 20")).json).toEqual({ fcmTokenTimestamp: 20 });
  });

  test("is forgotten with the user", async () => {
    const email = "phone@example.com";
    const user = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/user", { email, authority: "TENANT_ADMIN" });
    const link = await cloud.request("GET", `/api/user/${user.id.id}/activationLink`);
    const activateToken = new URL(link.text).searchParams.get("activateToken");
    await cloud.request("POST", "/api/noauth/activate", { body: { activateToken, password: PASSWORD }, token: null });
    const token = await signIn(cloud.api, email);
    const headers = { "X-Mobile-Token": "gone" };
    await cloud.request("POST", path, { token, headers, body: { fcmTokenTimestamp: 1 } });
    await cloud.call("DELETE", `/api/user/${user.id.id}`);
    const rows = await cloud.database.sql`select 1 from mobile_session where user_id = ${user.id.id}`;
    expect(rows).toHaveLength(0);
  });
});
