import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { serveHttp, type HttpServer } from "../../shared/runtime/http-server.ts";
import { connectLive, type LiveClient } from "../support/live-client.ts";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: Awaited<ReturnType<typeof addCustomerUser>>;
let server: HttpServer;
let names = 0;
const stop = new AbortController();
let running: Promise<void>;
const clients: LiveClient[] = [];

beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
  const { api } = cloud;
  server = serveHttp({
    host: "127.0.0.1",
    port: 0,
    fetch: (request) => api.fetch(request),
    openSocket: (request) => api.live.openSocket(request),
  });
  running = api.live.run(stop.signal);
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client[Symbol.asyncDispose]();
});
afterAll(async () => {
  stop.abort(new Error("The test ends"));
  await running;
  cloud.api.live.close();
  await server.close(0);
  await cloud[Symbol.asyncDispose]();
});

async function connect(path = "/api/ws"): Promise<LiveClient> {
  const client = await connectLive(`${server.url}${path}`);
  clients.push(client);
  return client;
}

/** Signed in as the first tenant's administrator. */
async function signedIn(token = cloud.first.token): Promise<LiveClient> {
  const client = await connect();
  client.send({ authCmd: { cmdId: 0, token } });
  return client;
}

async function newDevice(): Promise<{ id: string; path: string }> {
  names += 1;
  const device = await cloud.call<{ id: { id: string } }>("POST", "/api/device", { name: `Live ${names}` });
  const { id } = device.id;
  return { id, path: `/api/plugins/telemetry/DEVICE/${id}` };
}

const subscription = (type: string, entityId: string, more: object = {}) => ({
  cmds: [{ type, cmdId: 7, entityType: "DEVICE", entityId, ...more }],
});

describe("/api/ws sign-in", () => {
  test.each([
    ["a wrong token", { authCmd: { cmdId: 0, token: "nonsense" } }, /Authentication failed|Token has expired/],
    ["a command before the sign-in", { cmds: [{ type: "TIMESERIES", cmdId: 1 }] }, /Not signed in/],
  ])("closes with 1008 after %s", async (_, message, reason) => {
    const client = await connect();
    client.send(message);
    const end = await client.closed;
    expect(end.code).toBe(1008);
    expect(end.reason).toMatch(reason);
  });

  test("closes with 1008 when it does not come within 10 s", async () => {
    const client = await connect();
    cloud.clock.advance(10_001);
    expect(await client.closed).toEqual({ code: 1008, reason: "Not signed in within 10 s" });
  });

  test("takes a token in the address, and an API key in the first message", async () => {
    const { id } = await newDevice();
    const byAddress = await connect(`/api/ws/plugins/telemetry?token=${cloud.first.token}`);
    byAddress.send({ tsSubCmds: [{ cmdId: 3, entityType: "DEVICE", entityId: id, scope: "LATEST_TELEMETRY" }] });
    expect(await byAddress.next()).toMatchObject({ subscriptionId: 3, errorCode: 0, data: {} });
    const me = await cloud.call<{ id: object }>("GET", "/api/auth/user");
    const { value } = await cloud.call<{ value: string }>("POST", "/api/apiKey", { userId: me.id, description: "ws" });
    const byKey = await connect();
    byKey.send({ authCmd: { cmdId: 0, apiKey: value }, ...subscription("ATTRIBUTES", id) });
    expect(await byKey.next()).toMatchObject({ subscriptionId: 7, errorCode: 0, data: {} });
  });

  test("ends with the session of its token", async () => {
    const { id } = await newDevice();
    const login = await cloud.call<{ token: string }>("POST", "/api/auth/login", {
      username: cloud.first.email,
      password: "correct horse",
    });
    const client = await signedIn(login.token);
    client.send(subscription("TIMESERIES", id));
    await client.next();
    await cloud.request("POST", "/api/auth/logout", { token: login.token, body: {} });
    cloud.clock.advance(60_001);
    expect((await client.closed).code).toBe(1008);
  });
});

describe("/api/ws TIMESERIES", () => {
  test("tells the newest values, then each new one, and nothing after the end of the subscription", async () => {
    const { id, path } = await newDevice();
    await cloud.call("POST", `${path}/timeseries/ANY`, { ts: 1000, values: { a: 1, b: "x", c: 9 } });
    const client = await signedIn();
    client.send(subscription("TIMESERIES", id, { keys: "a,b", scope: "LATEST_TELEMETRY" }));
    expect(await client.next()).toEqual({
      subscriptionId: 7,
      errorCode: 0,
      errorMsg: null,
      data: { a: [[1000, "1"]], b: [[1000, "x"]] },
      latestValues: { a: 1000, b: 1000 },
    });
    await cloud.call("POST", `${path}/timeseries/ANY`, { ts: 2000, values: { a: 2.5, c: 1 } });
    expect(await client.next()).toMatchObject({ subscriptionId: 7, data: { a: [[2000, "2.5"]] } });
    client.send(subscription("TIMESERIES", id, { unsubscribe: true }));
    await cloud.call("POST", `${path}/timeseries/ANY`, { ts: 3000, values: { a: 3 } });
    client.send({ cmds: [{ type: "TIMESERIES", cmdId: 8, entityType: "DEVICE", entityId: id, keys: "a" }] });
    expect(await client.next()).toMatchObject({ subscriptionId: 8, data: { a: [[3000, "3"]] } });
    for (const ts of [4000, 5000]) {
      await cloud.call("POST", `${path}/timeseries/ANY`, { ts, values: { a: ts } });
      expect(await client.next()).toMatchObject({ subscriptionId: 8, data: { a: [[ts, String(ts)]] } });
    }
  });

  test("with a window tells its history, then every point that came", async () => {
    const { id, path } = await newDevice();
    const points = (times: readonly number[]) => times.map((ts) => ({ ts, values: { a: ts } }));
    await cloud.call("POST", `${path}/timeseries/ANY`, points([1000, 2000, 3000]));
    const client = await signedIn();
    client.send(subscription("TIMESERIES", id, { keys: "a", startTs: 1500, timeWindow: 10_000 }));
    expect(await client.next()).toMatchObject({
      data: {
        a: [
          [3000, "3000"],
          [2000, "2000"],
        ],
      },
    });
    await cloud.call("POST", `${path}/timeseries/ANY`, points([4000, 5000, 6000]));
    expect(await client.next()).toMatchObject({
      data: {
        a: [
          [6000, "6000"],
          [5000, "5000"],
          [4000, "4000"],
        ],
      },
    });
  });
});

test("/api/ws ATTRIBUTES tells those of the scope, then each that changes", async () => {
  const { id, path } = await newDevice();
  await cloud.call("POST", `${path}/SHARED_SCOPE`, { limit: 1 });
  await cloud.call("POST", `${path}/SERVER_SCOPE`, { site: "N" });
  const client = await signedIn();
  client.send(subscription("ATTRIBUTES", id, { scope: "SHARED_SCOPE" }));
  expect(await client.next()).toMatchObject({ subscriptionId: 7, data: { limit: [[expect.any(Number), "1"]] } });
  await cloud.call("POST", `${path}/SERVER_SCOPE`, { site: "S" });
  await cloud.call("POST", `${path}/SHARED_SCOPE`, { limit: 2, more: true });
  const { data } = await client.next<{ data: Record<string, [number, string][]> }>();
  expect(Object.fromEntries(Object.entries(data).map(([key, points]) => [key, points[0]?.[1]]))).toEqual({
    limit: "2",
    more: "true",
  });
});

test("/api/ws TIMESERIES_HISTORY answers once, aggregated", async () => {
  const { id, path } = await newDevice();
  await cloud.call("POST", `${path}/timeseries/ANY`, [
    { ts: 1000, values: { a: 1 } },
    { ts: 1500, values: { a: 2 } },
  ]);
  const client = await signedIn();
  const range = { startTs: 1000, endTs: 2000, interval: 1000 };
  client.send(subscription("TIMESERIES_HISTORY", id, { keys: "a", agg: "AVG", ...range }));
  expect(await client.next()).toMatchObject({ subscriptionId: 7, data: { a: [[1500, "1.5"]] } });
});

test("/api/ws tells of an edge whether it is connected, as its attributes over REST do", async () => {
  const { id } = await cloud.call<{ id: { id: string } }>("POST", "/api/edge", { name: "Live edge" });
  const client = await signedIn();
  client.send({ cmds: [{ type: "ATTRIBUTES", cmdId: 1, entityType: "EDGE", entityId: id.id, keys: "active" }] });
  expect(await client.next()).toMatchObject({ data: { active: [[expect.any(Number), "false"]] } });
});

describe("/api/ws ENTITY_DATA", () => {
  const level = { type: "TIME_SERIES", key: "level" };
  const query = (name: string) => ({
    entityFilter: { type: "entityName", entityType: "DEVICE", entityNameFilter: name },
    pageLink: { pageSize: 10, page: 0, sortOrder: { key: { type: "ENTITY_FIELD", key: "name" }, direction: "ASC" } },
    entityFields: [{ type: "ENTITY_FIELD", key: "name" }],
    latestValues: [],
  });
  const data = (more: object) => ({ cmds: [{ type: "ENTITY_DATA", cmdId: 4, ...more }] });

  test("tells a page of entities, then what changes of what was asked for, until it is unsubscribed", async () => {
    const { id, path } = await newDevice();
    const name = `Live ${names}`;
    await cloud.call("POST", `${path}/timeseries/ANY`, { ts: 1000, values: { level: 1 } });
    const client = await signedIn();
    const keys = [level, { type: "SERVER_ATTRIBUTE", key: "on" }];
    client.send(data({ query: query(name), latestCmd: { keys } }));
    const entityId = { entityType: "DEVICE", id };
    const timeOf = expect.any(Number);
    expect(await client.next()).toEqual({
      cmdId: 4,
      cmdUpdateType: "ENTITY_DATA",
      data: {
        data: [
          {
            entityId,
            latest: {
              ENTITY_FIELD: { name: { ts: 0, value: name } },
              TIME_SERIES: { level: { ts: 1000, value: "1" } },
              SERVER_ATTRIBUTE: { on: { ts: 0, value: "" } },
            },
            timeseries: {},
            aggLatest: {},
          },
        ],
        totalPages: 1,
        totalElements: 1,
        hasNext: false,
      },
      update: null,
      errorCode: 0,
      errorMsg: null,
      allowedEntities: 1024,
    });
    await cloud.call("POST", `${path}/timeseries/ANY`, { ts: 2000, values: { level: 2, other: 1 } });
    expect(await client.next()).toMatchObject({
      data: null,
      update: [{ entityId, latest: { TIME_SERIES: { level: { ts: 2000, value: "2" } } } }],
    });
    await cloud.call("POST", `${path}/SHARED_SCOPE`, { on: true });
    await cloud.call("POST", `${path}/SERVER_SCOPE`, { on: true });
    expect(await client.next()).toMatchObject({
      update: [{ entityId, latest: { SERVER_ATTRIBUTE: { on: { ts: timeOf, value: "true" } } } }],
    });
    client.send({ cmds: [{ type: "ENTITY_DATA_UNSUBSCRIBE", cmdId: 4 }] });
    await cloud.call("POST", `${path}/timeseries/ANY`, { ts: 3000, values: { level: 3 } });
    client.send(subscription("TIMESERIES", id, { keys: "level" }));
    expect(await client.next()).toMatchObject({ subscriptionId: 7 });
    // Both would be told by the same look.
    for (const ts of [4000, 5000]) {
      await cloud.call("POST", `${path}/timeseries/ANY`, { ts, values: { level: ts } });
      expect(await client.next()).toMatchObject({ subscriptionId: 7, data: { level: [[ts, String(ts)]] } });
    }
  });

  test("with a window tells its points and each that follows; the same number without a query changes it", async () => {
    const { path } = await newDevice();
    const points = (times: readonly number[]) => times.map((ts) => ({ ts, values: { level: ts } }));
    await cloud.call("POST", `${path}/timeseries/ANY`, points([1000, 2000]));
    const client = await signedIn();
    client.send(data({ query: query(`Live ${names}`) }));
    expect(await client.next()).toMatchObject({ data: { totalElements: 1 }, update: null });
    client.send(
      data({ query: null, tsCmd: { keys: ["level"], startTs: 0, timeWindow: 10_000, interval: 0, limit: 10 } }),
    );
    const at = (ts: number) => ({ ts, value: String(ts) });
    expect(await client.next()).toMatchObject({
      data: null,
      update: [{ timeseries: { level: [at(2000), at(1000)] } }],
    });
    await cloud.call("POST", `${path}/timeseries/ANY`, points([3000, 4000]));
    expect(await client.next()).toMatchObject({ update: [{ timeseries: { level: [at(4000), at(3000)] } }] });
    const historyCmd = { keys: ["level"], startTs: 1000, endTs: 3000, agg: "SUM", interval: 2000 };
    client.send(data({ query: query(`Live ${names}`), historyCmd }));
    expect(await client.next()).toMatchObject({
      data: { data: [{ timeseries: { level: [{ ts: 2000, value: "3000" }] } }] },
    });
  });

  test("refuses a change of nothing, and finds nothing of another tenant", async () => {
    await newDevice();
    const client = await signedIn();
    client.send(data({ query: null }));
    expect(await client.next()).toEqual({
      cmdId: 4,
      cmdUpdateType: "ENTITY_DATA",
      errorCode: 2,
      errorMsg: "The query should be specified!",
    });
    const other = await signedIn(cloud.second.token);
    other.send(data({ query: query("Live") }));
    expect(await other.next()).toMatchObject({ data: { totalElements: 0, data: [] } });
  });
});

test("/api/ws ends what the caller may no longer read, and tells a page anew once others are on it", async () => {
  const { customerId, token } = customer;
  const [one, other] = [await newDevice(), await newDevice()];
  const give = (method: string, id: string) =>
    cloud.call(method, method === "POST" ? `/api/customer/${customerId}/device/${id}` : `/api/customer/device/${id}`);
  await give("POST", one.id);
  const client = await signedIn(token);
  client.send(subscription("TIMESERIES", one.id, { keys: "a" }));
  expect(await client.next()).toMatchObject({ subscriptionId: 7, errorCode: 0 });
  const entityFilter = { type: "entityType", entityType: "DEVICE" };
  const query = { entityFilter, pageLink: { pageSize: 10, page: 0 } };
  client.send({ cmds: [{ type: "ENTITY_DATA", cmdId: 4, query }] });
  expect(await client.next()).toMatchObject({ cmdId: 4, data: { data: [{ entityId: { id: one.id } }] } });
  await give("DELETE", one.id);
  await give("POST", other.id);
  cloud.clock.advance(60_001);
  expect(await client.next()).toMatchObject({ subscriptionId: 7, errorCode: 3 });
  expect(await client.next()).toMatchObject({ cmdId: 4, data: { data: [{ entityId: { id: other.id } }] } });
  await cloud.call("POST", `${one.path}/timeseries/ANY`, { ts: 1000, values: { a: 1 } });
  client.send(subscription("TIMESERIES", other.id, { keys: "a" }));
  expect(await client.next()).toMatchObject({ subscriptionId: 7, errorCode: 0, data: {} });
});

test("/api/ws ENTITY_COUNT tells a count, and each that follows", async () => {
  const entityFilter = { type: "entityName", entityType: "DEVICE", entityNameFilter: "Counted" };
  const client = await signedIn();
  client.send({ cmds: [{ type: "ENTITY_COUNT", cmdId: 5, query: { entityFilter } }] });
  expect(await client.next()).toMatchObject({ cmdId: 5, cmdUpdateType: "COUNT_DATA", count: 0 });
  await cloud.call("POST", "/api/device", { name: "Counted 1" });
  cloud.clock.advance(10_001);
  expect(await client.next()).toMatchObject({ cmdId: 5, count: 1 });
});

test("/api/ws ALARM_DATA and ALARM_COUNT tell alarms of entities, then what changes of them", async () => {
  const { id } = await newDevice();
  const originator = { entityType: "DEVICE", id };
  const entityFilter = { type: "singleEntity", singleEntity: originator };
  const client = await signedIn();
  const query = { entityFilter, pageLink: { pageSize: 10, page: 0 } };
  client.send({ cmds: [{ type: "ALARM_DATA", cmdId: 6, query }] });
  const empty = { data: [], totalElements: 0 };
  expect(await client.next()).toMatchObject({ cmdId: 6, cmdUpdateType: "ALARM_DATA", data: empty, update: null });
  const alarm = { originator, type: "Watched", severity: "MAJOR" };
  const raised = await cloud.call<{ id: { id: string } }>("POST", "/api/alarm", alarm);
  cloud.clock.advance(1_001);
  expect(await client.next()).toMatchObject({ cmdId: 6, data: { data: [{ id: raised.id, entityId: originator }] } });
  await cloud.call("POST", `/api/alarm/${raised.id.id}/ack`);
  cloud.clock.advance(1_001);
  expect(await client.next()).toMatchObject({
    cmdId: 6,
    data: null,
    update: [{ id: raised.id, status: "ACTIVE_ACK" }],
  });
  client.send({ cmds: [{ type: "ALARM_DATA_UNSUBSCRIBE", cmdId: 6 }] });
  client.send({ cmds: [{ type: "ALARM_COUNT", cmdId: 8, query: { entityFilter, statusList: ["ACTIVE"] } }] });
  expect(await client.next()).toMatchObject({ cmdId: 8, cmdUpdateType: "ALARM_COUNT_DATA", count: 1 });
  await cloud.call("POST", `/api/alarm/${raised.id.id}/clear`);
  cloud.clock.advance(1_001);
  expect(await client.next()).toMatchObject({ cmdId: 8, count: 0 });
});

describe("/api/ws refuses", () => {
  test.each([
    ["{", "Failed to parse the payload", 2],
    ['{"cmds":[{"type":"DANCE","cmdId":1}]}', "Unsupported command DANCE", 2],
    ['{"cmds":[{"type":"TIMESERIES","cmdId":1,"entityType":"DEVICE","entityId":"x"}]}', "Invalid UUID string", 2],
    [
      '{"cmds":[{"type":"TIMESERIES","cmdId":1,"entityType":"THING","entityId":"784f394c-42b6-435a-983c-b7beff2784f9"}]}',
      "Unsupported entity type",
      2,
    ],
    [
      '{"cmds":[{"type":"ATTRIBUTES","cmdId":1,"entityType":"DEVICE","entityId":"784f394c-42b6-435a-983c-b7beff2784f9"}]}',
      "Device with id",
      3,
    ],
  ])("%s and goes on", async (message, text, errorCode) => {
    const client = await signedIn();
    client.send(message);
    const answer = await client.next();
    expect(answer["errorCode"]).toBe(errorCode);
    expect(answer["errorMsg"]).toStartWith(text);
    const { id } = await newDevice();
    client.send(subscription("TIMESERIES", id));
    expect(await client.next()).toMatchObject({ subscriptionId: 7, errorCode: 0 });
  });

  test("what belongs to another tenant or another customer", async () => {
    const { id } = await newDevice();
    for (const other of [cloud.second.token, customer.token]) {
      const client = await signedIn(other);
      for (const type of ["TIMESERIES", "ATTRIBUTES", "TIMESERIES_HISTORY"]) {
        client.send(subscription(type, id, { keys: "a", startTs: 0, endTs: 1 }));
        expect(await client.next()).toMatchObject({ errorCode: 3, errorMsg: `Device with id [${id}] is not found` });
      }
    }
  });

  test("messages above 32,768 bytes, with 1009", async () => {
    const client = await signedIn();
    client.send({ cmds: [], more: "x".repeat(33_000) });
    expect((await client.closed).code).toBe(1009);
  });

  test("binary messages, with 1003", async () => {
    const client = await signedIn();
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/api/ws`);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
    socket.send(new Uint8Array([1]));
    expect((await closed).code).toBe(1003);
    client.send({ cmds: [] });
  });

  test("paths that are none of it", async () => {
    await expect(connectLive(`${server.url}/api/wss`)).rejects.toThrow();
    expect((await cloud.request("GET", "/api/ws")).status).toBe(404);
  });
});
