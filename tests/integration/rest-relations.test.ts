import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud, withoutChains } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: string; readonly token: string };
beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Ref {
  readonly entityType: string;
  readonly id: string;
}
interface Relation {
  readonly from: Ref;
  readonly to: Ref;
  readonly type: string;
  readonly version: number;
  readonly [key: string]: unknown;
}

const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";
let names = 0;
let building: Ref;
let room: Ref;
let device: Ref;

const create = async (kind: "asset" | "device", more: object = {}): Promise<Ref> => {
  names += 1;
  return (await cloud.call<{ id: Ref }>("POST", `/api/${kind}`, { name: `${kind} ${names}`, ...more })).id;
};
beforeEach(async () => {
  [building, room, device] = [await create("asset"), await create("asset"), await create("device")];
});
const relate = (from: Ref, to: Ref, more: object = {}): Promise<Relation> =>
  cloud.call("POST", "/api/v2/relation", { from, to, type: "Contains", ...more });
const query = (from: Ref, to: Ref, type = "Contains"): string =>
  `fromId=${from.id}&fromType=${from.entityType}&relationType=${type}&toId=${to.id}&toType=${to.entityType}`;
const list = (path: string): Promise<readonly Relation[]> => cloud.call("GET", path);

describe("a relation", () => {
  test("is made, replaced, read and removed by its name", async () => {
    const made = await relate(building, room, { additionalInfo: { floor: 1 } });
    expect(made).toEqual({
      from: building,
      to: room,
      type: "Contains",
      typeGroup: "COMMON",
      version: made.version,
      additionalInfo: { floor: 1 },
    });
    const body = { from: building, to: room, type: "Contains", typeGroup: "SOMETHING" };
    expect((await cloud.request("POST", "/api/relation", { body })).text).toBe("");
    const path = `/api/relation?${query(building, room)}`;
    const replaced = await cloud.call<Relation>("GET", path);
    expect(replaced).toMatchObject({ typeGroup: "COMMON", additionalInfo: null });
    expect(replaced.version).toBeGreaterThan(made.version);
    expect((await cloud.request("DELETE", path)).text).toBe("");
    for (const method of ["GET", "DELETE"])
      expect((await cloud.request(method, path)).json).toMatchObject({ errorCode: 32 });
    await relate(building, room);
    expect(await cloud.call("DELETE", `/api/v2/relation?${query(building, room)}`)).toMatchObject({
      from: building,
      to: room,
    });
  });

  test("needs ends that the caller may see, and a type", async () => {
    const owned = await create("device", { customerId: { id: customer.customerId } });
    const body = { from: building, to: owned, type: "Contains" };
    for (const [wrong, token] of [
      [{ ...body, to: { entityType: "DEVICE", id: UNKNOWN_ID } }, cloud.first.token],
      [body, cloud.second.token],
      [body, customer.token],
    ] as const) {
      const answer = await cloud.request("POST", "/api/relation", { body: wrong, token });
      expect(answer.json).toMatchObject({ status: 403, errorCode: 20 });
    }
    for (const [wrong, message] of [
      [{ ...body, type: "" }, "Relation type should be specified!"],
      [{ ...body, to: undefined }, "Relation to should be specified!"],
      [{ ...body, typeGroup: "EDGE" }, "Assignments are not changed as relations"],
    ] as const) {
      expect((await cloud.request("POST", "/api/relation", { body: wrong })).json).toMatchObject({
        errorCode: 31,
        message,
      });
    }
    await relate(building, owned);
    const seen = await cloud.request("GET", `/api/relations/to/DEVICE/${owned.id}`, { token: customer.token });
    expect(seen.text).toBe("[]");
  });

  test("goes with either of its ends", async () => {
    await relate(building, room);
    await relate(room, device);
    await cloud.call("DELETE", `/api/asset/${room.id}`);
    expect(await list(`/api/relations/from/ASSET/${building.id}`)).toEqual([]);
    expect(await list(`/api/relations/to/DEVICE/${device.id}`)).toEqual([]);
  });
});

describe("lists of relations", () => {
  test("are the same in the query form and in the path forms", async () => {
    await relate(building, room);
    await relate(building, device, { type: "Manages" });
    for (const form of ["", "/info"]) {
      const byQuery = await list(`/api/relations${form}?fromId=${building.id}&fromType=ASSET`);
      expect(byQuery.map(({ type }) => type)).toEqual(["Contains", "Manages"]);
      expect(await list(`/api/relations${form}/from/ASSET/${building.id}`)).toEqual(byQuery);
      expect(await list(`/api/relations${form}/from/ASSET/${building.id}/Manages`)).toEqual(byQuery.slice(1));
      expect(await list(`/api/relations${form}?toId=${room.id}&toType=ASSET&relationType=Contains`)).toEqual(
        byQuery.slice(0, 1),
      );
      expect(await list(`/api/relations${form}/to/DEVICE/${device.id}`)).toEqual(byQuery.slice(1));
    }
    expect(await list(`/api/relations/info/to/DEVICE/${device.id}`)).toMatchObject([
      { fromName: `asset ${names - 2}`, toName: `device ${names}` },
    ]);
    expect((await cloud.request("GET", "/api/relations?fromId=x")).status).toBe(400);
  });

  test("are emptied for one entity at once, of the common ones", async () => {
    await relate(building, room);
    await relate(room, device);
    await relate(room, device, { typeGroup: "DASHBOARD" });
    await cloud.call("DELETE", `/api/relations?entityId=${room.id}&entityType=ASSET`);
    expect(await list(`/api/relations/from/ASSET/${room.id}`)).toEqual([]);
    expect(await list(`/api/relations/to/ASSET/${room.id}`)).toEqual([]);
    expect(await list(`/api/relations/from/ASSET/${room.id}?relationTypeGroup=DASHBOARD`)).toHaveLength(1);
  });

  test("show what is on an edge as relations of the group EDGE", async () => {
    const { id: edge } = await cloud.call<{ id: Ref }>("POST", "/api/edge", { name: `Edge ${names}`, type: "default" });
    await withoutChains(cloud, { id: edge });
    await cloud.call("POST", `/api/edge/${edge.id}/device/${device.id}`);
    const found = await list(`/api/relations/info/from/EDGE/${edge.id}?relationTypeGroup=EDGE`);
    expect(found).toMatchObject([{ from: edge, to: device, typeGroup: "EDGE", fromName: `Edge ${names}` }]);
  });
});

describe("POST /api/relations", () => {
  const search = (parameters: object, filters?: readonly object[]) =>
    cloud.call<readonly Relation[]>("POST", "/api/relations", {
      parameters: { rootId: building.id, rootType: "ASSET", direction: "FROM", ...parameters },
      filters,
    });
  const ends = (relations: readonly Relation[]) => relations.map(({ to }) => to.id);

  test("walks as many levels as are asked for, also in circles", async () => {
    await relate(building, room);
    await relate(room, device);
    await relate(device, building);
    expect(ends(await search({ maxLevel: 1 }))).toEqual([room.id]);
    expect(ends(await search({ maxLevel: 2 }))).toEqual([room.id, device.id]);
    expect(ends(await search({}))).toEqual([room.id, device.id, building.id]);
    expect(ends(await search({ maxLevel: 2, fetchLastLevelOnly: true }))).toEqual([device.id]);
    const up = await search({ rootId: device.id, rootType: "DEVICE", direction: "TO", maxLevel: 2 });
    expect(up.map(({ from }) => from.id)).toEqual([room.id, building.id]);
  });

  test("filters by type and by kind of the far end", async () => {
    await relate(building, room);
    await relate(building, device, { type: "Manages" });
    expect(ends(await search({}, [{ relationType: "Contains", entityTypes: ["ASSET"] }]))).toEqual([room.id]);
    expect(ends(await search({}, [{ relationType: "Contains", negate: true }]))).toEqual([device.id]);
    expect(ends(await search({}, [{ entityTypes: ["DEVICE"] }, { relationType: "Contains" }]))).toHaveLength(2);
    expect(ends(await search({}, [{ relationType: "Contains", entityTypes: ["DEVICE"] }]))).toEqual([]);
    const answer = await cloud.request("POST", "/api/relations/info", { body: { parameters: { rootId: room.id } } });
    expect(answer.status).toBe(400);
  });
});

test("alarms are shown at what relations lead from to their originator, when they are propagated", async () => {
  await relate(building, room);
  await relate(room, device, { type: "Has" });
  const raise = (type: string, more: object) =>
    cloud.call("POST", "/api/alarm", { originator: device, type, severity: "MAJOR", ...more });
  await raise("kept", {});
  await raise("any", { propagate: true });
  await raise("along Has", { propagate: true, propagateRelationTypes: ["Has"] });
  await raise("to the tenant", { propagateToTenant: true });
  const shownAt = async (type: string, id: string) => {
    const path = `/api/alarm/${type}/${id}?pageSize=10&page=0&sortProperty=type`;
    return (await cloud.call<{ data: { type: string }[] }>("GET", path)).data.map((alarm) => alarm.type);
  };
  expect(await shownAt("ASSET", room.id)).toEqual(["along Has", "any"]);
  expect(await shownAt("ASSET", building.id)).toEqual(["any"]);
  expect(await shownAt("TENANT", cloud.first.tenantId)).toEqual(["to the tenant"]);
});
