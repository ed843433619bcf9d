import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { rawMember } from "../../shared/entities/json-member.ts";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: string; readonly token: string };
beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Dashboard {
  readonly id: { readonly id: string };
  readonly version: number;
  readonly [key: string]: unknown;
}

const PAGE = "pageSize=100&page=0";
/** What JSON.parse would not give back: order of keys that are numbers, forms of numbers, spaces, a key twice, escapes. */
const CONFIGURATION = String.raw`{ "b":1.0, "10":[1e2,12345678901234567890 ], "2":{"x":"\u00e9\"}]"}, "b" : "\\", "nul":"\u0000" }`;

describe("configuration of a dashboard", () => {
  test("comes back byte for byte, also after an update of the rest", async () => {
    const answer = await cloud.request("POST", "/api/dashboard", {
      body: `{"title":"Pumps","configuration":${CONFIGURATION},"unknown":[]}`,
    });
    expect(answer.status).toBe(200);
    expect(rawMember(answer.text, "configuration")).toBe(CONFIGURATION);
    const { id } = answer.json as unknown as Dashboard;
    const read = await cloud.request("GET", `/api/dashboard/${id.id}`);
    expect(rawMember(read.text, "configuration")).toBe(CONFIGURATION);
    const renamed = await cloud.request("POST", "/api/dashboard", { body: { id, title: "Pumps 2" } });
    expect(renamed.json).toMatchObject({ title: "Pumps 2", name: "Pumps 2", version: 2 });
    expect(rawMember(renamed.text, "configuration")).toBe(CONFIGURATION);
    const info = await cloud.call("GET", `/api/dashboard/info/${id.id}`);
    expect(info).toMatchObject({ title: "Pumps 2", assignedCustomers: [] });
    expect(info).not.toHaveProperty("configuration");
  });

  test.each(["null", "[]", '"text"', "{}", "3"])("may be %s", async (configuration) => {
    const answer = await cloud.request("POST", "/api/dashboard", {
      body: `{"configuration": ${configuration} ,"title":"Any"}`,
    });
    expect(rawMember(answer.text, "configuration")).toBe(configuration);
  });

  test("up to the limit of a body", async () => {
    const configuration = JSON.stringify({ text: "x".repeat(20_000_000) });
    const body = `{"title":"Large","configuration":${configuration}}`;
    const answer = await cloud.request("POST", "/api/dashboard", { body });
    expect(rawMember(answer.text, "configuration") === configuration).toBeTrue();
  });
});

describe("dashboards", () => {
  test("that are hidden on phones are not in lists for phones", async () => {
    await cloud.call("POST", "/api/dashboard", { title: "Phone a", mobileHide: true });
    await cloud.call("POST", "/api/dashboard", { title: "Phone b" });
    const titles = async (more: string) => {
      const page = await cloud.call("GET", `/api/tenant/dashboards?${PAGE}&textSearch=Phone${more}`);
      return (page["data"] as Dashboard[]).map(({ title }) => title);
    };
    expect(await titles("&mobile=true")).toEqual(["Phone b"]);
    expect(await titles("&mobile=false")).toEqual(["Phone a", "Phone b"]);
  });

  test("may share a title, and need one", async () => {
    const [one, two] = [
      await cloud.call<Dashboard>("POST", "/api/dashboard", { title: "Same" }),
      await cloud.call<Dashboard>("POST", "/api/dashboard", { title: "Same" }),
    ];
    expect(one.id).not.toEqual(two.id);
    const answer = await cloud.request("POST", "/api/dashboard", { body: { title: " " } });
    expect(answer.json).toMatchObject({ status: 400, errorCode: 31, message: "Dashboard title should be specified!" });
  });

  test("are seen by the customers that they are shown to, and by nobody else of them", async () => {
    const dashboard = await cloud.call<Dashboard>("POST", "/api/dashboard", { title: "Shared" });
    const path = `/api/dashboard/${dashboard.id.id}`;
    const get = async (url: string) => (await cloud.request("GET", url, { token: customer.token })).status;
    expect(await get(path)).toBe(404);
    const shared = await cloud.call("POST", `/api/customer/${customer.customerId}/dashboard/${dashboard.id.id}`);
    expect(shared["assignedCustomers"]).toEqual([
      { customerId: { entityType: "CUSTOMER", id: customer.customerId }, title: "Customer", public: false },
    ]);
    expect(await get(path)).toBe(200);
    const list = await cloud.request("GET", `/api/customer/${customer.customerId}/dashboards?${PAGE}`, {
      token: customer.token,
    });
    expect(list.json).toMatchObject({ totalElements: 1, data: [{ title: "Shared" }] });
    const others = await cloud.call<Dashboard>("POST", `${path}/customers/remove`, [customer.customerId]);
    expect(others["assignedCustomers"]).toEqual([]);
    expect(await get(path)).toBe(404);
    const open = await cloud.call("POST", `/api/customer/public/dashboard/${dashboard.id.id}`);
    expect(open["assignedCustomers"]).toMatchObject([{ title: "Public", public: true }]);
    const closed = await cloud.call("DELETE", `/api/customer/public/dashboard/${dashboard.id.id}`);
    expect(closed["assignedCustomers"]).toEqual([]);
  });

  test("can't be deleted while a profile refers to them", async () => {
    const dashboard = await cloud.call<Dashboard>("POST", "/api/dashboard", { title: "Referred" });
    const profile = await cloud.call<Dashboard>("POST", "/api/deviceProfile", {
      name: "With dashboard",
      defaultDashboardId: dashboard.id,
    });
    const remove = () => cloud.request("DELETE", `/api/dashboard/${dashboard.id.id}`);
    expect((await remove()).json).toMatchObject({
      status: 400,
      message: "The dashboard referenced by the device profiles cannot be deleted!",
    });
    await cloud.call("DELETE", `/api/deviceProfile/${profile.id.id}`);
    expect((await remove()).status).toBe(200);
  });

  test("GET /api/dashboard/serverTime and maxDatapointsLimit are numbers", async () => {
    const askedMs = cloud.clock.nowMs();
    expect(await cloud.call<number>("GET", "/api/dashboard/serverTime")).toBeWithin(askedMs, askedMs + 10_000);
    expect(await cloud.call<number>("GET", "/api/dashboard/maxDatapointsLimit")).toBe(50_000);
  });
});

describe("the dashboard to begin with", () => {
  const home = async (token?: string) => {
    const answer = await cloud.request("GET", "/api/dashboard/home/info", token === undefined ? {} : { token });
    expect(answer.status).toBe(200);
    return answer.json;
  };

  test("is the user's, else that of its customer, else that of its tenant; who may not see it has none", async () => {
    const create = (title: string) =>
      cloud.call<Dashboard>("POST", "/api/dashboard", { title, configuration: { title } });
    const [ofTenant, ofCustomer, ofUser] = [await create("Tenant"), await create("Customer"), await create("User")];
    expect(await home()).toBeUndefined();
    const tenantPath = "/api/tenant/dashboard/home/info";
    expect(await cloud.call("GET", tenantPath)).toEqual({ dashboardId: null, hideDashboardToolbar: true });
    const info = { dashboardId: ofTenant.id, hideDashboardToolbar: false };
    await cloud.call("POST", tenantPath, info);
    expect(await cloud.call("GET", tenantPath)).toEqual(info);
    expect(await home()).toEqual(info);
    const whole = await cloud.call("GET", "/api/dashboard/home");
    expect(whole).toMatchObject({ title: "Tenant", configuration: { title: "Tenant" }, hideDashboardToolbar: false });
    // It is the tenant's, and was not shown to the customer.
    expect(await home(customer.token)).toBeUndefined();
    const { customerId } = customer;
    const stored = await cloud.call("GET", `/api/customer/${customerId}`);
    const additionalInfo = { homeDashboardId: ofCustomer.id.id };
    await cloud.call("POST", "/api/customer", { ...stored, additionalInfo });
    await cloud.call("POST", `/api/customer/${customerId}/dashboard/${ofCustomer.id.id}`);
    expect(await home(customer.token)).toEqual({ dashboardId: ofCustomer.id, hideDashboardToolbar: true });
    const user = await cloud.call<{ additionalInfo: object }>("GET", "/api/auth/user");
    const ofMine = { ...user.additionalInfo, homeDashboardId: ofUser.id.id, homeDashboardHideToolbar: false };
    await cloud.call("POST", "/api/user", { ...user, additionalInfo: ofMine });
    expect(await home()).toEqual({ dashboardId: ofUser.id, hideDashboardToolbar: false });
    await cloud.call("DELETE", `/api/dashboard/${ofUser.id.id}`);
    expect(await home()).toBeUndefined();
    await cloud.call("POST", tenantPath, {});
    expect(await cloud.call("GET", tenantPath)).toEqual({ dashboardId: null, hideDashboardToolbar: true });
  });

  test("can't be one that there is not", async () => {
    const body = { dashboardId: { entityType: "DASHBOARD", id: cloud.first.tenantId }, hideDashboardToolbar: true };
    expect((await cloud.request("POST", "/api/tenant/dashboard/home/info", { body })).status).toBe(404);
  });
});

describe("the system administrator", () => {
  test("sees what dashboards a tenant has, without what is in them", async () => {
    const { id } = await cloud.call<Dashboard>("POST", "/api/dashboard", {
      title: "Seen",
      configuration: { secret: 1 },
    });
    const get = (path: string) => cloud.request("GET", path, { token: cloud.system });
    expect((await get(`/api/dashboard/info/${id.id}`)).json).toMatchObject({ title: "Seen" });
    const list = await get(`/api/tenant/${cloud.first.tenantId}/dashboards?${PAGE}&textSearch=seen`);
    expect(list.json).toMatchObject({ totalElements: 1, data: [{ title: "Seen" }] });
    expect(list.text).not.toContain("configuration");
    expect((await get(`/api/dashboard/${id.id}`)).status).toBe(403);
  });
});

describe("a large answer", () => {
  test("goes out by gzip to who takes it, and is the same", async () => {
    const configuration = { text: "compressible ".repeat(10_000) };
    const { id } = await cloud.call<Dashboard>("POST", "/api/dashboard", { title: "Zipped", configuration });
    const get = async (path: string, accepted: string | null) => {
      const headers = {
        "x-authorization": `Bearer ${cloud.first.token}`,
        ...(accepted && { "accept-encoding": accepted }),
      };
      const response = await cloud.api.fetch(new Request(`http://cloud.test${path}`, { headers }));
      return { encoding: response.headers.get("content-encoding"), bytes: await response.bytes() };
    };
    const path = `/api/dashboard/${id.id}`;
    const plain = await get(path, null);
    const zipped = await get(path, "br;q=1.0, gzip;q=0.8");
    expect([plain.encoding, zipped.encoding]).toEqual([null, "gzip"]);
    expect(zipped.bytes.length).toBeLessThan(plain.bytes.length / 8);
    expect(Buffer.compare(gunzipSync(zipped.bytes), plain.bytes)).toBe(0);
    expect((await get(path, "gzip;q=0")).encoding).toBeNull();
    expect((await get(`/api/dashboard/info/${id.id}`, "gzip")).encoding).toBeNull();
  });
});
