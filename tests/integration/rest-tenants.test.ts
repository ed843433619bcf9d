import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { signIn, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface TenantAnswer {
  readonly id: { readonly id: Uuid };
  readonly title: string;
  readonly version: number;
}

const asSystem = async <T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> => {
  const answer = await cloud.request(method, path, { token: cloud.system, ...(body === undefined ? {} : { body }) });
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
};

/** With an administrator who is signed in. */
const newTenant = async (title: string): Promise<TenantAnswer & { readonly token: string }> => {
  const tenant = await asSystem<TenantAnswer>("POST", "/api/tenant", { title });
  const user = { email: `${title.toLowerCase()}@example.com`, authority: "TENANT_ADMIN", tenantId: tenant.id };
  const { id } = await asSystem<{ id: { id: string } }>("POST", "/api/user", user);
  const link = await cloud.request("GET", `/api/user/${id.id}/activationLink`, { token: cloud.system });
  const activateToken = new URL(link.text).searchParams.get("activateToken");
  await cloud.request("POST", "/api/noauth/activate", {
    body: { activateToken, password: "correct horse" },
    token: null,
  });
  return { ...tenant, token: await signIn(cloud.api, user.email) };
};

describe("tenants", () => {
  test("are made, changed and listed by the system administrator alone", async () => {
    const made = await asSystem<TenantAnswer>("POST", "/api/tenant", {
      title: "Harbour",
      region: "North",
      city: "Oslo",
      additionalInfo: { description: "D" },
    });
    expect(made).toMatchObject({
      title: "Harbour",
      name: "Harbour",
      region: "North",
      city: "Oslo",
      zip: null,
      version: 1,
      additionalInfo: { description: "D" },
      tenantProfileId: { entityType: "TENANT_PROFILE" },
    });
    const changed = await asSystem("POST", "/api/tenant", { ...made, title: "Port" });
    expect(changed).toMatchObject({ title: "Port", city: "Oslo", version: 2 });
    const stale = await cloud.request("POST", "/api/tenant", { body: made, token: cloud.system });
    expect(stale.json).toMatchObject({ status: 409, errorCode: 35 });
    expect(await asSystem("GET", "/api/tenants?pageSize=10&page=0&textSearch=PORT")).toMatchObject({
      totalElements: 1,
    });
    expect(await asSystem("GET", "/api/tenantInfos?pageSize=1&page=0")).toMatchObject({
      data: [{ tenantProfileName: "Default" }],
    });
    expect(await asSystem("GET", `/api/tenant/info/${made.id.id}`)).toMatchObject({ tenantProfileName: "Default" });
    expect(await asSystem("GET", "/api/tenantProfileInfo/default")).toMatchObject({ name: "Default" });
    expect((await cloud.request("POST", "/api/tenant", { body: { title: "X" } })).json).toMatchObject({
      status: 403,
      errorCode: 20,
    });
  });

  test("are seen by their own administrators only", async () => {
    const [own, foreign] = [cloud.first.tenantId, cloud.second.tenantId];
    expect(await cloud.call("GET", `/api/tenant/${own}`)).toMatchObject({ title: "Tenant" });
    expect((await cloud.request("GET", `/api/tenant/${foreign}`)).status).toBe(404);
    expect((await cloud.request("DELETE", `/api/tenant/${foreign}`)).status).toBe(404);
    expect(await cloud.call<unknown[]>("GET", `/api/tenants/list?tenantIds=${own},${foreign}`)).toHaveLength(1);
    for (const path of ["/api/tenants/list", "/api/tenants"]) {
      expect(await asSystem<unknown[]>("GET", `${path}?tenantIds=${own},${foreign}`)).toHaveLength(2);
      expect(await cloud.call<unknown[]>("GET", `${path}?tenantIds=${own},${foreign}`)).toHaveLength(1);
    }
    expect((await cloud.request("GET", "/api/tenants?pageSize=10&page=0")).status).toBe(403);
  });

  test("use what they have, and everyone reads what the program is", async () => {
    const { token } = await newTenant("Quay");
    await cloud.request("POST", "/api/device", { body: { name: "A" }, token });
    await cloud.request("POST", "/api/edge", { body: { name: "E" }, token });
    const usage = await cloud.request("GET", "/api/usage", { token });
    expect(usage.json).toMatchObject({ devices: 1, maxDevices: 0, assets: 0, users: 1, edges: 1 });
    expect(await cloud.call("GET", "/api/system/info")).toEqual({
      version: "0.0.0",
      artifact: "skerry-cloud",
      name: "Skerry",
      type: "CE",
    });
  });
});

test("deleting a tenant leaves nothing of it in any table, ends its sessions, and touches no other tenant", async () => {
  const tenant = await newTenant("Wreck");
  const { token } = tenant;
  const send = async (method: string, path: string, body?: unknown) => {
    const answer = await cloud.request(method, path, { token, ...(body === undefined ? {} : { body }) });
    expect([path, answer.status]).toEqual([path, 200]);
    return answer.json as { readonly id: { readonly id: Uuid } };
  };
  const device = await send("POST", "/api/device", { name: "Sunk" });
  const edge = await send("POST", "/api/edge", { name: "Gone" });
  await send("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
  const data = `/api/plugins/telemetry/DEVICE/${device.id.id}`;
  await send("POST", `${data}/timeseries/ANY`, { ts: 1_700_000_000_000, values: { depth: 4 } });
  await send("POST", `${data}/SERVER_SCOPE`, { site: "reef" });
  const alarm = await send("POST", "/api/alarm", { originator: device.id, type: "Leak", severity: "CRITICAL" });
  await send("POST", `/api/alarm/${alarm.id.id}/ack`);
  await send("POST", "/api/apiKey", { description: "k" });
  await send("POST", "/api/user/settings", { a: 1 });
  const before = await cloud.call("GET", "/api/usage");
  await send("DELETE", `/api/tenant/${tenant.id.id}`);
  expect(cloud.sessions.ended).toEqual([{ edgeId: edge.id.id, fence: Number.MAX_SAFE_INTEGER, code: "NOT_FOUND" }]);
  expect((await cloud.request("GET", "/api/auth/user", { token })).status).toBe(401);
  expect(await cloud.call("GET", "/api/usage")).toEqual(before);
  const { sql } = cloud.database;
  const tables = await sql<{ table_name: string }[]>`
    select table_name from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'`;
  expect(tables.length).toBeGreaterThan(20);
  for (const { table_name: table } of tables) {
    const rows = await sql<{ row: string }[]>`select t::text as row from ${sql(table)} t`;
    // That it was made and deleted is the system administrator's to know.
    const text = JSON.stringify(table === "audit_log" ? rows.filter(({ row }) => !row.includes(",TENANT,")) : rows);
    for (const id of [tenant.id.id, device.id.id, edge.id.id, alarm.id.id]) {
      expect([table, text.includes(id)]).toEqual([table, false]);
    }
  }
});
