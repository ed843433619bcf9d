import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sql } from "drizzle-orm";
import { ensureLocalAdmin } from "../../edge/store/first-start.ts";
import { readSite, saveSite } from "../../edge/store/site-store.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { keepNewestAudit, withCallerWork } from "../../shared/store/audit-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import type { Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
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

test("who changed what on the edge is in its audit log, with what failed, and what nobody asked for is not", async () => {
  const page = "pageSize=100&page=0&sortOrder=DESC";
  const read = async (path: string): Promise<readonly Record<string, unknown>[]> =>
    ((await call("GET", `/api/audit/logs${path}?${page}`)).json as { data: Record<string, unknown>[] }).data;
  expect((await call("GET", "/api/tenant/dashboard/home/info")).json).toEqual({
    dashboardId: null,
    hideDashboardToolbar: true,
  });
  // The profile that comes with the first device.
  await call("POST", "/api/device", { body: { name: "Before" } });
  const before = await read("");
  const made = await call("POST", "/api/device", { body: { name: "Audited" } });
  const device = made.json as unknown as { id: { id: Uuid }; name: string };
  const { id } = device.id;
  await call("POST", "/api/device", { body: { ...device, label: "L" } });
  await call("POST", `/api/plugins/telemetry/DEVICE/${id}/SHARED_SCOPE`, { body: { limit: 3 } });
  await call("POST", "/api/device", { body: { name: "Audited" } });
  await edge.unitOfWork.run(async (tx) => {
    const entity = { type: "DEVICE", id };
    const readings = [{ key: "own", value: "1" as CanonicalJson }];
    return saveAttributes(tx, { entity, scope: "CLIENT_SCOPE", readings, nowMs: clock.nowMs() });
  });
  const entries = await read("");
  expect(entries.slice(0, -before.length).map(({ actionType, actionStatus }) => [actionType, actionStatus])).toEqual([
    ["ADDED", "FAILURE"],
    ["ATTRIBUTES_UPDATED", "SUCCESS"],
    ["UPDATED", "SUCCESS"],
    ["CREDENTIALS_UPDATED", "SUCCESS"],
    ["ADDED", "SUCCESS"],
  ]);
  expect(entries[1]).toMatchObject({
    entityId: device.id,
    entityName: "Audited",
    userName: "local@example.com",
    actionData: { after: { key: "limit", value: 3 } },
  });
  expect(await read(`/entity/DEVICE/${id}`)).toHaveLength(4);
  const { userId } = entries[1] as { userId: { id: Uuid } };
  expect((await read(`/user/${userId.id}`)).length).toBe(entries.length);
  expect(await keepNewestAudit(edge.database.db, 2)).toBe(entries.length - 2);
  expect(await read("")).toEqual(entries.slice(0, 2));
  expect(await keepNewestAudit(edge.database.db, 2)).toBe(0);
  await call("DELETE", `/api/device/${id}`);
  edge.changes.splice(0);
});

test("who signed in and out on the edge, who failed to and whose account was locked is in its audit log", async () => {
  const email = "local@example.com";
  const sign = (password: string) =>
    edge.request("POST", "/api/auth/login", { body: { username: email, password }, token: null });
  const other = await signIn(edge.api, email);
  expect((await edge.request("POST", "/api/auth/logout", { token: other })).status).toBe(200);
  for (let n = 0; n < 10; n += 1) expect((await sign("wrong")).status).toBe(401);
  expect((await sign(PASSWORD)).json?.["message"]).toBe("User account is locked due to security policy");
  const read = async (): Promise<readonly Record<string, unknown>[]> => {
    const page = "pageSize=1000&page=0&sortOrder=DESC&actionTypes=LOGIN,LOGOUT,LOCKOUT";
    return ((await call("GET", `/api/audit/logs?${page}`)).json as { data: Record<string, unknown>[] }).data;
  };
  const entries = await read();
  expect(entries.slice(0, 13).map(({ actionType, actionStatus }) => [actionType, actionStatus])).toEqual([
    ["LOCKOUT", "SUCCESS"],
    ...Array.from({ length: 10 }, () => ["LOGIN", "FAILURE"]),
    ["LOGOUT", "SUCCESS"],
    ["LOGIN", "SUCCESS"],
  ]);
  expect(entries[1]).toMatchObject({ entityName: email, actionFailureDetails: "Invalid username or password" });
  // Guessing on is refused as before, and pushes nothing else out of the log.
  for (let minute = 0; minute < 12; minute += 1) {
    clock.advance(61_000);
    for (let n = 0; n < 10; n += 1) await sign("wrong");
  }
  const failed = (await read()).filter(
    ({ actionStatus, actionType }) => actionStatus === "FAILURE" || actionType === "LOCKOUT",
  );
  expect(failed.length).toBeLessThanOrEqual(100 + 13);
  clock.advance(61_000);
  expect((await sign(PASSWORD)).status).toBe(200);
  token = await signIn(edge.api, email);
  edge.changes.splice(0);
});

test("withCallerWork() leaves what follows in the same transaction to nobody", async () => {
  const { db } = edge.database;
  const [entry] = (
    (await call("GET", "/api/audit/logs?pageSize=1&page=0")).json as { data: { userId: { id: Uuid } }[] }
  ).data;
  const { tenantId } = await readSite(db);
  const caller = { userId: entry?.userId.id ?? NULL_UUID, tenantId };
  const names = await db.transaction(async (tx) => {
    const grouped: UnitOfWork = { run: async (work) => (await work(tx)).result };
    const save = (name: string) => (inner: Queryable) =>
      saveDevice(inner, { clock, random }, { tenantId, input: { name } });
    await withCallerWork(grouped, { clock, current: () => caller }).run(save("Of a caller"));
    await grouped.run(save("Of nobody"));
    const rows = await tx.execute<{ entity_name: string }>(sql`
      select distinct entity_name from audit_log where entity_name like 'Of %'`);
    return rows.map((row) => row.entity_name);
  });
  expect(names).toEqual(["Of a caller"]);
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

test.each(["/api/tenants?pageSize=1&page=0", "/api/edges?pageSize=1&page=0"])(
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
