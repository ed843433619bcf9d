import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customerId: string;
let customerToken: string;
const ids: Record<string, string> = {};

beforeAll(async () => {
  cloud = await startTestCloud();
  const { customerId: id, token } = await addCustomerUser(cloud);
  customerId = id;
  customerToken = token;
  const customer = { entityType: "CUSTOMER", id: customerId };
  const add = async (kind: string, body: Record<string, unknown>): Promise<void> => {
    const saved = await cloud.call<{ id: { id: string } }>("POST", `/api/${kind}`, body);
    ids[String(body["name"])] = saved.id.id;
  };
  await add("device", { name: "Pump 1", type: "pump", label: "North", customerId: customer });
  await add("device", { name: "Pump 2", type: "pump" });
  await add("device", { name: "Valve 1", type: "valve" });
  await add("asset", { name: "Hall", type: "building" });
  await add("edge", { name: "Site 1", type: "site" });
  const data = (name: string) => `/api/plugins/telemetry/DEVICE/${ids[name]}`;
  await cloud.call("POST", `${data("Pump 1")}/timeseries/ANY`, { ts: 1000, values: { level: 9.5, state: "on" } });
  await cloud.call("POST", `${data("Pump 2")}/timeseries/ANY`, { ts: 1000, values: { level: 10 } });
  await cloud.call("POST", `${data("Valve 1")}/timeseries/ANY`, { ts: 1000, values: { level: "full" } });
  await cloud.call("POST", `${data("Pump 1")}/SERVER_SCOPE`, { active: true, site: "Kyiv" });
  await cloud.call("POST", `${data("Pump 2")}/SERVER_SCOPE`, { active: false, site: "kyiv 2" });
  await cloud.call("POST", `${data("Pump 2")}/SHARED_SCOPE`, { limit: 5 });
  const relate = (from: [string, string], to: [string, string], type: string) =>
    cloud.call("POST", "/api/relation", {
      from: { entityType: from[0], id: ids[from[1]] },
      to: { entityType: to[0], id: ids[to[1]] },
      type,
    });
  await relate(["ASSET", "Hall"], ["DEVICE", "Pump 1"], "Contains");
  await relate(["DEVICE", "Pump 1"], ["DEVICE", "Valve 1"], "Feeds");
  await relate(["DEVICE", "Valve 1"], ["ASSET", "Hall"], "Contains");
});
afterAll(() => cloud[Symbol.asyncDispose]());

const DEVICES = { type: "entityType", entityType: "DEVICE" };
const field = (key: string) => ({ type: "ENTITY_FIELD", key });

interface Found {
  readonly data: readonly {
    readonly entityId: { readonly entityType: string; readonly id: string };
    readonly latest: Record<string, Record<string, { ts: number; value: string }>>;
  }[];
  readonly totalElements: number;
}

async function find(entityFilter: object, more: object = {}, token?: string): Promise<Found> {
  const body = {
    entityFilter,
    pageLink: { pageSize: 10, page: 0, sortOrder: { key: field("name"), direction: "ASC" } },
    entityFields: [field("name")],
    ...more,
  };
  const answer = await cloud.request(
    "POST",
    "/api/entitiesQuery/find",
    token === undefined ? { body } : { body, token },
  );
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
  return JSON.parse(answer.text) as Found;
}

async function namesOf(entityFilter: object, more: object = {}, token?: string): Promise<(string | undefined)[]> {
  const { data } = await find(entityFilter, more, token);
  return data.map(({ latest }) => latest["ENTITY_FIELD"]?.["name"]?.value);
}

test("POST /api/entitiesQuery/find answers fields and newest values as text, with what is missing as empty text", async () => {
  const latestValues = [
    { type: "TIME_SERIES", key: "level" },
    { type: "ATTRIBUTE", key: "active" },
    { type: "SHARED_ATTRIBUTE", key: "limit" },
  ];
  const { data, totalElements } = await find(DEVICES, {
    entityFields: ["name", "type", "label"].map(field),
    latestValues,
  });
  expect(totalElements).toBe(3);
  expect(data[0]).toEqual({
    entityId: { entityType: "DEVICE", id: ids["Pump 1"] ?? "" },
    latest: {
      ENTITY_FIELD: {
        name: { ts: 0, value: "Pump 1" },
        type: { ts: 0, value: "pump" },
        label: { ts: 0, value: "North" },
      },
      TIME_SERIES: { level: { ts: 1000, value: "9.5" } },
      ATTRIBUTE: { active: { ts: expect.any(Number), value: "true" } },
      SHARED_ATTRIBUTE: { limit: { ts: 0, value: "" } },
    },
    timeseries: {},
    aggLatest: {},
  } as never);
});

describe("POST /api/entitiesQuery/find selects by", () => {
  test.each([
    ["entityType", { type: "entityType", entityType: "ASSET" }, ["Hall"]],
    ["entityName", { type: "entityName", entityType: "DEVICE", entityNameFilter: "pUmP" }, ["Pump 1", "Pump 2"]],
    ["deviceType", { type: "deviceType", deviceTypes: ["pump"], deviceNameFilter: "" }, ["Pump 1", "Pump 2"]],
    ["deviceType of one", { type: "deviceType", deviceType: "pump", deviceNameFilter: "Pump 2" }, ["Pump 2"]],
    ["assetType", { type: "assetType", assetTypes: ["building"] }, ["Hall"]],
    ["edgeType", { type: "edgeType", edgeTypes: ["site"] }, ["Site 1"]],
    ["another type", { type: "deviceType", deviceTypes: ["none"] }, []],
  ])("%s", async (_, filter, expected) => {
    expect(await namesOf(filter)).toEqual(expected);
    const body = { entityFilter: filter };
    expect((await cloud.request("POST", "/api/entitiesQuery/count", { body })).text).toBe(String(expected.length));
  });

  test("singleEntity and entityList", async () => {
    const single = { type: "singleEntity", singleEntity: { entityType: "DEVICE", id: ids["Valve 1"] } };
    expect(await namesOf(single)).toEqual(["Valve 1"]);
    const list = { type: "entityList", entityType: "DEVICE", entityList: [ids["Pump 2"], ids["Hall"]] };
    expect(await namesOf(list)).toEqual(["Pump 2"]);
  });

  test("relations, over levels, round in circles, by their type and kind", async () => {
    const root = { rootEntity: { entityType: "ASSET", id: ids["Hall"] }, direction: "FROM" };
    const related = (more: object) => ({ type: "relationsQuery", ...root, ...more });
    expect(await namesOf(related({ maxLevel: 1 }))).toEqual(["Pump 1"]);
    expect(await namesOf(related({}))).toEqual(["Pump 1", "Valve 1"]);
    expect(await namesOf(related({ filters: [{ relationType: "Feeds" }] }))).toEqual(["Valve 1"]);
    expect(await namesOf(related({ filters: [{ entityTypes: ["ASSET"] }] }))).toEqual([]);
    expect(await namesOf(related({ maxLevel: 2, fetchLastLevelOnly: true }))).toEqual(["Valve 1"]);
    expect(await namesOf({ ...related({ maxLevel: 1 }), direction: "TO" })).toEqual(["Valve 1"]);
    const search = { type: "deviceSearchQuery", ...root, relationType: "Contains", deviceTypes: ["pump"] };
    expect(await namesOf(search)).toEqual(["Pump 1"]);
  });
});

describe("POST /api/entitiesQuery/find filters by", () => {
  const level = { type: "TIME_SERIES", key: "level" };
  const site = { type: "ATTRIBUTE", key: "site" };
  const filter = (key: object, type: string, operation: string, defaultValue: unknown, more: object = {}) => ({
    key,
    valueType: type,
    predicate: { type, operation, value: { defaultValue }, ...more },
  });

  test.each([
    ["a number", filter(level, "NUMERIC", "GREATER", 9.5), ["Pump 2"]],
    ["a number or the same", filter(level, "NUMERIC", "GREATER_OR_EQUAL", 9.5), ["Pump 1", "Pump 2"]],
    ["a number that it is not", filter(level, "NUMERIC", "NOT_EQUAL", 10), ["Pump 1"]],
    ["a text that looks like a number", filter(level, "STRING", "EQUAL", "10"), ["Pump 2"]],
    ["truth", filter({ type: "SERVER_ATTRIBUTE", key: "active" }, "BOOLEAN", "EQUAL", true), ["Pump 1"]],
    ["truth in another scope", filter({ type: "SHARED_ATTRIBUTE", key: "active" }, "BOOLEAN", "EQUAL", true), []],
    ["the begin of a text", filter(site, "STRING", "STARTS_WITH", "ky"), ["Pump 2"]],
    [
      "the begin, whatever the case",
      filter(site, "STRING", "STARTS_WITH", "KY", { ignoreCase: true }),
      ["Pump 1", "Pump 2"],
    ],
    ["the end of a text", filter(site, "STRING", "ENDS_WITH", "iv"), ["Pump 1"]],
    ["a part with a wildcard", filter(site, "STRING", "CONTAINS", "%"), []],
    ["one of several", filter(site, "STRING", "IN", "Kyiv, Lviv"), ["Pump 1"]],
    ["a field", filter(field("label"), "STRING", "EQUAL", "North"), ["Pump 1"]],
    ["a time", filter(field("createdTime"), "NUMERIC", "LESS", 5), []],
    ["nothing", { key: site, valueType: "STRING" }, ["Pump 1", "Pump 2", "Valve 1"]],
  ])("%s", async (_, keyFilter, expected) => {
    expect(await namesOf(DEVICES, { keyFilters: [keyFilter] })).toEqual(expected);
  });

  test("several conditions, all or any, and those within one", async () => {
    const isLow = filter(level, "NUMERIC", "LESS", 10);
    const isInKyiv2 = filter(site, "STRING", "EQUAL", "kyiv 2");
    expect(await namesOf(DEVICES, { keyFilters: [isLow, isInKyiv2] })).toEqual([]);
    const any = { keyFilters: [isLow, isInKyiv2], keyFiltersOperation: "OR" };
    expect(await namesOf(DEVICES, any)).toEqual(["Pump 1", "Pump 2"]);
    const predicates = [isLow.predicate, filter(level, "NUMERIC", "GREATER", 9.9).predicate];
    const complex = { key: level, valueType: "NUMERIC", predicate: { type: "COMPLEX", operation: "OR", predicates } };
    expect(await namesOf(DEVICES, { keyFilters: [complex] })).toEqual(["Pump 1", "Pump 2"]);
  });

  test("conditions within each other, up to five levels", async () => {
    const { predicate } = filter(level, "NUMERIC", "GREATER", 9.9);
    const nest = (levels: number): object =>
      levels === 0 ? predicate : { type: "COMPLEX", operation: "AND", predicates: [nest(levels - 1)] };
    const nested = (levels: number) => ({
      keyFilters: [{ key: level, valueType: "NUMERIC", predicate: nest(levels) }],
    });
    expect(await namesOf(DEVICES, nested(5))).toEqual(["Pump 2"]);
    expect(namesOf(DEVICES, nested(6))).rejects.toThrow("400");
  });

  test("values that are attributes of the entity, of who asks, and of those above", async () => {
    const path = `/api/plugins/telemetry/CUSTOMER/${customerId}/SERVER_SCOPE`;
    await cloud.call("POST", path, { limit: 9, town: "Kyiv" });
    const byAttribute = (type: string, key: object, dynamicValue: object, more: object = {}) => ({
      keyFilters: [
        {
          key,
          valueType: type,
          predicate: {
            type,
            operation: type === "NUMERIC" ? "GREATER" : "EQUAL",
            value: { defaultValue: type === "NUMERIC" ? 100 : "", dynamicValue, ...more },
          },
        },
      ],
    });
    const ofCustomer = { sourceType: "CURRENT_CUSTOMER", sourceAttribute: "limit" };
    const asCustomer = (...[type, key, value, more]: Parameters<typeof byAttribute>) =>
      namesOf(DEVICES, byAttribute(type, key, value, more), customerToken);
    expect(await asCustomer("NUMERIC", level, ofCustomer)).toEqual(["Pump 1"]);
    expect(await asCustomer("NUMERIC", level, ofCustomer, { userValue: 9.5 })).toEqual([]);
    expect(await namesOf(DEVICES, byAttribute("NUMERIC", level, ofCustomer))).toEqual([]);
    const ofUser = { sourceType: "CURRENT_USER", sourceAttribute: "town" };
    expect(await asCustomer("STRING", site, ofUser)).toEqual([]);
    expect(await asCustomer("STRING", site, { ...ofUser, inherit: true })).toEqual(["Pump 1"]);
    const ofEntity = { sourceType: "CURRENT_DEVICE", sourceAttribute: "site" };
    expect(await namesOf(DEVICES, byAttribute("STRING", site, ofEntity))).toEqual(["Pump 1", "Pump 2"]);
  });

  test("a text in name, label or type, in pages, sorted by a value: numbers, then texts", async () => {
    const pageLink = { pageSize: 2, page: 0, textSearch: "NORTH" };
    expect(await namesOf(DEVICES, { pageLink })).toEqual(["Pump 1"]);
    const sorted = (page: number, direction: string) => ({
      pageLink: { pageSize: 2, page, sortOrder: { key: level, direction } },
    });
    expect(await namesOf(DEVICES, sorted(0, "ASC"))).toEqual(["Pump 1", "Pump 2"]);
    expect(await namesOf(DEVICES, sorted(1, "ASC"))).toEqual(["Valve 1"]);
    expect(await namesOf(DEVICES, sorted(0, "DESC"))).toEqual(["Pump 2", "Pump 1"]);
  });
});

test("POST /api/entitiesQuery/find answers who owns an entity, and what customers are", async () => {
  const keys = ["ownerName", "ownerType", "displayName"].map(field);
  const { data } = await find(DEVICES, { entityFields: keys });
  const fields = data.map(({ latest }) => keys.map(({ key }) => latest["ENTITY_FIELD"]?.[key]?.value));
  expect(fields).toEqual([
    ["Customer", "CUSTOMER", "North"],
    ["Tenant", "TENANT", "Pump 2"],
    ["Tenant", "TENANT", "Valve 1"],
  ]);
  await cloud.call("POST", "/api/customer", { title: "With address", city: "Lviv", phone: "1" });
  const customers = { type: "entityName", entityType: "CUSTOMER", entityNameFilter: "With" };
  const found = await find(customers, { entityFields: ["title", "city", "phone", "nothing"].map(field) });
  expect(found.data[0]?.latest["ENTITY_FIELD"]).toEqual({
    title: { ts: 0, value: "With address" },
    city: { ts: 0, value: "Lviv" },
    phone: { ts: 0, value: "1" },
    nothing: { ts: 0, value: "" },
  });
});

describe("POST /api/alarmsQuery", () => {
  const alarmField = (key: string) => ({ type: "ALARM_FIELD", key });
  const raise = async (name: string, type: string, more: object = {}) => {
    const originator = { entityType: "DEVICE", id: ids[name] };
    await cloud.call("POST", "/api/alarm", { originator, type, severity: "MAJOR", ...more });
  };
  const findAlarms = async (pageLink: object, more: object = {}, token?: string) => {
    const body = {
      entityFilter: DEVICES,
      pageLink: { pageSize: 10, page: 0, sortOrder: { key: alarmField("type"), direction: "ASC" }, ...pageLink },
      alarmFields: [alarmField("type")],
      ...more,
    };
    const options = token === undefined ? { body } : { body, token };
    const { json } = await cloud.request("POST", "/api/alarmsQuery/find", options);
    return json as unknown as { data: { type: string; entityId: object; latest: object }[]; totalElements: number };
  };
  const typesOf = async (...args: Parameters<typeof findAlarms>) =>
    (await findAlarms(...args)).data.map(({ type }) => type);
  const count = (query: object) => cloud.call<number>("POST", "/api/alarmsQuery/count", query);

  beforeAll(async () => {
    await raise("Pump 1", "A hot pump", { severity: "CRITICAL" });
    await raise("Pump 2", "B slow pump", { acknowledged: true });
    await raise("Valve 1", "C open valve", { propagate: true, propagateRelationTypes: ["Feeds"] });
  });

  test("finds alarms of entities with their values, by state, severity, type, time and text", async () => {
    const values = { entityFields: [field("name")], latestValues: [{ type: "TIME_SERIES", key: "level" }] };
    const { data, totalElements } = await findAlarms({ pageSize: 1 }, values);
    expect([data, totalElements]).toMatchObject([
      [
        {
          type: "A hot pump",
          originatorName: "Pump 1",
          status: "ACTIVE_UNACK",
          entityId: { entityType: "DEVICE", id: ids["Pump 1"] },
          latest: {
            ENTITY_FIELD: { name: { ts: 0, value: "Pump 1" } },
            TIME_SERIES: { level: { ts: 1000, value: "9.5" } },
          },
        },
      ],
      3,
    ]);
    expect(await typesOf({ statusList: ["ACK"] })).toEqual(["B slow pump"]);
    expect(await typesOf({ severityList: ["CRITICAL"] })).toEqual(["A hot pump"]);
    expect(await typesOf({ typeList: ["C open valve"] })).toEqual(["C open valve"]);
    expect(await typesOf({ textSearch: "PUMP" })).toEqual(["A hot pump", "B slow pump"]);
    expect(await typesOf({ startTs: 1, endTs: 2 })).toEqual([]);
    expect(await typesOf({ timeWindow: 600_000 })).toHaveLength(3);
    expect(await typesOf({}, { entityFilter: { type: "deviceType", deviceTypes: ["valve"] } })).toEqual([
      "C open valve",
    ]);
    expect(await typesOf({}, {}, customerToken)).toEqual(["A hot pump"]);
    expect(await typesOf({}, {}, cloud.second.token)).toEqual([]);
  });

  test("finds what is propagated to the entities, where it is shown", async () => {
    const onPump = {
      entityFilter: { type: "singleEntity", singleEntity: { entityType: "DEVICE", id: ids["Pump 1"] } },
    };
    expect(await typesOf({}, onPump)).toEqual(["A hot pump"]);
    const { data } = await findAlarms({ searchPropagatedAlarms: true }, onPump);
    expect(data.map(({ type, entityId }) => [type, entityId])).toEqual([
      ["A hot pump", { entityType: "DEVICE", id: ids["Pump 1"] }],
      ["C open valve", { entityType: "DEVICE", id: ids["Pump 1"] }],
    ]);
  });

  test("counts", async () => {
    expect(await count({})).toBe(3);
    expect(await count({ entityFilter: DEVICES, statusList: ["UNACK"] })).toBe(2);
    expect(await count({ severityList: ["MINOR"] })).toBe(0);
  });
});

test("POST /api/entitiesQuery/* shows nobody what is another's", async () => {
  expect(await namesOf(DEVICES, {}, customerToken)).toEqual(["Pump 1"]);
  expect(await namesOf({ type: "entityType", entityType: "CUSTOMER" }, {}, customerToken)).toEqual(["Customer"]);
  expect(await namesOf({ type: "entityType", entityType: "DEVICE_PROFILE" }, {}, customerToken)).toEqual([]);
  const { token } = cloud.second;
  const root = { rootEntity: { entityType: "ASSET", id: ids["Hall"] }, direction: "FROM" };
  for (const filter of [DEVICES, { type: "edgeType" }, { type: "relationsQuery", ...root }]) {
    expect(await namesOf(filter, {}, token)).toEqual([]);
    const body = { entityFilter: filter };
    expect((await cloud.request("POST", "/api/entitiesQuery/count", { body, token })).text).toBe("0");
    expect((await cloud.request("POST", "/api/entitiesQuery/find/keys", { body, token })).json).toEqual({
      timeseries: [],
      attribute: [],
      entityTypes: [],
    });
  }
});

test("POST /api/entitiesQuery/find/keys names what the entities have", async () => {
  const body = { entityFilter: DEVICES };
  const path = "/api/entitiesQuery/find/keys?timeseries=true&attributes=false";
  expect((await cloud.request("POST", path, { body })).json).toEqual({
    timeseries: ["level", "state"],
    attribute: [],
    entityTypes: ["DEVICE"],
  });
  const { id } = await cloud.call<{ id: { id: string } }>("POST", "/api/device", { name: "Scoped" });
  await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${id.id}/SHARED_SCOPE`, { shared: 1 });
  await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${id.id}/SERVER_SCOPE`, { own: 1 });
  const one = { entityFilter: { type: "entityList", entityType: "DEVICE", entityList: [id.id] } };
  const scoped = (scope: string) => cloud.request("POST", `/api/entitiesQuery/find/keys?scope=${scope}`, { body: one });
  expect((await scoped("SHARED_SCOPE")).json?.["attribute"]).toEqual(["shared"]);
  expect((await scoped("CLIENT_SCOPE")).json?.["attribute"]).toEqual([]);
  expect((await scoped("NO")).json).toMatchObject({
    errorCode: 31,
    message: expect.stringContaining("Invalid scope: NO"),
  });
});

test.each([
  [{ entityFilter: { type: "everything" } }, "entityFilter"],
  [
    { entityFilter: DEVICES, pageLink: { pageSize: 0, page: 0 } },
    "Incorrect page link page size '0'. Page size must be greater than zero.",
  ],
  [
    { entityFilter: DEVICES, pageLink: { pageSize: 1, page: -1 } },
    "Incorrect page link page '-1'. Page must be positive integer.",
  ],
  [{ entityFilter: { type: "singleEntity", singleEntity: { entityType: "DEVICE", id: "x" } } }, "Invalid UUID"],
])("POST /api/entitiesQuery/find refuses %j and names the field", async (body, text) => {
  const answer = await cloud.request("POST", "/api/entitiesQuery/find", {
    body: { pageLink: { pageSize: 1, page: 0 }, ...body },
  });
  expect([answer.status, answer.json?.["errorCode"]]).toEqual([400, 31]);
  expect(answer.json?.["message"]).toContain(text);
});
