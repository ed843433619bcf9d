import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ensureLocalAdmin } from "../../edge/store/first-start.ts";
import { saveSite } from "../../edge/store/site-store.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { createTestClock } from "../support/test-clock.ts";
import { PASSWORD, plainPasswords, signIn, type Answer } from "../support/test-cloud.ts";
import { startTestEdge, type TestEdge } from "../support/test-edge.ts";

// What an edge offers of the REST convention beside its entities.

const clock = createTestClock();
const edgeId = createUuid(clock, random);
let postgres: TestPostgres;
let edge: TestEdge;
let token: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  edge = await startTestEdge(await postgres.createDatabase("edge"), clock);
  const { db } = edge.database;
  const tenantId = createUuid(clock, random);
  await saveSite(db, { edgeId, tenantId, name: "Edge", type: "default", cloudId: null, downlinkApplied: 0 });
  const admin = { tenantId, email: "local@example.com", password: PASSWORD };
  await ensureLocalAdmin(db, { clock, random, passwords: plainPasswords }, admin);
  token = await signIn(edge.api, admin.email);
});
afterAll(() => postgres[Symbol.asyncDispose]());

function call(method: string, path: string, more: { body?: unknown; phone?: string } = {}): Promise<Answer> {
  const { body, phone } = more;
  return edge.request(method, path, {
    token,
    ...(body === undefined ? {} : { body }),
    ...(phone === undefined ? {} : { headers: { "X-Mobile-Token": phone } }),
  });
}

test("the phone of a user is remembered, and forgotten", async () => {
  const path = "/api/user/mobile/session";
  expect((await call("POST", path, { phone: "a", body: { fcmTokenTimestamp: 5 } })).status).toBe(200);
  expect((await call("GET", path, { phone: "a" })).json).toEqual({ fcmTokenTimestamp: 5 });
  expect((await call("DELETE", path, { phone: "a", body: {} })).status).toBe(200);
  expect(await call("GET", path, { phone: "a" })).toMatchObject({ status: 200, text: "" });
  expect(edge.changes).toEqual([]);
});

test("messages at a node that is debugged are listed, its newest input is there for its script", async () => {
  const nodeId = createUuid(clock, random);
  const originator = { type: "DEVICE", id: createUuid(clock, random) };
  const message = {
    id: createUuid(clock, random),
    type: "POST_TELEMETRY_REQUEST",
    originator,
    data: '{"t":1}',
    metadata: { ts: "5" },
  };
  const event = { createdMs: clock.nowMs(), nodeId, message, relation: null, error: null };
  const out = {
    ...event,
    id: createUuid(clock, random),
    direction: "OUT",
    relation: "Failure",
    error: "no good",
  } as const;
  edge.debugEvents.push(out, { ...event, id: createUuid(clock, random), direction: "IN" });
  const path = `/api/events/RULE_NODE/${nodeId}`;
  const body = {
    type: "IN",
    entityId: originator.id,
    msgType: "POST_TELEMETRY_REQUEST",
    data: '{"t":1}',
    metadata: '{"ts":"5"}',
  };
  expect((await call("GET", `${path}/DEBUG_RULE_NODE?pageSize=1&page=0`)).json).toMatchObject({
    totalElements: 2,
    hasNext: true,
    data: [
      {
        entityId: { entityType: "RULE_NODE", id: nodeId },
        type: "DEBUG_RULE_NODE",
        body: { ...body, type: "OUT", relationType: "Failure", error: "no good" },
      },
    ],
  });
  expect((await call("GET", `${path}/ERROR?pageSize=1&page=0`)).json).toMatchObject({ totalElements: 0 });
  expect((await call("GET", `/api/ruleNode/${nodeId}/debugIn`)).json).toMatchObject({ ...body, error: null });
  await call("POST", `${path}/clear`, { body: { eventType: "DEBUG_RULE_NODE" } });
  expect((await call("GET", `/api/ruleNode/${nodeId}/debugIn`)).json).toEqual({});
});

describe("events", () => {
  const page = "pageSize=10&page=0";

  test("of entities and of the edge itself are lists without any", async () => {
    const device = await call("POST", "/api/device", { body: { name: "Pump" } });
    const { id } = (device.json as unknown as { readonly id: { readonly id: Uuid } }).id;
    for (const ref of [`DEVICE/${id}`, `EDGE/${edgeId}`]) {
      expect((await call("GET", `/api/events/${ref}/LC_EVENT?${page}`)).json).toMatchObject({
        data: [],
        totalElements: 0,
      });
      const filtered = await call("POST", `/api/events/${ref}?${page}`, { body: { eventType: "ERROR" } });
      expect(filtered.json).toMatchObject({ data: [] });
      expect((await call("POST", `/api/events/${ref}/clear`, { body: {} })).status).toBe(200);
    }
  });

  test("of what is not here answer 404", async () => {
    expect((await call("GET", `/api/events/DEVICE/${NULL_UUID}/LC_EVENT?${page}`)).status).toBe(404);
  });
});

test("/api/system/info names the edge", async () => {
  const { json } = await call("GET", "/api/system/info");
  expect(json).toEqual({ version: "0.0.0", artifact: "skerry-edge", name: "Skerry", type: "CE" });
});

test.each(["/api/audit/logs?pageSize=1&page=0", "/api/tenants?pageSize=1&page=0", "/api/edges?pageSize=1&page=0"])(
  "%s is asked for in the cloud, and the answer says so",
  async (path) => {
    const { json } = await call("GET", path);
    expect(json).toMatchObject({ status: 404, errorCode: 32 });
    expect(json?.["message"]).toContain("in the cloud");
  },
);

describe("attributes of the edge itself", () => {
  const path = `/api/plugins/telemetry/EDGE/${edgeId}`;

  test("say up to where its events have arrived in the cloud", async () => {
    const { sql } = edge.database;
    const read = async () => (await call("GET", `${path}/values/attributes/SERVER_SCOPE`)).json;
    expect(await read()).toEqual([{ key: "queueStartSeqId", value: 0, lastUpdateTs: 0 }] as never);
    for (const [seq, ms] of [
      [1, 1000],
      [2, 2000],
      [3, 3000],
    ] as const) {
      await sql`insert into cloud_event (lane, first_seq, last_seq, created_ms, action, config_seq, compression, payload)
        values ('config', ${seq}, ${seq}, ${ms}, 'UPDATED', 0, 'none', '')`;
    }
    await sql`
      insert into uplink_cursor (lane, acked_seq) values ('config', 2)
      on conflict (lane) do update set acked_seq = excluded.acked_seq`;
    expect(await read()).toEqual([
      { key: "queueStartTs", value: 2000, lastUpdateTs: 2000 },
      { key: "queueStartSeqId", value: 2, lastUpdateTs: 2000 },
    ] as never);
  });

  test("can't be saved here", async () => {
    const refused = await call("POST", `${path}/SERVER_SCOPE`, { body: { a: 1 } });
    expect(refused.json).toMatchObject({ status: 400, errorCode: 31 });
    expect((await call("GET", `/api/plugins/telemetry/EDGE/${NULL_UUID}/values/attributes`)).status).toBe(404);
  });
});
