import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type Answer, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: string; readonly token: string };
beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Device {
  readonly id: { readonly id: string };
  readonly name: string;
  readonly type: string;
  readonly version: number;
  readonly deviceProfileId: { readonly id: string };
  readonly [key: string]: unknown;
}

const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";
let names = 0;
const create = (input: object = {}): Promise<Device> => {
  names += 1;
  return cloud.call<Device>("POST", "/api/device", { name: `Device ${names}`, ...input });
};
const expectError = (answer: Answer, status: number, errorCode: number, message?: string): void => {
  expect(answer.json).toMatchObject({ status, errorCode });
  expect(answer.status).toBe(status);
  if (message !== undefined) expect(answer.json?.["message"]).toBe(message);
};

describe("POST /api/device", () => {
  test.each([
    [{}, "Device name should be specified!"],
    [{ name: null }, "Device name should be specified!"],
    [{ name: "  " }, "Device name should be specified!"],
    [{ name: "x".repeat(256) }, "Validation error: name length must be equal or less than 255"],
    [{ name: "a\0b" }, "Validation error: name should not contain 0x00 symbol"],
    [{ name: "<b>a</b>" }, "Validation error: name is malformed"],
    [{ name: "a", label: "x".repeat(256) }, "Validation error: label length must be equal or less than 255"],
    [{ name: "a", type: 5 }, "Validation error: type must be a text"],
    [{ name: "a", id: { id: "nonsense" } }, "Invalid UUID string: nonsense"],
  ])("refuses %j", async (body, message) => {
    expectError(await cloud.request("POST", "/api/device", { body }), 400, 31, message);
  });

  test("names the place of malformed JSON", async () => {
    const answer = await cloud.request("POST", "/api/device", { body: '{"name": "a",}' });
    expectError(answer, 400, 31);
    expect(answer.json?.["message"]).toContain("position 13");
  });

  test("refuses a body above the limit with 413 and plain text", async () => {
    const answer = await cloud.request("POST", "/api/device", {
      body: "{}",
      headers: { "content-length": "16777217" },
    });
    expect(answer.status).toBe(413);
    expect(answer.headers.get("content-type")).toStartWith("text/plain");
  });

  test("refuses a name that is taken in the tenant, not one of another tenant", async () => {
    await create({ name: "Taken" });
    expectError(
      await cloud.request("POST", "/api/device", { body: { name: "Taken" } }),
      400,
      31,
      "Device with such name already exists!",
    );
    expect(
      (await cloud.request("POST", "/api/device", { body: { name: "Taken" }, token: cloud.second.token })).status,
    ).toBe(200);
  });

  test("makes a device with profile, access token and version 1", async () => {
    const device = await create({
      label: "L",
      additionalInfo: { gateway: true, z: 1, a: { b: [1] } },
      unknown: 1,
      createdTime: 5,
    });
    expect(device).toMatchObject({
      id: { entityType: "DEVICE" },
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      customerId: { entityType: "CUSTOMER", id: "13814000-1dd2-11b2-8080-808080808080" },
      type: "default",
      label: "L",
      version: 1,
      additionalInfo: { gateway: true, z: 1, a: { b: [1] } },
    });
    expect(device["createdTime"]).toBeGreaterThan(5);
    const credentials = await cloud.call("GET", `/api/device/${device.id.id}/credentials`);
    expect(credentials).toMatchObject({ credentialsType: "ACCESS_TOKEN", credentialsValue: null, version: 1 });
    expect(credentials["credentialsId"]).toMatch(/^[A-Za-z0-9]{20}$/);
  });

  test("makes the profile that type names, and uses it again", async () => {
    const [one, other] = [await create({ type: "thermostat" }), await create({ type: "thermostat" })];
    expect(one.type).toBe("thermostat");
    expect(other.deviceProfileId).toEqual(one.deviceProfileId);
    const third = await create({ type: "ignored", deviceProfileId: { id: one.deviceProfileId.id } });
    expect(third.type).toBe("thermostat");
    expectError(
      await cloud.request("POST", "/api/device", { body: { name: "P", deviceProfileId: { id: UNKNOWN_ID } } }),
      404,
      32,
    );
  });

  test("takes the access token of the query, unless another device has it", async () => {
    const device = await cloud.call<Device>("POST", "/api/device?accessToken=mine", { name: "With token" });
    expect(await cloud.call("GET", `/api/device/${device.id.id}/credentials`)).toMatchObject({ credentialsId: "mine" });
    const refused = await cloud.request("POST", "/api/device?accessToken=mine", {
      body: { name: "Another" },
      token: cloud.second.token,
    });
    expectError(refused, 400, 31, "Device credentials are already assigned to another device!");
    const absent = await cloud.request("GET", "/api/tenant/device?deviceName=Another", { token: cloud.second.token });
    expect(absent.status).toBe(404);
  });

  test("updates by id, counts the version and refuses a stale one", async () => {
    const device = await create();
    const updated = await cloud.call<Device>("POST", "/api/device", { ...device, label: "new" });
    expect(updated).toMatchObject({ label: "new", version: 2 });
    expectError(
      await cloud.request("POST", "/api/device", { body: { ...device, label: "stale" } }),
      409,
      35,
      "Device was already changed by someone else",
    );
    const forced = await cloud.call<Device>("POST", "/api/device", { ...device, version: null });
    expect(forced.version).toBe(3);
    expectError(
      await cloud.request("POST", "/api/device", { body: { name: "x", id: { id: UNKNOWN_ID } } }),
      404,
      32,
      `Device with id [${UNKNOWN_ID}] is not found`,
    );
  });

  test("refuses a rename to a name that is taken", async () => {
    const [one, other] = [await create(), await create()];
    expectError(
      await cloud.request("POST", "/api/device", { body: { ...one, name: other.name } }),
      400,
      31,
      "Device with such name already exists!",
    );
  });

  test("takes a device with credentials together or not at all", async () => {
    const credentials = { credentialsType: "ACCESS_TOKEN", credentialsId: "given" };
    const device = await cloud.call<Device>("POST", "/api/device-with-credentials", {
      device: { name: "Pair" },
      credentials,
    });
    expect(await cloud.call("GET", `/api/device/${device.id.id}/credentials`)).toMatchObject({
      credentialsId: "given",
    });
    expect(
      (
        await cloud.request("POST", "/api/device-with-credentials", {
          body: { device: { name: "Pair 2" }, credentials },
        })
      ).status,
    ).toBe(400);
    expect((await cloud.request("GET", "/api/tenant/device?deviceName=Pair%202")).status).toBe(404);
  });
});

describe("credentials", () => {
  test("are replaced with a version check, and kept unique", async () => {
    const [one, other] = [await create(), await create()];
    const before = await cloud.call("GET", `/api/device/${one.id.id}/credentials`);
    const saved = await cloud.call("POST", "/api/device/credentials", {
      ...before,
      credentialsId: "other-token",
      credentialsValue: "ignored",
    });
    expect(saved).toMatchObject({ id: before["id"], credentialsId: "other-token", credentialsValue: null, version: 2 });
    expectError(await cloud.request("POST", "/api/device/credentials", { body: before }), 409, 35);
    const stolen = { deviceId: other.id, credentialsType: "ACCESS_TOKEN", credentialsId: "other-token" };
    expectError(
      await cloud.request("POST", "/api/device/credentials", { body: stolen }),
      400,
      31,
      "Device credentials are already assigned to another device!",
    );
  });

  test("need a device, a known type and an id", async () => {
    const device = await create();
    const post = (body: object) => cloud.request("POST", "/api/device/credentials", { body });
    expectError(
      await post({ credentialsType: "ACCESS_TOKEN", credentialsId: "x" }),
      400,
      31,
      "Device id should be specified!",
    );
    expectError(await post({ deviceId: device.id, credentialsType: "NONE" }), 400, 31);
    expectError(await post({ deviceId: device.id, credentialsType: "ACCESS_TOKEN", credentialsId: " " }), 400, 31);
    expectError(
      await post({ deviceId: { id: UNKNOWN_ID }, credentialsType: "ACCESS_TOKEN", credentialsId: "x" }),
      404,
      32,
    );
  });
});

describe("DELETE /api/device/{id}", () => {
  test("deletes once, with what is the device's own", async () => {
    const device = await create();
    const path = `/api/device/${device.id.id}`;
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${device.id.id}/timeseries/ANY`, { t: 1 });
    const deleted = await cloud.request("DELETE", path, { body: {} });
    expect(deleted).toMatchObject({ status: 200, text: "" });
    expectError(await cloud.request("DELETE", path), 404, 32);
    const { sql } = cloud.database;
    const [rows] = await sql<
      { left: number }[]
    >`select (select count(*) from telemetry where entity_id = ${device.id.id})
      + (select count(*) from telemetry_latest where entity_id = ${device.id.id})
      + (select count(*) from device_credentials where device_id = ${device.id.id}) as left`;
    expect(rows?.left).toBe(0);
  });

  test("refuses an id that is none with 400", async () => {
    expectError(await cloud.request("DELETE", "/api/device/nonsense"), 400, 31, "Invalid UUID string: nonsense");
  });
});

describe("lists", () => {
  test.each([
    ["", "Required request parameter 'pageSize' is not present"],
    ["pageSize=10", "Required request parameter 'page' is not present"],
    ["pageSize=0&page=0", "Incorrect page link page size '0'. Page size must be greater than zero."],
    ["pageSize=10&page=-1", "Incorrect page link page '-1'. Page must be positive integer."],
    ["pageSize=x&page=0", "Incorrect value 'x' of parameter 'pageSize'"],
    ["pageSize=10&page=0&sortOrder=UP", "Unsupported sort order 'UP'! Only 'ASC' or 'DESC' types are allowed."],
    ["pageSize=10&page=0&sortProperty=color", "Unsupported sort property 'color'!"],
  ])("refuse ?%s", async (query, message) => {
    for (const path of [
      "/api/tenant/devices",
      "/api/tenant/deviceInfos",
      "/api/tenant/assets",
      "/api/edges",
      "/api/deviceProfiles",
    ]) {
      expectError(await cloud.request("GET", `${path}?${query}`), 400, 31, message);
    }
  });

  test("search in name and label without case, sort, and page with true totals", async () => {
    for (const name of ["Lamp_1", "Lamp_2", "Lampx3"]) await create({ name });
    await create({ name: "Other", label: "LAMP_4" });
    const page = (query: string) => cloud.call<{ data: Device[] }>("GET", `/api/tenant/devices?${query}`);
    const found = await page("pageSize=2&page=0&textSearch=lAmP_&sortProperty=name&sortOrder=DESC");
    expect(found).toMatchObject({ totalPages: 2, totalElements: 3, hasNext: true });
    expect(found.data.map((device) => device.name)).toEqual(["Other", "Lamp_2"]);
    expect(await page("pageSize=2&page=9&textSearch=lamp_")).toMatchObject({
      data: [],
      totalElements: 3,
      hasNext: false,
    });
  });

  test("give infos with profile, activity and customer", async () => {
    const device = await create({ type: "pump" });
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${device.id.id}/SERVER_SCOPE`, { active: true });
    const found = await cloud.call<{ data: Device[] }>(
      "GET",
      "/api/tenant/deviceInfos?pageSize=10&page=0&type=pump&active=true",
    );
    expect(found.data).toHaveLength(1);
    expect(found.data[0]).toMatchObject({
      deviceProfileName: "pump",
      active: true,
      customerTitle: null,
      customerIsPublic: false,
    });
    expect(await cloud.call("GET", `/api/device/info/${device.id.id}`)).toMatchObject({ active: true });
    const byProfile = await cloud.call<{ data: Device[] }>(
      "GET",
      `/api/tenant/deviceInfos?pageSize=10&page=0&deviceProfileId=${device.deviceProfileId.id}&active=false`,
    );
    expect(byProfile.data).toHaveLength(0);
  });

  test("find by name and by ids; unknown ids are left out", async () => {
    const [one, other] = [await create(), await create()];
    for (const path of ["/api/tenant/device", "/api/tenant/devices"]) {
      expect(await cloud.call("GET", `${path}?deviceName=${encodeURIComponent(one.name)}`)).toMatchObject({
        id: one.id,
      });
      expectError(await cloud.request("GET", `${path}?deviceName=none`), 404, 32);
    }
    const found = await cloud.call<Device[]>(
      "GET",
      `/api/devices?deviceIds=${other.id.id}%2C${UNKNOWN_ID},${one.id.id}`,
    );
    expect(found.map((device) => device.name).sort()).toEqual([one.name, other.name].sort());
    expectError(await cloud.request("GET", "/api/devices?deviceIds=['a']"), 400, 31);
    expect(await cloud.call<object[]>("GET", "/api/device/types")).toContainEqual({
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      entityType: "DEVICE",
      type: "default",
    });
  });
});

describe("assets and profiles", () => {
  test("an asset is created, read, updated, listed and deleted", async () => {
    const asset = await cloud.call<Device>("POST", "/api/asset", { name: "Hall", type: "building" });
    expect(asset).toMatchObject({ type: "building", version: 1, assetProfileId: { entityType: "ASSET_PROFILE" } });
    const path = `/api/asset/${asset.id.id}`;
    expect(await cloud.call("GET", path)).toEqual(asset);
    expect(await cloud.call("GET", `/api/asset/info/${asset.id.id}`)).toMatchObject({
      assetProfileName: "building",
      customerTitle: null,
    });
    expect(await cloud.call("POST", "/api/asset", { ...asset, label: "x" })).toMatchObject({ version: 2, label: "x" });
    expectError(
      await cloud.request("POST", "/api/asset", { body: { name: "Hall" } }),
      400,
      31,
      "Asset with such name already exists!",
    );
    expectError(await cloud.request("POST", "/api/asset", { body: {} }), 400, 31, "Asset name should be specified!");
    expect(await cloud.call("GET", "/api/tenant/asset?assetName=Hall")).toMatchObject({ version: 2 });
    expect(await cloud.call("GET", "/api/tenant/assetInfos?pageSize=5&page=0&type=building")).toMatchObject({
      totalElements: 1,
    });
    expect(await cloud.call<Device[]>("GET", `/api/assets?assetIds=${asset.id.id}`)).toHaveLength(1);
    expect((await cloud.request("DELETE", path, { body: {} })).text).toBe("");
    expectError(await cloud.request("GET", path), 404, 32);
  });

  test.each(["device", "asset"])("%s profiles are read by id, in lists, and the default one", async (kind) => {
    const info = await cloud.call<Device>("GET", `/api/${kind}ProfileInfo/default`);
    expect(info.name).toBe("default");
    expect(await cloud.call("GET", `/api/${kind}ProfileInfo/${info.id.id}`)).toEqual(info);
    expect(await cloud.call("GET", `/api/${kind}Profile/${info.id.id}`)).toMatchObject({
      default: true,
      name: "default",
    });
    for (const list of ["Profiles", "ProfileInfos"]) {
      const page = await cloud.call<{ data: Device[] }>(
        "GET",
        `/api/${kind}${list}?pageSize=100&page=0&textSearch=default`,
      );
      expect(page.data.map((profile) => profile.name)).toEqual(["default"]);
    }
    expect(
      (await cloud.request("GET", `/api/${kind}Profile/${info.id.id}`, { token: cloud.second.token })).status,
    ).toBe(404);
  });
});

test("an administrator of another tenant reads and changes nothing", async () => {
  const device = await create();
  const { token } = cloud.second;
  const id = device.id.id;
  const attempts: [string, string, unknown?][] = [
    ["GET", `/api/device/${id}`],
    ["GET", `/api/device/info/${id}`],
    ["GET", `/api/device/${id}/credentials`],
    ["DELETE", `/api/device/${id}`],
    ["POST", "/api/device", { ...device, name: "Stolen" }],
    [
      "POST",
      "/api/device/credentials",
      { deviceId: device.id, credentialsType: "ACCESS_TOKEN", credentialsId: "stolen" },
    ],
    ["GET", `/api/tenant/device?deviceName=${encodeURIComponent(device.name)}`],
    ["GET", `/api/plugins/telemetry/DEVICE/${id}/values/attributes`],
    ["POST", `/api/plugins/telemetry/DEVICE/${id}/SHARED_SCOPE`, { a: 1 }],
    ["POST", `/api/plugins/telemetry/DEVICE/${id}/timeseries/ANY`, { a: 1 }],
    ["DELETE", `/api/plugins/telemetry/DEVICE/${id}/timeseries/delete?keys=a&deleteAllDataForKeys=true`],
  ];
  for (const [method, path, body] of attempts) {
    const answer = await cloud.request(method, path, body === undefined ? { token } : { token, body });
    expect([path, answer.status]).toEqual([path, 404]);
    expect(answer.text).not.toContain(device.name);
  }
  expect((await cloud.request("GET", `/api/devices?deviceIds=${id}`, { token })).text).toBe("[]");
  expect(await cloud.call("GET", `/api/device/${id}`)).toEqual(device as Record<string, unknown>);
});

test("a customer user reads what is its customer's and changes no device", async () => {
  const { token, customerId } = customer;
  const [own, other] = [await create({ customerId: { id: customerId } }), await create()];
  expect((await cloud.request("GET", `/api/device/${own.id.id}`, { token })).status).toBe(200);
  expect((await cloud.request("GET", `/api/device/${other.id.id}`, { token })).status).toBe(404);
  const listed = await cloud.request("GET", `/api/devices?deviceIds=${own.id.id},${other.id.id}`, { token });
  expect(listed.text).toContain(own.name);
  expect(listed.text).not.toContain(other.name);
  expect((await cloud.request("GET", `/api/device/info/${own.id.id}`, { token })).json).toMatchObject({
    customerTitle: "Customer",
  });
  for (const [method, path] of [
    ["DELETE", `/api/device/${own.id.id}`],
    ["POST", "/api/device"],
    ["GET", "/api/tenant/devices?pageSize=1&page=0"],
  ] as const) {
    expectError(
      await cloud.request(method, path, { token, body: { name: "x" } }),
      403,
      20,
      "You don't have permission to perform this operation!",
    );
  }
});

test("an unknown route answers 404 with the error object", async () => {
  expectError(await cloud.request("GET", "/api/nothing"), 404, 32);
  expectError(await cloud.request("PATCH", "/api/device"), 404, 32);
});

test("a customer user saves its customer's devices with their credentials, and makes none", async () => {
  const { token, customerId } = customer;
  const own = await create({ customerId: { id: customerId } });
  const other = await create();
  const credentials = { credentialsType: "ACCESS_TOKEN", credentialsId: "by the customer" };
  const save = async (device: object) =>
    (await cloud.request("POST", "/api/device-with-credentials", { token, body: { device, credentials } })).status;
  expect(await save({ name: "New" })).toBe(403);
  expect(await save({ id: other.id, name: "Other" })).toBe(404);
  expect(await save({ id: own.id, name: "Own" })).toBe(200);
  const stored = await cloud.call("GET", `/api/device/${own.id.id}/credentials`);
  expect(stored["credentialsId"]).toBe("by the customer");
});

test("/api/device-connectivity shows commands with the device's credentials to those who may see these", async () => {
  const own = await create({ customerId: { id: customer.customerId } });
  const other = await create();
  const { credentialsId } = await cloud.call("GET", `/api/device/${own.id.id}/credentials`);
  const path = `/api/device-connectivity/${own.id.id}`;
  const shown = await cloud.request("GET", path, { token: customer.token });
  expect(shown.json).toMatchObject({ mqtt: { mqtt: [expect.stringContaining(`-h EDGE_HOST -p 1883`)] } });
  expect(shown.text).toContain(String(credentialsId));
  const refused = await cloud.request("GET", `/api/device-connectivity/${other.id.id}`, { token: customer.token });
  expect(refused.status).toBe(404);
  expect((await cloud.request("GET", path, { token: cloud.second.token })).status).toBe(404);
});
