import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let own: { readonly customerId: string; readonly token: string };
beforeAll(async () => {
  cloud = await startTestCloud();
  own = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: string };
  readonly customerId: { readonly id: string };
  readonly name: string;
  readonly version: number;
  readonly [key: string]: unknown;
}

const NULL_ID = "13814000-1dd2-11b2-8080-808080808080";
const PAGE = "pageSize=100&page=0";
let names = 0;
const newDevice = (input: object = {}): Promise<Entity> =>
  cloud.call("POST", "/api/device", { name: `Device ${(names += 1)}`, ...input });
const newCustomer = (): Promise<Entity> => cloud.call("POST", "/api/customer", { title: `Customer ${(names += 1)}` });
const refused = async (method: string, path: string, body?: object, token?: string): Promise<unknown> => {
  const answer = await cloud.request(method, path, {
    ...(body === undefined ? {} : { body }),
    ...(token === undefined ? {} : { token }),
  });
  return [answer.status, answer.json?.["errorCode"], answer.json?.["message"]];
};

describe("customers", () => {
  test("are made with their contact, found by title and ids, and shown in short", async () => {
    const made = await cloud.call<Entity>("POST", "/api/customer", {
      title: "Mill",
      city: "Ulm",
      additionalInfo: { a: 1 },
    });
    expect(made).toMatchObject({ title: "Mill", name: "Mill", city: "Ulm", country: null, version: 1 });
    const path = `/api/customer/${made.id.id}`;
    expect(await cloud.call("GET", path)).toEqual(made);
    expect(await cloud.call("GET", `${path}/shortInfo`)).toEqual({ title: "Mill", isPublic: false });
    expect((await cloud.request("GET", `${path}/title`)).text).toBe("Mill");
    expect(await cloud.call("GET", "/api/tenant/customers?customerTitle=Mill")).toEqual(made);
    expect(await refused("GET", "/api/tenant/customers?customerTitle=x")).toEqual([
      404,
      32,
      "Customer with title [x] is not found",
    ]);
    for (const list of ["/api/customers/list", "/api/customers"]) {
      expect(await cloud.call<Entity[]>("GET", `${list}?customerIds=${made.id.id}`)).toEqual([made]);
    }
    expect(await refused("POST", "/api/customer", { title: "Mill" })).toEqual([
      400,
      31,
      "Customer with such title already exists!",
    ]);
    expect(await refused("POST", "/api/customer", { title: " " })).toEqual([
      400,
      31,
      "Customer title should be specified!",
    ]);
  });

  test("are sorted by their contact, those without one last", async () => {
    for (const [title, contact] of [
      ["Sorted 1", { city: "Bremen", email: "z@example.com" }],
      ["Sorted 2", { city: "Aachen", email: "y@example.com" }],
      ["Sorted 3", {}],
    ] as const) {
      await cloud.call("POST", "/api/customer", { title, ...contact });
    }
    const titles = async (sort: string) => {
      const page = await cloud.call("GET", `/api/customers?pageSize=2&page=0&textSearch=Sorted&sortProperty=${sort}`);
      return (page["data"] as { title: string }[]).map(({ title }) => title);
    };
    expect(await titles("city")).toEqual(["Sorted 2", "Sorted 1"]);
    expect(await titles("email&sortOrder=ASC")).toEqual(["Sorted 2", "Sorted 1"]);
    expect(await refused("GET", "/api/customers?pageSize=1&page=0&sortProperty=zips")).toEqual([
      400,
      31,
      "Unsupported sort property 'zips'!",
    ]);
  });

  test("deleted, leave what they had to nobody", async () => {
    const [customer, device] = [await newCustomer(), await newDevice()];
    await cloud.call("POST", `/api/customer/${customer.id.id}/device/${device.id.id}`);
    await cloud.call("DELETE", `/api/customer/${customer.id.id}`);
    expect(await cloud.call<Entity>("GET", `/api/device/${device.id.id}`)).toMatchObject({
      customerId: { id: NULL_ID },
      version: 3,
    });
  });
});

describe("entities of customers", () => {
  test("are given, listed, shown with the title, and taken back", async () => {
    const [customer, device] = [await newCustomer(), await newDevice()];
    const given = await cloud.call<Entity>("POST", `/api/customer/${customer.id.id}/device/${device.id.id}`);
    expect(given).toMatchObject({ customerId: { id: customer.id.id }, version: 2 });
    const list = await cloud.call<{ data: Entity[] }>("GET", `/api/customer/${customer.id.id}/devices?${PAGE}`);
    expect(list.data).toEqual([given]);
    const infos = await cloud.call<{ data: Entity[] }>("GET", `/api/customer/${customer.id.id}/deviceInfos?${PAGE}`);
    expect(infos.data).toMatchObject([{ customerTitle: customer.name, customerIsPublic: false }]);
    const path = `/api/customer/device/${device.id.id}`;
    expect(await cloud.call<Entity>("DELETE", path)).toMatchObject({ customerId: { id: NULL_ID }, version: 3 });
    expect(await refused("DELETE", path)).toEqual([400, 31, "Device isn't assigned to any customer!"]);
  });

  test("may be public: the public customer is made once", async () => {
    const [one, two] = [await newDevice(), await newDevice()];
    const first = await cloud.call<Entity>("POST", `/api/customer/public/device/${one.id.id}`);
    const second = await cloud.call<Entity>("POST", `/api/customer/public/device/${two.id.id}`);
    expect(second.customerId).toEqual(first.customerId);
    expect(await cloud.call("GET", `/api/customer/${first.customerId.id}/shortInfo`)).toEqual({
      title: "Public",
      isPublic: true,
    });
  });

  test("are not given to a customer of another tenant, whose title nobody learns", async () => {
    const foreign = await cloud.request("POST", "/api/customer", {
      body: { title: "Theirs" },
      token: cloud.second.token,
    });
    const customerId = (foreign.json as unknown as Entity).id;
    const device = await newDevice();
    expect(await refused("POST", "/api/device", { name: "Stray", customerId })).toEqual([
      400,
      31,
      "Can't assign device to non-existent customer!",
    ]);
    expect((await cloud.request("POST", `/api/customer/${customerId.id}/device/${device.id.id}`)).status).toBe(404);
  });

  test("are changed by the customer's users, who make none and give none away", async () => {
    const device = await newDevice({ customerId: { id: own.customerId } });
    const other = await newDevice();
    const save = (body: object) => refused("POST", "/api/device", body, own.token);
    const answer = await cloud.request("POST", "/api/device", {
      body: { ...device, label: "theirs" },
      token: own.token,
    });
    expect(answer.json).toMatchObject({ label: "theirs", customerId: { id: own.customerId } });
    const denied = [403, 20, "You don't have permission to perform this operation!"];
    expect(await save({ name: "New" })).toEqual(denied);
    expect(await save({ id: device.id, name: "x", customerId: { id: NULL_ID } })).toEqual(denied);
    expect(await save({ id: other.id, name: "x" })).toEqual([404, 32, `Device with id [${other.id.id}] is not found`]);
  });
});

describe("nameConflictPolicy=UNIQUIFY", () => {
  test("puts something behind a name that is taken", async () => {
    const save = (query: string) => cloud.call<Entity>("POST", `/api/asset?${query}`, { name: "Hall" });
    expect((await save("nameConflictPolicy=UNIQUIFY")).name).toBe("Hall");
    const counted = "nameConflictPolicy=UNIQUIFY&uniquifyStrategy=INCREMENTAL&uniquifySeparator=-";
    expect([(await save(counted)).name, (await save(counted)).name]).toEqual(["Hall-1", "Hall-2"]);
    expect((await save("nameConflictPolicy=UNIQUIFY")).name).toMatch(/^Hall_[A-Za-z0-9]{6}$/);
    expect(await refused("POST", "/api/asset?nameConflictPolicy=FAIL", { name: "Hall" })).toEqual([
      400,
      31,
      "Asset with such name already exists!",
    ]);
  });
});
