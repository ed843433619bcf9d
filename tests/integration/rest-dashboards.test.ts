import { afterAll, beforeAll, describe, expect, test } from "bun:test";
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
