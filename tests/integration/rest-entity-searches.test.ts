import { afterAll, beforeAll, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly name: string;
}

const create = (path: string, name: string, more: object = {}): Promise<Entity> =>
  cloud.call("POST", `/api/${path}`, { name, ...more });
const relate = (from: Entity, to: Entity, type = "Contains") =>
  cloud.call("POST", "/api/relation", { from: from.id, to: to.id, type, typeGroup: "COMMON" });

test("POST /api/devices finds devices that relations lead to, by type, and only what the caller may see", async () => {
  const { customerId, token } = await addCustomerUser(cloud);
  const own = { customerId: { id: customerId } };
  const [house, room] = [await create("asset", "House", own), await create("asset", "Room", own)];
  const [pump, valve] = [await create("device", "Pump", { type: "pump", ...own }), await create("device", "Valve")];
  await relate(house, room);
  await relate(room, pump);
  await relate(room, valve);
  await relate(house, valve, "Uses");
  const search = (body: object, path = "devices") => cloud.call<Entity[]>("POST", `/api/${path}`, body);
  const parameters = { rootId: house.id.id, rootType: "ASSET", direction: "FROM", maxLevel: 0 };
  const names = (found: readonly Entity[]) => found.map(({ name }) => name).toSorted();
  expect(names(await search({ parameters }))).toEqual(["Pump", "Valve"]);
  expect(names(await search({ parameters, relationType: "Contains", deviceTypes: ["pump"] }))).toEqual(["Pump"]);
  expect(names(await search({ parameters: { ...parameters, maxLevel: 1 } }))).toEqual(["Valve"]);
  expect(names(await search({ parameters }, "assets"))).toEqual(["Room"]);
  const up = { rootId: pump.id.id, rootType: "DEVICE", direction: "TO" };
  expect(names(await search({ parameters: up }, "assets"))).toEqual(["House", "Room"]);
  const answer = await cloud.request("POST", "/api/devices", { body: { parameters }, token });
  expect(names(JSON.parse(answer.text) as Entity[])).toEqual(["Pump"]);
  expect((await cloud.request("POST", "/api/devices", { body: {} })).json).toMatchObject({
    status: 400,
    errorCode: 31,
  });
});

test("POST /api/edges finds edges that relations lead to, by type, and only what the caller may see", async () => {
  const site = await create("asset", "Site");
  const [north, south] = [await create("edge", "North", { type: "station" }), await create("edge", "South")];
  await relate(site, north);
  await relate(site, south);
  const search = async (body: object, token = cloud.first.token) => {
    const answer = await cloud.request("POST", "/api/edges", { body, token });
    expect(answer.status).toBe(200);
    return (JSON.parse(answer.text) as (Entity & { secret: string })[]).map(({ name }) => name).toSorted();
  };
  const parameters = {
    rootId: site.id.id,
    rootType: "ASSET",
    direction: "FROM",
    relationTypeGroup: "COMMON",
    maxLevel: 1,
  };
  expect(await search({ parameters, relationType: "Contains", edgeTypes: [] })).toEqual(["North", "South"]);
  expect(await search({ parameters, relationType: "Contains", edgeTypes: ["station"] })).toEqual(["North"]);
  expect(await search({ parameters, relationType: "Uses" })).toEqual([]);
  const foreign = await cloud.request("POST", "/api/edges", { body: { parameters }, token: cloud.second.token });
  expect(foreign.status).toBe(403);
});
