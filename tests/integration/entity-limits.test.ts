import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface ProfileAnswer {
  readonly id: { readonly entityType: string; readonly id: Uuid };
  readonly name: string;
  readonly default: boolean;
  readonly version: number;
  readonly profileData: { readonly configuration: Readonly<Record<string, unknown>> };
}

const asSystem = async <T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> => {
  const answer = await cloud.request(method, path, { token: cloud.system, ...(body === undefined ? {} : { body }) });
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
};

let profiles = 0;
const newProfile = (configuration: Readonly<Record<string, unknown>>): Promise<ProfileAnswer> => {
  profiles += 1;
  return asSystem("POST", "/api/tenantProfile", { name: `Profile ${profiles}`, profileData: { configuration } });
};

/** Gives the first tenant a profile of its own with these limits. */
const limitTenant = async (configuration: Readonly<Record<string, unknown>>): Promise<void> => {
  const profile = await newProfile(configuration);
  const tenant = await asSystem("GET", `/api/tenant/${cloud.first.tenantId}`);
  await asSystem("POST", "/api/tenant", { ...tenant, tenantProfileId: profile.id });
};

describe("profiles of tenants", () => {
  test("are made, changed, listed and deleted by the system administrator alone", async () => {
    const made = await newProfile({ type: "DEFAULT", maxDevices: 3, transportTenantMsgRateLimit: "100:1" });
    expect(made).toMatchObject({
      default: false,
      version: 1,
      profileData: { configuration: { maxDevices: 3, transportTenantMsgRateLimit: "100:1" } },
    });
    const changed = await asSystem("POST", "/api/tenantProfile", { ...made, description: "Small" });
    expect(changed).toMatchObject({ description: "Small", version: 2 });
    const stale = await cloud.request("POST", "/api/tenantProfile", { body: made, token: cloud.system });
    expect(stale.json).toMatchObject({ status: 409, errorCode: 35 });
    const named = { name: made.name, profileData: made.profileData };
    const twin = await cloud.request("POST", "/api/tenantProfile", { body: named, token: cloud.system });
    expect(twin.json).toMatchObject({ status: 400, message: "Tenant profile with such name already exists!" });
    const negative = { name: "N", profileData: { configuration: { maxDevices: -1 } } };
    expect((await cloud.request("POST", "/api/tenantProfile", { body: negative, token: cloud.system })).status).toBe(
      400,
    );
    const path = `/api/tenantProfile/${made.id.id}`;
    expect(await asSystem("GET", path)).toEqual(changed);
    expect(await asSystem("GET", `/api/tenantProfileInfo/${made.id.id}`)).toEqual({ id: made.id, name: made.name });
    expect(await asSystem("GET", "/api/tenantProfileInfo/default")).toMatchObject({ name: "Default" });
    expect(await asSystem("GET", `/api/tenantProfiles?ids=${made.id.id}`)).toMatchObject([{ name: made.name }]);
    const page = `pageSize=10&page=0&textSearch=${encodeURIComponent(made.name)}`;
    for (const list of ["tenantProfiles", "tenantProfileInfos"])
      expect(await asSystem("GET", `/api/${list}?${page}`)).toMatchObject({ totalElements: 1 });
    expect((await cloud.request("GET", path)).status).toBe(403);
    await asSystem("DELETE", path);
    expect((await cloud.request("DELETE", path, { token: cloud.system })).status).toBe(404);
  });

  test("one is that of new tenants; it and those in use can't be deleted", async () => {
    const before = await asSystem<ProfileAnswer>("GET", "/api/tenantProfileInfo/default");
    const made = await newProfile({ maxAssets: 1 });
    expect(await asSystem("POST", `/api/tenantProfile/${made.id.id}/default`)).toMatchObject({ default: true });
    const tenant = await asSystem<{ id: { id: string } }>("POST", "/api/tenant", { title: "Of the new default" });
    expect(tenant).toMatchObject({ tenantProfileId: made.id });
    expect(await asSystem("GET", `/api/tenant/info/${tenant.id.id}`)).toMatchObject({ tenantProfileName: made.name });
    const remove = async () =>
      (await cloud.request("DELETE", `/api/tenantProfile/${made.id.id}`, { token: cloud.system })).json;
    expect(await remove()).toMatchObject({ status: 400, message: "Deletion of Default Tenant Profile is prohibited!" });
    expect(await asSystem("POST", `/api/tenantProfile/${before.id.id}/default`)).toMatchObject({ default: true });
    expect(await remove()).toMatchObject({
      status: 400,
      message: expect.stringContaining("referenced by the tenants"),
    });
    const unknown = { title: "T", tenantProfileId: tenant.id };
    expect((await cloud.request("POST", "/api/tenant", { body: unknown, token: cloud.system })).status).toBe(400);
  });
});

describe("a limit of a tenant", () => {
  const KINDS = [
    ["DEVICE", "maxDevices", "/api/device", (n: number) => ({ name: `Limited ${n}` })],
    ["ASSET", "maxAssets", "/api/asset", (n: number) => ({ name: `Limited ${n}` })],
    ["CUSTOMER", "maxCustomers", "/api/customer", (n: number) => ({ title: `Limited ${n}` })],
    ["DASHBOARD", "maxDashboards", "/api/dashboard", (n: number) => ({ title: `Limited ${n}` })],
    ["RULE_CHAIN", "maxRuleChains", "/api/ruleChain", (n: number) => ({ name: `Limited ${n}` })],
    ["EDGE", "maxEdges", "/api/edge", (n: number) => ({ name: `Limited ${n}` })],
    ["USER", "maxUsers", "/api/user", (n: number) => ({ email: `limited${n}@example.com`, authority: "TENANT_ADMIN" })],
  ] as const;

  for (const [entityType, name, path, body] of KINDS)
    test(`of ${entityType} is kept whatever comes at the same time, and says what it is`, async () => {
      const counter = name.charAt(3).toLowerCase() + name.slice(4);
      const { [counter]: stored = 0 } = await cloud.call<Record<string, number>>("GET", "/api/usage");
      const limit = stored + 2;
      await limitTenant({ [name]: limit });
      const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => cloud.request("POST", path, { body: body(n) })));
      expect(answers.map(({ status }) => status).toSorted((left, right) => left - right)).toEqual([
        200, 200, 403, 403, 403,
      ]);
      expect(answers.find(({ status }) => status === 403)?.json).toMatchObject({
        errorCode: 41,
        entityType,
        limit,
        message: expect.stringContaining("limit reached"),
      });
      expect(await cloud.call("GET", "/api/usage")).toMatchObject({ [counter]: limit, [name]: limit });
      const made = answers.find(({ status }) => status === 200)?.json ?? {};
      expect((await cloud.request("POST", path, { body: { ...made, label: "Changed" } })).status).toBe(200);
      await limitTenant({ [name]: 0 });
      expect((await cloud.request("POST", path, { body: body(6) })).status).toBe(200);
    });

  test("does not count for other tenants", async () => {
    await limitTenant({ maxDevices: 1 });
    expect((await cloud.request("POST", "/api/device", { body: { name: "D" } })).status).toBe(403);
    const other = await cloud.request("POST", "/api/device", { body: { name: "D" }, token: cloud.second.token });
    expect(other.status).toBe(200);
    await limitTenant({});
  });

  test("is told for each line of an import", async () => {
    const { devices = 0 } = await cloud.call<Record<string, number>>("GET", "/api/usage");
    await limitTenant({ maxDevices: devices + 1 });
    const mapping = { columns: [{ type: "NAME" }], delimiter: ",", update: false, header: false };
    const result = await cloud.call("POST", "/api/device/bulk_import", { file: "Import A\nImport B", mapping });
    expect(result).toMatchObject({ created: 1, errors: 1, errorsList: [expect.stringContaining("limit reached")] });
    await limitTenant({});
  });
});
