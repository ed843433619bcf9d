import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { readEdgeSettings } from "../../cloud/store/edge-settings.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { createEdgeNotificationJob } from "../../edge/run-notifications.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { saveSettings, saveSite } from "../../edge/store/site-store.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { createNotificationJob } from "../../shared/notifications/job.ts";
import { createNotificationSender } from "../../shared/notifications/sender.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createTransports } from "../../shared/runtime/notification-transports.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { clearAlarm, saveAlarm } from "../../shared/store/alarm-edits.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { createNotificationJobStore } from "../../shared/store/notification-store.ts";
import { settingsFrom, settingsMessage } from "../../shared/wire/greeting-codec.ts";
import { createTestBlobs, type TestDatabase } from "../support/postgres.ts";
import { createTestClock, type TestClock } from "../support/test-clock.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { openTestSession } from "../support/test-site.ts";

const SECRET = "a secret of the receiver";
const OFFLINE_MS = 30_000;
const SENDING = { mailFrom: "edge@example.com", smtpUrl: null };

interface Hook {
  readonly id: string | null;
  readonly type: string;
  readonly rule: string;
}

let cloud: TestCloud;
let receiver: Bun.Server<undefined>;
let hooks: Hook[] = [];
/** What the receiver answers next; 200 when there is nothing. */
let answers: number[] = [];
let clock: TestClock;
let edge: Edge;
let alarms = 0;

interface Edge {
  readonly id: Uuid;
  readonly database: TestDatabase;
  readonly origin: { readonly storeId: Uuid; readonly session: number };
  stores: EdgeStores;
  deviceId: Uuid;
  sent: number;
  stop: () => Promise<void>;
}

beforeAll(async () => {
  cloud = await startTestCloud();
  receiver = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      const body = (await request.json()) as {
        readonly type: string;
        readonly data: { readonly rule: { name: string } };
      };
      hooks.push({ id: request.headers.get("webhook-id"), type: body.type, rule: body.data.rule.name });
      return new Response("", { status: answers.shift() ?? 200 });
    },
  });
});
afterAll(async () => {
  await receiver.stop(true);
  await cloud[Symbol.asyncDispose]();
});
beforeEach(async () => {
  hooks = [];
  answers = [];
  clock = createTestClock();
  edge = await createEdge();
});
afterEach(async () => {
  await edge.stop();
  const { data } = await cloud.call<{ readonly data: readonly { readonly id: { readonly id: Uuid } }[] }>(
    "GET",
    "/api/notification/rules?pageSize=100&page=0",
  );
  for (const { id } of data) await cloud.call("DELETE", `/api/notification/rule/${id.id}`);
});

async function startStores(database: TestDatabase): Promise<Pick<Edge, "stores" | "stop">> {
  const stores = await openEdgeStores({
    database: { connection: database.connection, subscribe: () => () => undefined },
    migrations: MIGRATIONS,
    clock,
    random,
    log: silentLog,
    createHasher: createSha256,
    blobBytesMax: 1,
    openScriptSandbox,
    onOutbox: () => undefined,
    notifications: { hasMail: false, offlineMs: OFFLINE_MS },
  });
  const stop = new AbortController();
  const running = stores.groupCommit.runLoop(stop.signal);
  return {
    stores,
    stop: async () => {
      stop.abort();
      await running;
      await stores[Symbol.asyncDispose]();
    },
  };
}

async function createEdge(): Promise<Edge> {
  const name = `Edge ${createUuid(clock, random)}`;
  const record = await cloud.call<{ id: { id: Uuid }; routingKey: string; secret: string }>("POST", "/api/edge", {
    name,
  });
  const database = await cloud.createEdgeDatabase();
  const storeId = createUuid(clock, random);
  const session = await openTestSession(cloud, { record, name, storeId });
  const { tenantId } = cloud.first;
  const opened = await startStores(database);
  const { groupCommit } = opened.stores;
  const site = { edgeId: record.id.id, tenantId, name, type: "default", cloudId: storeId, downlinkApplied: 0 };
  await groupCommit.run(async (tx) => ({ result: await saveSite(tx, site), changes: [] }));
  const device = await groupCommit.run((tx) => saveDevice(tx, { clock, random }, { tenantId, input: { name } }));
  return { ...opened, id: record.id.id, database, origin: { storeId, session }, deviceId: device.id, sent: 0 };
}

async function restart(): Promise<void> {
  await edge.stop();
  edge = { ...edge, ...(await startStores(edge.database)) };
}

/** As the session tells them. */
async function hearSettings(): Promise<void> {
  const settings = await readEdgeSettings(cloud.database.db, edge.id);
  const heard = settingsFrom({ $typeName: "skerry.sync.v1.Settings", ...settingsMessage(settings) });
  await edge.stores.groupCommit.run(async (tx) => ({ result: await saveSettings(tx, heard), changes: [] }));
  edge.stores.notifications.noteSettings();
  const stop = new AbortController();
  const running = edge.stores.notifications.run(() => Promise.resolve(stop.abort()), stop.signal);
  await running;
}

function rule(more: object = {}) {
  return cloud.call("POST", "/api/notification/rule", {
    name: "By edges",
    transitions: ["CREATED", "CLEARED"],
    target: { type: "WEBHOOK", url: `http://127.0.0.1:${receiver.port}/hook`, secret: SECRET },
    fromEdges: true,
    ...more,
  });
}

async function raise(): Promise<Uuid> {
  alarms += 1;
  const { tenantId } = cloud.first;
  const input = {
    type: `Hot ${alarms}`,
    originator: { type: "DEVICE", id: edge.deviceId },
    severity: "MAJOR",
  } as const;
  const alarm = await edge.stores.groupCommit.run((tx) =>
    saveAlarm(tx, { clock, random }, { tenantId, input, actor: null }),
  );
  return alarm.id;
}

async function clear(alarmId: Uuid): Promise<void> {
  const key = { alarmId, actor: null, tenantId: cloud.first.tenantId };
  await edge.stores.groupCommit.run((tx) => clearAlarm(tx, { clock, random }, key));
}

/** Everything that waits in the outbox of the edge. */
async function up(): Promise<void> {
  const rows = await edge.database.sql<{ first_seq: string; compression: "none"; payload: Uint8Array }[]>`
    select first_seq, compression, payload from cloud_event
    where lane = 'config' and first_seq > ${edge.sent} order by first_seq`;
  for (const { compression, first_seq: seq, payload } of rows) {
    edge.sent = Number(seq);
    const batch = { type: "batch", lane: "config", firstSeq: edge.sent, count: 1, compression, payload } as const;
    const { tenantId } = cloud.first;
    const origin = {
      ...edge.origin,
      edgeId: edge.id,
      lane: "config",
      tenantId,
      edgeName: "",
      cloudVersion: "",
    } as const;
    const deps = { clock, random, blobs: createTestBlobs(cloud.database) };
    const { rejections } = await applyUplink(cloud.database.db, deps, { origin, batches: [batch] });
    expect(rejections).toEqual([]);
  }
}

function sendFromEdge(): Promise<void> {
  return createEdgeNotificationJob(SENDING, { db: edge.stores.db, clock, random, log: silentLog }).sendDue();
}

function sendFromCloud(): Promise<void> {
  const send = createNotificationSender(createTransports(SENDING), { clock });
  const store = createNotificationJobStore(cloud.database.db);
  return createNotificationJob({ store, send, clock, random, log: silentLog }).sendDue();
}

async function states(): Promise<readonly string[]> {
  const { data } = await cloud.call<{ readonly data: readonly { id: string; transition: string; state: string }[] }>(
    "GET",
    "/api/notification/deliveries?pageSize=100&page=0",
  );
  return data.map(({ state, transition }) => `${transition} ${state}`).toSorted();
}

test("an edge without a link tells, restarted or not, and the cloud does not tell again", async () => {
  await rule();
  await rule({ name: "By the cloud", fromEdges: false, transitions: ["CREATED"] });
  await hearSettings();
  clock.advance(OFFLINE_MS);
  await raise();
  await restart();
  answers = [503];
  await sendFromEdge();
  expect(hooks).toMatchObject([{ type: "alarm.created", rule: "By edges" }]);
  clock.advance(3_600_000);
  await restart();
  await sendFromEdge();
  await sendFromEdge();
  expect(hooks).toHaveLength(2);
  expect(hooks[1]?.id).toBe(hooks[0]?.id ?? "");

  edge.stores.notifications.noteLink(true);
  await up();
  expect(await states()).toEqual(["CREATED LEFT_TO_EDGE", "CREATED QUEUED"]);
  await sendFromCloud();
  expect(hooks.map(({ rule: name }) => name)).toEqual(["By edges", "By edges", "By the cloud"]);
  const left = await cloud.call<{ readonly data: readonly { id: string }[] }>(
    "GET",
    "/api/notification/deliveries?pageSize=10&page=0&state=LEFT_TO_EDGE",
  );
  expect(left.data[0]?.id).toBe(hooks[0]?.id ?? "");
});

test("an edge with a link, or just without it, leaves it to the cloud, also what is sent after the link was lost", async () => {
  await rule();
  await hearSettings();
  edge.stores.notifications.noteLink(true);
  clock.advance(OFFLINE_MS);
  const alarmId = await raise();
  edge.stores.notifications.noteLink(false);
  clock.advance(OFFLINE_MS - 1);
  edge.stores.notifications.noteLink(false);
  await raise();
  clock.advance(1);
  await clear(alarmId);
  await sendFromEdge();
  expect(hooks.map(({ type }) => type)).toEqual(["alarm.cleared"]);
  await up();
  await sendFromCloud();
  expect(hooks.map(({ type }) => type)).toEqual(["alarm.cleared", "alarm.created", "alarm.created"]);
  expect(await states()).toEqual(["CLEARED LEFT_TO_EDGE", "CREATED SENT", "CREATED SENT"]);
});

test("an edge tells by no rule that it may not or can't tell by, but to the end what it has begun", async () => {
  await rule({ fromEdges: false });
  await rule({ enabled: false });
  await rule({ target: { type: "EMAIL", to: ["one@example.com"] } });
  const { id } = (await rule({ name: "Goes" })) as { readonly id: { readonly id: Uuid } };
  await hearSettings();
  clock.advance(OFFLINE_MS);
  await raise();
  await cloud.call("DELETE", `/api/notification/rule/${id.id}`);
  await hearSettings();
  await raise();
  await sendFromEdge();
  expect(hooks.map(({ rule: name }) => name)).toEqual(["Goes"]);
  await up();
  expect(await states()).toEqual(["CREATED QUEUED", "CREATED QUEUED", "CREATED QUEUED", "CREATED QUEUED"]);
});
