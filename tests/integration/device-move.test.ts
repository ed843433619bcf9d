import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

interface Entity {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly name: string;
  readonly deviceProfileId: { readonly id: string };
  readonly [key: string]: unknown;
}

let cloud: TestCloud;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

const create = (path: string, input: object = {}): Promise<Entity> => {
  names += 1;
  return cloud.call("POST", `/api/${path}`, { name: `${path} ${names}`, ...input });
};
const move = ({ id }: Entity, tenantId: string = cloud.second.tenantId) =>
  cloud.request("POST", `/api/tenant/${tenantId}/device/${id.id}`);
const asOther = (method: string, path: string, body?: unknown) =>
  cloud.request(method, path, { token: cloud.second.token, ...(body === undefined ? {} : { body }) });

test("a device goes to another tenant with its data, without what is of the old one", async () => {
  const asset = await create("asset");
  const device = await create("device", { type: "pump", label: "L" });
  const path = `/api/device/${device.id.id}`;
  const data = `/api/plugins/telemetry/DEVICE/${device.id.id}`;
  const credentials = await cloud.call("GET", `${path}/credentials`);
  await cloud.call("POST", `${data}/timeseries/ANY`, { level: 4 });
  await cloud.call("POST", `${data}/SERVER_SCOPE`, { site: "north" });
  await cloud.call("POST", "/api/relation", { from: asset.id, to: device.id, type: "Contains" });
  await cloud.call("POST", "/api/alarm", { originator: device.id, type: "Hot", severity: "MAJOR" });
  const moved = await move(device);
  expect(moved.json).toMatchObject({ id: device.id, name: device.name, label: "L", type: "default" });
  expect(moved.json).toMatchObject({ tenantId: { id: cloud.second.tenantId } });
  expect((await cloud.request("GET", path)).status).toBe(404);
  expect((await cloud.request("GET", `${data}/values/timeseries?keys=level`)).status).toBe(404);
  expect((await asOther("GET", path)).json).toMatchObject({ name: device.name });
  expect((await asOther("GET", `${path}/credentials`)).json).toEqual(credentials);
  expect((await asOther("GET", `${data}/values/timeseries?keys=level`)).json).toMatchObject({
    level: [{ value: "4" }],
  });
  expect((await asOther("GET", `/api/alarm/DEVICE/${device.id.id}?pageSize=1&page=0`)).json).toMatchObject({
    totalElements: 0,
  });
  expect(await cloud.call<unknown>("GET", `/api/relations?fromId=${asset.id.id}&fromType=ASSET`)).toEqual([]);
  const log = async (token: string) => {
    const answer = await cloud.request("GET", `/api/audit/logs/entity/DEVICE/${device.id.id}?pageSize=100&page=0`, {
      token,
    });
    return ((answer.json?.["data"] ?? []) as { actionType: string; userName: string }[]).at(-1);
  };
  expect(await log(cloud.first.token)).toMatchObject({ actionType: "ASSIGNED_TO_TENANT", userName: cloud.first.email });
  expect(await log(cloud.second.token)).toMatchObject({ actionType: "ASSIGNED_FROM_TENANT", userName: "" });
});

test("a device stays where it is when it can't go", async () => {
  const device = await create("device");
  expect((await move(device, cloud.first.tenantId)).json).toMatchObject({ name: device.name, version: 1 });
  expect((await move(device, device.id.id)).status).toBe(404);
  await asOther("POST", "/api/device", { name: device.name });
  expect((await move(device)).json).toMatchObject({ status: 400, message: "Device with such name already exists!" });
  const [seen, held, edge] = [await create("device"), await create("device"), await create("edge")];
  await create("entityView", { type: "v", entityId: seen.id });
  expect((await move(seen)).json).toMatchObject({ status: 400, message: expect.stringContaining("entity views") });
  await cloud.call("POST", `/api/edge/${edge.id.id}/device/${held.id.id}`);
  expect((await move(held)).json).toMatchObject({ status: 400, message: expect.stringContaining("on an edge") });
  await cloud.call("DELETE", `/api/edge/${edge.id.id}/device/${held.id.id}`);
  await cloud.database.sql`
    update tenant_profile set profile_data = '{"configuration":{"maxDevices":1}}'`;
  expect((await move(held)).json).toMatchObject({ status: 403, errorCode: 41, entityType: "DEVICE", limit: 1 });
  await cloud.database.sql`update tenant_profile set profile_data = '{"configuration":{}}'`;
  expect((await move(held)).status).toBe(200);
  const rows = await cloud.database.sql`select 1 from edge_past_assignment where entity_id = ${held.id.id}`;
  expect(rows).toHaveLength(0);
  const foreign = await cloud.request("POST", `/api/tenant/${cloud.second.tenantId}/device/${device.id.id}`, {
    token: cloud.second.token,
  });
  expect(foreign.status).toBe(404);
});
