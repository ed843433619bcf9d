import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { openTestSite, type TestSite } from "../support/test-site.ts";

// Attributes and telemetry of what is not stored as an entity: tenants, users, edges.

let cloud: TestCloud;
let customer: { readonly customerId: string; readonly token: string };
let edgeId: string;
const ids = { TENANT: "", USER: "", EDGE: "" };
const foreign = { TENANT: "", USER: "", EDGE: "" };
const TYPES = ["TENANT", "USER", "EDGE"] as const;

interface Saved {
  readonly id: { readonly id: string };
}

beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
  edgeId = (await cloud.call<Saved>("POST", "/api/edge", { name: "Edge", type: "site" })).id.id;
  ids.TENANT = cloud.first.tenantId;
  ids.USER = (await cloud.call<Saved>("GET", "/api/auth/user")).id.id;
  ids.EDGE = edgeId;
  const { token } = cloud.second;
  foreign.TENANT = cloud.second.tenantId;
  foreign.USER = await foreignId("GET", "/api/auth/user", token);
  foreign.EDGE = await foreignId("POST", "/api/edge", token);
});
afterAll(() => cloud[Symbol.asyncDispose]());

async function foreignId(method: string, path: string, token: string): Promise<string> {
  const body = method === "POST" ? { body: { name: "Other", type: "site" } } : {};
  return ((await cloud.request(method, path, { token, ...body })).json as unknown as Saved).id.id;
}

const pathOf = (type: string, id: string) => `/api/plugins/telemetry/${type}/${id}`;
const attributes = async (type: string, id: string, more = ""): Promise<Record<string, unknown>> => {
  const rows = await cloud.call<{ key: string; value: unknown }[]>(
    "GET",
    `${pathOf(type, id)}/values/attributes/SERVER_SCOPE${more}`,
  );
  return Object.fromEntries(rows.map(({ key, value }) => [key, value]));
};

test("attributes of an edge that are set in the cloud are read there, and only there", async () => {
  const imported = { file: "NAME,KEY,SECRET,ZONE\nImported,k,s,north", mapping: IMPORT };
  await cloud.call("POST", "/api/edge/bulk_import", imported);
  const [first, second] = [await openTestSite(cloud, "Of two"), await openTestSite(cloud, "Of another")];
  const path = pathOf("EDGE", first.edgeId);
  await cloud.call("POST", `${path}/SHARED_SCOPE`, { limit: 30, gone: 1 });
  await cloud.call("POST", `${path}/SERVER_SCOPE`, { site: { city: "Kyiv" } });
  await first.sync();
  await cloud.call("DELETE", `${path}/SHARED_SCOPE?keys=gone`);
  await first.sync();
  await second.sync();
  const read = async (site: TestSite, scope: string) =>
    (
      await site.call<{ key: string; value: unknown }[]>(
        "GET",
        `${pathOf("EDGE", site.edgeId)}/values/attributes/${scope}`,
      )
    )
      .filter(({ key }) => !key.startsWith("queueStart"))
      .map(({ key, value }) => [key, value]);
  expect(await read(first, "SHARED_SCOPE")).toEqual([["limit", 30]]);
  expect(await read(first, "SERVER_SCOPE")).toEqual([["site", { city: "Kyiv" }]]);
  expect(await read(second, "SHARED_SCOPE")).toEqual([]);
  expect((await first.edge.request("POST", `${path}/SHARED_SCOPE`, { body: { a: 1 } })).status).not.toBe(200);
  const sent = await cloud.database.sql`
    select action, body ->> 'scope' as scope from edge_event where type = 'EDGE' and entity_id in
      (select id from edge where name = 'Imported')`;
  expect([...sent]).toEqual([{ action: "ATTRIBUTES_UPDATED", scope: "SHARED_SCOPE" }]);
});

const IMPORT = {
  columns: [{ type: "NAME" }, { type: "ROUTING_KEY" }, { type: "SECRET" }, { type: "SHARED_ATTRIBUTE", key: "zone" }],
  delimiter: ",",
  update: false,
  header: true,
};

describe.each(TYPES)("attributes of a %s", (type) => {
  test("are saved, listed and deleted, and in the audit log", async () => {
    const path = pathOf(type, ids[type]);
    const save = await cloud.request("POST", `${path}/SERVER_SCOPE`, { body: '{"site":"Kyiv","limit":1.50}' });
    expect(save).toMatchObject({ status: 200, text: "" });
    expect(await attributes(type, ids[type])).toMatchObject({ site: "Kyiv", limit: 1.5 });
    const keys = await cloud.call<string[]>("GET", `${path}/keys/attributes`);
    for (const key of ["limit", "site"]) expect(keys).toContain(key);
    await cloud.call("DELETE", `${path}/SERVER_SCOPE?keys=site`);
    expect(await attributes(type, ids[type], "?keys=site,limit")).toEqual({ limit: 1.5 });
    const log = await cloud.call("GET", `/api/audit/logs/entity/${type}/${ids[type]}?pageSize=100&page=0`);
    const actions = (log["data"] as { actionType: string }[]).map(({ actionType }) => actionType);
    for (const action of ["ATTRIBUTES_UPDATED", "ATTRIBUTES_DELETED"]) expect(actions).toContain(action);
  });

  test("are not for other tenants", async () => {
    const path = pathOf(type, foreign[type]);
    for (const [method, tail] of [
      ["GET", "/values/attributes"],
      ["POST", "/SERVER_SCOPE"],
      ["DELETE", "/SERVER_SCOPE?keys=a"],
      ["POST", "/timeseries/ANY"],
      ["GET", "/values/timeseries?keys=a"],
    ] as const) {
      const body = method === "POST" ? { body: { a: 1 } } : {};
      expect((await cloud.request(method, path + tail, body)).status).toBe(404);
    }
    const kept = await cloud.request("GET", `${path}/values/attributes?keys=a`, { token: cloud.second.token });
    expect(kept).toMatchObject({ status: 200, text: "[]" });
  });

  test("have telemetry beside them", async () => {
    const path = pathOf(type, ids[type]);
    await cloud.request("POST", `${path}/timeseries/ANY`, { body: { ts: 1000, values: { load: 0.5 } } });
    expect(await cloud.call("GET", `${path}/values/timeseries?keys=load`)).toEqual({
      load: [{ ts: 1000, value: "0.5" }],
    });
  });

  test("reach no edge but the one that they are of", async () => {
    await cloud.call("POST", `${pathOf(type, ids[type])}/SHARED_SCOPE`, { a: 1 });
    const [row] = await cloud.database.sql`
      select count(*)::int as count from edge_event where entity_id = ${ids[type]}`;
    expect(row?.["count"] === 0).toBe(type !== "EDGE");
  });
});

test("attributes of an edge that show what it is doing can't be set, and go before stored ones", async () => {
  const path = pathOf("EDGE", edgeId);
  const refused = await cloud.request("POST", `${path}/SERVER_SCOPE`, { body: { active: true } });
  expect(refused).toMatchObject({ status: 400, json: { errorCode: 31, field: "active" } });
  await cloud.database.sql`insert into attribute values (${edgeId}, 'SERVER_SCOPE', 'active', 'true', 1)`;
  expect(await attributes("EDGE", edgeId, "?keys=active")).toEqual({ active: false });
});

test("attributes of an edge say up to where downlinks have arrived", async () => {
  const [event] = await cloud.database.sql<{ seq: number; created_ms: number }[]>`
    select seq, created_ms from edge_event where edge_id = ${edgeId} order by seq limit 1`;
  expect(await attributes("EDGE", edgeId, "?keys=queueStartTs,queueStartSeqId")).toEqual({ queueStartSeqId: 0 });
  await cloud.database.sql`update edge_sync set downlink_acked = ${event?.seq ?? 0} where edge_id = ${edgeId}`;
  expect(await attributes("EDGE", edgeId, "?keys=queueStartTs,queueStartSeqId")).toEqual({
    queueStartTs: Number(event?.created_ms),
    queueStartSeqId: Number(event?.seq),
  });
});

test("a customer user has attributes of its own, and none of its tenant and of other users", async () => {
  const { token } = customer;
  const own = ((await cloud.request("GET", "/api/auth/user", { token })).json as unknown as Saved).id.id;
  const save = async (type: string, id: string) =>
    (await cloud.request("POST", `${pathOf(type, id)}/SERVER_SCOPE`, { token, body: { a: 1 } })).status;
  expect(await save("USER", own)).toBe(200);
  expect(await save("USER", ids.USER)).toBe(404);
  expect(await save("TENANT", ids.TENANT)).toBe(404);
  expect(await save("EDGE", ids.EDGE)).toBe(404);
});

test("the system administrator sets attributes of tenants, not of what they have", async () => {
  const save = async (type: string, id: string) => {
    const options = { token: cloud.system, body: { quota: 5 } };
    return (await cloud.request("POST", `${pathOf(type, id)}/SERVER_SCOPE`, options)).status;
  };
  expect(await save("TENANT", foreign.TENANT)).toBe(200);
  expect(await save("EDGE", ids.EDGE)).toBe(404);
});

test("a user that is deleted takes its attributes and telemetry along", async () => {
  const body = { email: "leaves@example.com", authority: "TENANT_ADMIN" };
  const { id } = (await cloud.call<Saved>("POST", "/api/user", body)).id;
  await cloud.call("POST", `${pathOf("USER", id)}/SERVER_SCOPE`, { a: 1 });
  await cloud.request("POST", `${pathOf("USER", id)}/timeseries/ANY`, { body: { a: 1 } });
  await cloud.call("DELETE", `/api/user/${id}`);
  const left = await cloud.database.sql`
    select key from attribute where entity_id = ${id} union all select key from telemetry_latest where entity_id = ${id}`;
  expect(left).toHaveLength(0);
});

test("POST /api/edge/bulk_import sets attributes and telemetry of edges", async () => {
  const columns = [
    { type: "NAME" },
    { type: "ROUTING_KEY" },
    { type: "SECRET" },
    { type: "SERVER_ATTRIBUTE", key: "site" },
    { type: "TIMESERIES", key: "load" },
  ];
  const file = "NAME,KEY,SECRET,SITE,LOAD\nFrom CSV,bulk-key,bulk-secret,Kyiv,7";
  const mapping = { columns, delimiter: ",", update: true, header: true };
  const result = await cloud.call("POST", "/api/edge/bulk_import", { file, mapping });
  expect(result).toMatchObject({ created: 1, errors: 0 });
  const { id } = (await cloud.call<Saved>("GET", "/api/tenant/edge?edgeName=From%20CSV")).id;
  expect(await attributes("EDGE", id, "?keys=site")).toEqual({ site: "Kyiv" });
  const series = await cloud.call("GET", `${pathOf("EDGE", id)}/values/timeseries?keys=load`);
  expect(series).toMatchObject({ load: [{ value: "7" }] });
});
