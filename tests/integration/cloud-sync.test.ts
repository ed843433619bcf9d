import { afterAll, beforeAll, expect, test } from "bun:test";
import { startReplica, type Replica } from "../../cloud/replica.ts";
import { startRpcServer } from "../../cloud/runtime/rpc-server.ts";
import { assignEntity } from "../../cloud/store/assignment-store.ts";
import { replayFailed } from "../../cloud/store/downlink-replay.ts";
import { createCloudUnitOfWork, listDownlinks, type CloudUnitOfWork } from "../../cloud/store/downlink-store.ts";
import { noteSettingsChange } from "../../cloud/store/edge-settings.ts";
import { hashEdgeSecret, rotateEdgeSecret, saveEdge } from "../../cloud/store/edge-store.ts";
import { endSessionsOfOldSecrets } from "../../cloud/store/secret-grace.ts";
import { findSessionNews } from "../../cloud/store/session-news.ts";
import { getTenantProfile, saveTenantProfile } from "../../cloud/store/tenant-profile-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import { createEdgeSignals, type EdgeSignals } from "../../cloud/sync/edge-signals.ts";
import { createLiveSessions, type LiveSessions } from "../../cloud/sync/live-sessions.ts";
import { createLiveWords } from "../../cloud/sync/live-words.ts";
import { registerSyncService, type SyncServiceDeps } from "../../cloud/sync/service.ts";
import { createSessionStore } from "../../cloud/sync/session-store.ts";
import { watchEdges } from "../../cloud/watch-edges.ts";
import { dialCloud } from "../../edge/sync/transport.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { Turns } from "../../shared/core/turns.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { openDb } from "../../shared/store/open-db.ts";
import { lastSeqOf, type Frame, type Welcome } from "../../shared/sync/frames.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { HELLO } from "../unit/sync-values.ts";
import { connectTo, failureOf } from "./postgres-support.ts";

// Replicas in this process whose tasks do not run: there is no poll behind the words that they send each other.

const deps = { clock, random };
const CLOUD_ID = createUuid(clock, random);
let postgres: TestPostgres;
let database: TestDatabase;
let tenantId: Uuid;
let names = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("cloud");
  ({ tenantId } = await createTenant(database.db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

interface TestReplica extends AsyncDisposable {
  readonly url: string;
  readonly live: LiveSessions;
  readonly signals: EdgeSignals;
  readonly unitOfWork: CloudUnitOfWork;
}

async function startTestReplica(options: Partial<Pick<SyncServiceDeps, "edgeItems">> = {}): Promise<TestReplica> {
  const { connection, db } = database;
  await using opening = new AsyncDisposableStack();
  const replicaId = createUuid(clock, random);
  const live = createLiveSessions();
  const metrics = createMetrics();
  const log = silentLog;
  const notify = (payload: string): Promise<void> => replica.notify(payload);
  const signals = createEdgeSignals({ replicaId, live, notify, clock, metrics, log });
  const words = createLiveWords({ replicaId, watched: () => [], hear: () => undefined, notify, clock, log });
  const replica: Replica = opening.use(
    await startReplica(
      { db, connection, live, signals, words, clock, random, log, metrics },
      { id: replicaId, isAlone: false },
    ),
  );
  const { ends } = replica;
  const onDownlinks = (edgeIds: readonly Uuid[]): void => signals.wake(edgeIds);
  const store = createSessionStore({
    ...deps,
    db,
    sendDb: db,
    cloudId: CLOUD_ID,
    cloudVersion: "test",
    replicaId,
    hashEdgeSecret,
    onDownlinks,
    ends,
    log,
    createHasher: createSha256,
    blobBytesMax: 1_024,
  });
  const window = { bytes: 1_000_000, items: 1_000 };
  const { reports, traffic } = watchEdges({ db, live, clock, log, metrics });
  const { edgeItems = null } = options;
  const settings = { cloudId: CLOUD_ID, cloudVersion: "test", window, roundsEveryMs: 60_000, edgeItems };
  const service = {
    store,
    live,
    signals,
    traffic,
    reports,
    turns: new Turns(),
    remoteAddress: () => "",
    ...settings,
    clock,
    log,
  };
  const rpc = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    routes: (router) => registerSyncService(router, service),
  });
  opening.defer(() => rpc.close(0));
  const closing = opening.move();
  const unitOfWork = createCloudUnitOfWork(db, { clock, onCommitted: onDownlinks });
  return { url: rpc.url, live, signals, unitOfWork, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

interface TestEdge {
  readonly edgeId: Uuid;
  readonly routingKey: string;
  readonly secret: string;
}

async function newEdge(): Promise<TestEdge> {
  const name = `Edge ${(names += 1)}`;
  const rest = { type: "default", label: null, routingKey: null, secret: null, expectedVersion: null };
  const save = { ...rest, id: null, tenantId, name, additionalInfo: null };
  const { edge, newSecret } = await database.db.transaction((tx) => saveEdge(tx, deps, save));
  return { edgeId: edge.id, routingKey: edge.routingKey, secret: newSecret ?? "" };
}

interface Caller extends AsyncDisposable {
  readonly welcome: Welcome;
  /** The next frame of this type; others before it are skipped. */
  next(type: Frame["type"]): Promise<Frame>;
  send(frame: Frame): void;
}

/** An edge that only listens; its session is live when this resolves. */
async function call(edge: TestEdge, { url }: TestReplica): Promise<Caller> {
  const abort = new AbortController();
  const address = { url, edgeKey: edge.routingKey, edgeSecret: () => edge.secret, caPem: undefined };
  const transport = dialCloud(address, { clock, signal: abort.signal });
  transport.send({ ...HELLO, storeId: edge.edgeId });
  const frames = transport.incoming[Symbol.asyncIterator]();
  const next = async (type: Frame["type"]): Promise<Frame> => {
    for (;;) {
      const { done, value } = await within(`a ${type}`, 10_000, frames.next());
      if (done === true) throw new Error(`Expected a ${type}, but the stream ended`);
      if (value.type === type) return value;
    }
  };
  const welcome = await next("welcome");
  if (welcome.type !== "welcome") throw new Error("Expected a welcome");
  const send = (frame: Frame): void => transport.send(frame);
  return { welcome, next, send, [Symbol.asyncDispose]: () => Promise.resolve(transport.close()) };
}

test("a session ends when a newer one opens at another replica", async () => {
  await using one = await startTestReplica();
  await using two = await startTestReplica();
  const edge = await newEdge();
  await using older = await call(edge, one);
  await using _newer = await call(edge, two);
  expect(await older.next("go-away")).toMatchObject({ code: "SESSION_FENCED" });
  await waitFor("the older one to be gone", () => one.live.held().length === 0);
  expect(two.live.held()).toMatchObject([{ edgeId: edge.edgeId, session: 2 }]);
});

test("a session hears of downlinks that were committed at another replica", async () => {
  await using one = await startTestReplica();
  await using two = await startTestReplica();
  const edge = await newEdge();
  await using caller = await call(edge, one);
  const { id } = await two.unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: { name: "Pump" } }));
  const assignment = { edgeId: edge.edgeId, tenantId, type: "DEVICE", entityId: id } as const;
  await two.unitOfWork.runEvents((tx) => assignEntity(tx, assignment, { nowMs: clock.nowMs() }));
  expect(await caller.next("batch")).toMatchObject({ lane: "downlink", firstSeq: 1, count: 2 });
});

test("an entity that can't be read holds up none of the others, is listed as failed, and goes down when it is replayed", async () => {
  await using one = await startTestReplica();
  const edge = await newEdge();
  const { edgeId } = edge;
  const ids: Uuid[] = [];
  for (const name of ["Before", "Spoiled", "After"]) {
    const { id } = await one.unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: { name } }));
    const assignment = { edgeId, tenantId, type: "DEVICE", entityId: id } as const;
    await one.unitOfWork.runEvents((tx) => assignEntity(tx, assignment, { nowMs: clock.nowMs() }));
    ids.push(id);
  }
  const [, spoiled] = ids;
  const { sql } = database;
  const [was] = await sql<{ at: number }[]>`select created_ms as at from entity where id = ${spoiled ?? ""}`;
  await sql`update entity set created_ms = 9223372036854775807 where id = ${spoiled ?? ""}`;

  await using caller = await call(edge, one);
  const seen: string[] = [];
  let acked = 0;
  const takeBatch = async (): Promise<void> => {
    const batch = await caller.next("batch");
    if (batch.type !== "batch") return;
    for (const { changes } of decodeItems(decompress(batch), batch.count))
      seen.push(...changes.filter(({ kind }) => kind === "entity-saved").map(({ entity }) => entity.id));
    acked = lastSeqOf(batch);
    caller.send({ type: "ack", lane: "downlink", seq: acked, rejections: [] });
  };
  while (!seen.includes(ids[2] ?? "")) await takeBatch();
  expect(seen).toContain(ids[0] ?? "");
  expect(seen).not.toContain(spoiled ?? "");
  const list = async () =>
    (
      await listDownlinks(database.db, { edgeId, sentSeq: acked, ackedSeq: acked }, { page: 0, pageSize: 100 })
    ).data.filter(({ entityId }) => entityId === spoiled);
  const failed = await waitFor("the downlink to fail", async () => {
    const [row] = await list();
    return row?.state === "failed" ? row : undefined;
  });
  expect(failed.reason).toContain("9223372036854775807");

  await sql`update entity set created_ms = ${was?.at ?? 0} where id = ${spoiled ?? ""}`;
  await replayFailed(one.unitOfWork, { edgeId, seq: failed.seq });
  while (!seen.includes(spoiled ?? "")) await takeBatch();
});

test("a session tells its edge the rate limits of the tenant's profile, at first and when somebody changes them elsewhere", async () => {
  await using one = await startTestReplica();
  await using two = await startTestReplica();
  await using caller = await call(await newEdge(), one);
  expect(caller.welcome.settings).toEqual({ rateLimits: {} });
  const { id, profileData, ...profile } = await getTenantProfile(database.db, null);
  const limit = async (configuration: { readonly [key: string]: Json }): Promise<void> => {
    const save = { ...profile, id, expectedVersion: null, profileData: { ...profileData, configuration } };
    await two.unitOfWork.runSettings(async (tx) => {
      await saveTenantProfile(tx, deps, save);
      return { result: undefined, edgeIds: await noteSettingsChange(tx, { profileId: id }) };
    });
  };
  await limit({ type: "DEFAULT", transportDeviceMsgRateLimit: "5:1", transportTenantMsgRateLimit: "" });
  const rateLimits = { transportDeviceMsgRateLimit: "5:1" };
  expect(await caller.next("settings")).toEqual({ type: "settings", settings: { rateLimits } });
  await using other = await call(await newEdge(), two);
  expect(other.welcome.settings).toEqual({ rateLimits });
  expect(await findSessionNews(database.db, [...one.live.held(), ...two.live.held()])).toEqual([]);
  await limit({ type: "DEFAULT" });
  for (const told of [caller, other])
    expect(await told.next("settings")).toMatchObject({ settings: { rateLimits: {} } });
});

test("a session ends when another replica says that its edge was deleted", async () => {
  await using one = await startTestReplica();
  await using two = await startTestReplica();
  const edge = await newEdge();
  await using caller = await call(edge, one);
  two.signals.end({ edgeId: edge.edgeId, fence: Number.MAX_SAFE_INTEGER, code: "NOT_FOUND" });
  expect(await caller.next("go-away")).toMatchObject({ code: "NOT_FOUND" });
});

test("a session that was opened with an old secret ends when the time of that is over, wherever it is held", async () => {
  await using one = await startTestReplica();
  await using two = await startTestReplica();
  const [edge, other] = [await newEdge(), await newEdge()];
  await using caller = await call(edge, one);
  await using keeper = await call(other, one);
  const graceMs = 60_000;
  const rotate = async ({ edgeId: id }: TestEdge): Promise<TestEdge> => {
    const { newSecret } = await database.db.transaction((tx) => rotateEdgeSecret(tx, deps, { id, tenantId, graceMs }));
    return { ...edge, secret: newSecret };
  };
  const renewed = await rotate(edge);
  const end = async (nowMs: number): Promise<readonly Uuid[]> => {
    const ended = await endSessionsOfOldSecrets(database.db, nowMs);
    for (const { edgeId, fence } of ended) two.signals.end({ edgeId, fence, code: "UNAUTHENTICATED" });
    return ended.map(({ edgeId }) => edgeId);
  };
  expect(await end(clock.nowMs())).toEqual([]);
  expect(await end(clock.nowMs() + graceMs + 1_000)).toEqual([edge.edgeId]);
  expect(await caller.next("go-away")).toMatchObject({ code: "UNAUTHENTICATED" });
  await using _newer = await call(renewed, one);
  expect(await end(clock.nowMs() + graceMs + 1_000)).toEqual([]);
  // Twice in a row: the first secret opens nothing any more.
  await rotate(other);
  await rotate(other);
  expect(await end(clock.nowMs())).toEqual([other.edgeId]);
  expect(await keeper.next("go-away")).toMatchObject({ code: "UNAUTHENTICATED" });
});

test("an edge above its limit gets its acknowledgement later, and nothing is refused for it", async () => {
  const waitMs = 300;
  const charged: (readonly [string, number])[] = [];
  const charge = (key: string, count: number): number => {
    charged.push([key, count]);
    return waitMs;
  };
  await using one = await startTestReplica({ edgeItems: { charge } });
  const edge = await newEdge();
  await using caller = await call(edge, one);
  const columns = new TelemetryColumnsBuilder();
  const value = { entityId: edge.edgeId, tsMs: 1, values: '{"a":1}' as CanonicalJson, keySet: "a" };
  for (const tsMs of [1, 2]) columns.add({ ...value, tsMs });
  const payload = compress(encodeTelemetry(columns.build()));
  const sentMs = clock.monotonicMs();
  caller.send({ type: "batch", lane: "telemetry", firstSeq: 1, count: 2, ...payload });
  expect(await caller.next("ack")).toMatchObject({ lane: "telemetry", seq: 2 });
  expect(clock.monotonicMs() - sentMs).toBeGreaterThanOrEqual(waitMs);
  expect(charged).toEqual([[edge.edgeId, 2]]);
});

test("a drain tells every edge when to come back", async () => {
  await using one = await startTestReplica();
  await using caller = await call(await newEdge(), one);
  const drained = one.live.drain("The cloud process stops", 250);
  expect(await caller.next("go-away")).toMatchObject({ code: "CANCELLED", retryAfterMs: 250 });
  await drained;
});

test("createSessionStore() says that the database is away, without the statement and what is in it", async () => {
  await using away = connectTo({ ...database.connection, host: "/nonexistent" });
  const db = openDb(away.sql);
  const ends = { store: () => Promise.resolve() };
  const ids = { cloudId: CLOUD_ID, cloudVersion: "test", replicaId: CLOUD_ID };
  const contents = { createHasher: createSha256, blobBytesMax: 1_024 };
  const store = createSessionStore({
    ...deps,
    ...ids,
    ...contents,
    db,
    sendDb: db,
    hashEdgeSecret,
    onDownlinks: () => undefined,
    ends,
    log: silentLog,
  });
  const edge = { edgeId: CLOUD_ID, tenantId, name: "Edge", type: "default", secretHash: "" };
  const request = { lane: "downlink", afterSeq: 0, upToSeq: 9, bytesMax: 1, itemsMax: 1, frameBytesMax: 1 } as const;
  for (const work of [
    () => store.authenticate("key-of-the-edge", "secret"),
    () => store.open(edge, HELLO),
    () => store.readDownlinks(edge, request),
    () => store.settleDownlinks(CLOUD_ID, 1, 1, []),
  ]) {
    const failure = await failureOf(work());
    expect(failure.code).toBe("DATABASE_UNAVAILABLE");
    expect(failure.message).not.toMatch(/select|update|key-of-the-edge/);
  }
});
