import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createCloudEvents } from "../../edge/store/cloud-event-list.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { createGroupCommit, type GroupCommit } from "../../edge/store/group-commit.ts";
import { createOutbox, readCommitted, type Outbox } from "../../edge/store/outbox.ts";
import { countParked, createParkedItems, type ParkedItems } from "../../edge/store/parked-items.ts";
import { openSite, readSettings } from "../../edge/store/site-store.ts";
import { createLinkStore } from "../../edge/sync/link-store.ts";
import type { LinkStore } from "../../edge/sync/link.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import type { Change, SentChange } from "../../shared/entities/change.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { closeSql, openSql, type Sql } from "../../shared/postgres/connect.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { findCredentials, saveDevice } from "../../shared/store/device-store.ts";
import { deleteEntity, findEntity } from "../../shared/store/entity-store.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import type { Batch, Rejection, Welcome } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { decodeItems, encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random, edgeVersion: "1.0.0" };
const cloudId = createUuid(clock, random);
let postgres: TestPostgres;
let database: TestDatabase;
let writerSql: Sql;
let groupCommit: GroupCommit;
let blobs: BlobStore;
let outbox: Outbox;
let parked: ParkedItems;
let link: LinkStore;
/** Settings that the link handed on. */
const told: EdgeSettings[] = [];
let stop: AbortController;
let running: Promise<void>;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

beforeEach(async () => {
  await closeEdge();
  database = await postgres.createDatabase("edge");
  const { connection, db, sql } = database;
  writerSql = openSql(connection, { applicationName: "writer", max: 1, arrays: false }, silentLog);
  blobs = createTestBlobs(database);
  groupCommit = await createGroupCommit({ sql: writerSql, blobs, clock, log: silentLog, onCommitted: () => undefined });
  stop = new AbortController();
  running = groupCommit.runLoop(stop.signal);
  outbox = createOutbox(sql);
  parked = createParkedItems({ db, groupCommit, blobs, clock });
  link = createLinkStore({
    ...deps,
    blobs,
    metrics: createMetrics(),
    db,
    outbox,
    parked,
    groupCommit,
    onEffects: () => undefined,
    onSettings: (settings) => void told.push(settings),
  });
  told.length = 0;
  await openSite(db);
});
afterAll(closeEdge);

async function closeEdge(): Promise<void> {
  if (stop === undefined || stop.signal.aborted) return;
  stop.abort();
  await running;
  await closeSql(writerSql);
}

const welcome = (more: Partial<Welcome> = {}): Welcome => ({
  type: "welcome",
  protocol: 1,
  session: 1,
  edgeId: cloudId,
  tenantId: NULL_UUID,
  edgeName: "Edge",
  edgeType: "default",
  cloudId,
  cloudVersion: "2.0.0",
  courses: [],
  tags: [],
  window: { bytes: 1, items: 1 },
  wallClockMs: 0,
  downlinkResume: 0,
  downlinkAcked: 0,
  settings: null,
  ...more,
});
const EVERYTHING = { config: [{ first: 1, last: SEQ_MAX }], telemetry: [{ first: 1, last: SEQ_MAX }] } as const;
const refuse = (seq: number, code = "NOT_FOUND", version = "2.0.0"): Rejection => ({ seq, code, text: "Why", version });
const settle = (lane: UplinkLane, seq: number, rejections: readonly Rejection[]) =>
  outbox.settle(lane, { committed: [{ first: 1, last: seq }], rejections, nowMs: clock.nowMs() });
const makeDevice = (name: string) =>
  groupCommit.run((tx) => saveDevice(tx, deps, { tenantId: NULL_UUID, input: { name } }));
const listed = async () => (await parked.list({}, { pageSize: 100, page: 0 })).data;
const eventStates = async (lane: UplinkLane) => {
  const { page } = await createCloudEvents(database.sql).list(lane, { pageSize: 100, page: 0 });
  return page.data.map(({ firstSeq, refused }) => [firstSeq, refused?.text ?? null]);
};

async function readLane(lane: UplinkLane, afterSeq: number) {
  const { batches } = await outbox.read(lane, {
    afterSeq,
    upToSeq: SEQ_MAX,
    bytesMax: 1e6,
    itemsMax: 1_000,
    frameBytesMax: 1e6,
  });
  return batches;
}

async function readChanges(afterSeq: number): Promise<readonly SentChange[]> {
  const batches = await readLane("config", afterSeq);
  return batches.flatMap((batch) => decodeItems(decompress(batch), batch.count).flatMap(({ changes }) => changes));
}

const record = (entityId: Uuid, tsMs: number) => ({
  entityId,
  tsMs,
  values: `{"n":${tsMs}}` as CanonicalJson,
  keySet: "n",
});

describe("a parked config item", () => {
  test("is replayed with what its entity is now, at the end of the lane, and only once", async () => {
    const device = await makeDevice("Before");
    const last = groupCommit.nextSeq("config") - 1;
    const seq = last - (await readChanges(0)).toReversed().findIndex(({ kind }) => kind === "entity-saved");
    await settle("config", last, [refuse(seq)]);
    expect(await listed()).toMatchObject([{ lane: "config", seq, code: "NOT_FOUND", refusedBy: "2.0.0" }]);
    await groupCommit.run((tx) =>
      saveDevice(tx, deps, { tenantId: NULL_UUID, input: { id: device.id, name: "After" } }),
    );
    const before = groupCommit.nextSeq("config");
    expect(await parked.replay({ lane: "config", seq })).toEqual({ replayed: 1, kept: 0 });
    expect(await readChanges(before - 1)).toMatchObject([
      { kind: "entity-saved", entity: { id: device.id }, body: expect.stringContaining("After") },
    ]);
    expect(await parked.replay({ lane: "config", seq })).toEqual({ replayed: 0, kept: 0 });
    expect(await countParked(database.sql)).toEqual({ config: 0, telemetry: 0 });
    expect(await eventStates("config")).toContainEqual([seq, "Why (replayed)"]);
    // Told again, as after a lost acknowledgement: somebody has decided already.
    await settle("config", last, [refuse(seq)]);
    expect(await listed()).toEqual([]);
  });

  test("stays parked when its entity is gone, and can be discarded", async () => {
    const device = await makeDevice("Gone");
    await settle("config", groupCommit.nextSeq("config") - 1, [refuse(1), refuse(2)]);
    await groupCommit.run((tx) => deleteEntity(tx, { type: "DEVICE", id: device.id }));
    const before = groupCommit.nextSeq("config");
    const { kept, replayed } = await parked.replay({});
    expect({ kept: kept > 0, all: kept + replayed }).toEqual({ kept: true, all: 2 });
    expect(await parked.discard({ code: "OTHER" })).toBe(0);
    expect(await parked.discard({})).toBe(kept);
    expect(await listed()).toEqual([]);
    expect(groupCommit.nextSeq("config")).toBe(before + replayed);
  });

  test("that the cloud did not know is replayed when another version of the cloud welcomes the edge", async () => {
    await makeDevice("New kind");
    const last = groupCommit.nextSeq("config") - 1;
    await settle("config", last, [refuse(last, "UNSUPPORTED_ITEM", "2.0.0"), refuse(1, "NOT_FOUND", "2.0.0")]);
    await link.welcome(welcome(), EVERYTHING);
    expect(await countParked(database.sql)).toMatchObject({ config: 2 });
    await link.welcome(welcome({ cloudVersion: "2.1.0" }), EVERYTHING);
    expect(await listed()).toMatchObject([{ seq: 1 }]);
    expect(groupCommit.nextSeq("config")).toBe(last + 2);
  });

  test("that the tenant had no room for is replayed with a connection some time later, not with each", async () => {
    await makeDevice("One too many");
    const last = groupCommit.nextSeq("config") - 1;
    await settle("config", last, [refuse(last, "ENTITY_LIMIT")]);
    await link.welcome(welcome(), EVERYTHING);
    expect(await listed()).toMatchObject([{ seq: last }]);
    await database.sql`update parked_item set parked_ms = parked_ms - 600001`;
    await link.welcome(welcome(), EVERYTHING);
    expect(await listed()).toEqual([]);
    expect(groupCommit.nextSeq("config")).toBe(last + 2);
  });

  test("that is no longer in the outbox is parked all the same", async () => {
    await settle("config", 0, [refuse(99)]);
    expect(await listed()).toMatchObject([{ seq: 99, content: { kind: "unreadable" } }]);
  });
});

describe("parked records", () => {
  test("are replayed as they were, without being stored twice, behind what was measured since", async () => {
    const entityId = createUuid(clock, random);
    await groupCommit.saveTelemetry([1, 2, 3, 4].map((tsMs) => record(entityId, tsMs)));
    await settle("telemetry", 4, [refuse(2), refuse(4)]);
    expect(await listed()).toMatchObject([
      { lane: "telemetry", seq: 2, content: { kind: "record", entityId, tsMs: 2, values: '{"n":2}' } },
      { seq: 4 },
    ]);
    await groupCommit.saveTelemetry([record(entityId, 5)]);
    const [{ count: stored } = { count: 0 }] = await database.sql<{ count: number }[]>`
      select count(*)::int as count from telemetry`;
    expect(await parked.replay({ lane: "telemetry" })).toEqual({ replayed: 2, kept: 0 });
    const [batch] = await readLane("telemetry", 5);
    expect(batch).toMatchObject({ firstSeq: 6, count: 2, configSeq: groupCommit.nextSeq("config") - 1 });
    const columns = batch === undefined ? null : decodeTelemetry(decompress(batch), 2);
    expect(columns).toMatchObject({ tsMs: [2, 4], values: '{"n":2}\n{"n":4}' });
    expect(await database.sql`select count(*)::int as count from telemetry`).toMatchObject([{ count: stored }]);
    await groupCommit.saveTelemetry([record(entityId, 6)]);
    expect((await readLane("telemetry", 7)).map(({ firstSeq }) => firstSeq)).toEqual([8]);
    // The numbers are those of the database, also after a start.
    const next = await createGroupCommit({
      sql: writerSql,
      blobs,
      clock,
      log: silentLog,
      onCommitted: () => undefined,
    });
    expect(next.nextSeq("telemetry")).toBe(9);
  });

  test("are many, and share their outbox row", async () => {
    const entityId = createUuid(clock, random);
    const count = 5_000;
    await groupCommit.saveTelemetry(Array.from({ length: count }, (_, index) => record(entityId, index)));
    const all = Array.from({ length: count }, (_, index) => refuse(index + 1));
    await settle("telemetry", count, all);
    expect(await countParked(database.sql)).toMatchObject({ telemetry: count });
    expect(await parked.replay({})).toEqual({ replayed: count, kept: 0 });
    expect(groupCommit.nextSeq("telemetry")).toBe(2 * count + 1);
    await settle("telemetry", 2 * count, [refuse(2 * count)]);
    expect(await parked.discard({ lane: "telemetry" })).toBe(1);
  });
});

describe("keepCommitted()", () => {
  test("forgets what a cloud that was restored no longer has, and learns nothing", async () => {
    await settle("config", 5, []);
    await outbox.keepCommitted("config", [{ first: 1, last: 3 }]);
    expect((await outbox.range("config")).ackedSeq).toBe(3);
    await settle("telemetry", 5, []);
    await outbox.settle("telemetry", { committed: [{ first: 8, last: 20 }], rejections: [], nowMs: clock.nowMs() });
    await outbox.keepCommitted("telemetry", [
      { first: 1, last: 9 },
      { first: 12, last: 30 },
    ]);
    expect(await readCommitted(database.sql, "telemetry")).toEqual([
      { first: 1, last: 5 },
      { first: 8, last: 9 },
      { first: 12, last: 20 },
    ]);
  });
});

describe("applyDownlinks()", () => {
  const ids = Array.from({ length: 3 }, () => createUuid(clock, random));
  const [first = NULL_UUID, half = NULL_UUID, last = NULL_UUID] = ids;
  const deviceSaved = (id: Uuid, name: string): Change => ({
    kind: "entity-saved",
    entity: { type: "DEVICE", id },
    body: JSON.stringify({
      entityType: "DEVICE",
      id,
      tenantId: NULL_UUID,
      customerId: null,
      name,
      subtype: "default",
      label: null,
      profileId: null,
      version: 1,
      createdMs: 1,
      body: {},
    }),
  });
  const credentialsSaved = (id: Uuid, credentialsId: string): Change => ({
    kind: "credentials-saved",
    entity: { type: "DEVICE", id },
    credentialsType: "ACCESS_TOKEN",
    credentialsId,
    credentialsValue: null,
  });
  const batchOf = (firstSeq: number, ...items: readonly (readonly Change[])[]): Batch => ({
    type: "batch",
    lane: "downlink",
    firstSeq,
    count: items.length,
    ...compress(encodeItems(items.map((changes) => ({ changedMs: 1, changes })))),
  });

  test("applies an item as a whole or not at all, keeps what it refused, and tells it until the cloud knows", async () => {
    await link.welcome(welcome(), EVERYTHING);
    const batch = batchOf(
      1,
      [deviceSaved(first, "First"), credentialsSaved(first, "token")],
      [deviceSaved(half, "Half"), credentialsSaved(half, "token")],
      [deviceSaved(last, "Last"), credentialsSaved(last, Buffer.from(random.bytes(6_000)).toString("hex"))],
      [credentialsSaved(first, "token 2")],
    );
    const { rejections } = await applyDownlinks(groupCommit, { ...deps, blobs }, [batch]);
    expect(rejections).toEqual([
      expect.objectContaining({ seq: 2, code: "ALREADY_EXISTS", version: "1.0.0" }),
      expect.objectContaining({ seq: 3, code: "INVALID_ARGUMENT", text: expect.stringContaining("54000") }),
    ]);
    const { db } = database;
    expect(await findEntity(db, { type: "DEVICE", id: half })).toBeNull();
    expect(await findEntity(db, { type: "DEVICE", id: last })).toBeNull();
    expect(await findCredentials(db, first)).toMatchObject({ credentialsId: "token 2" });
    const ack = { type: "ack", lane: "downlink", seq: 4 } as const;
    const told = async (downlinkAcked: number) =>
      (await link.welcome(welcome({ downlinkResume: 4, downlinkAcked }), EVERYTHING)).missedAcks;
    expect(await told(0)).toEqual([{ ...ack, rejections }]);
    expect(await told(2)).toEqual([{ ...ack, rejections: rejections.slice(1) }]);
    expect(await told(4)).toEqual([]);
    expect(await database.sql`select * from downlink_rejection`).toHaveLength(0);
  });

  test("forgets what it refused of another history of downlinks", async () => {
    await link.welcome(welcome(), EVERYTHING);
    await applyDownlinks(groupCommit, { ...deps, blobs }, [batchOf(1, [credentialsSaved(half, "x")])]);
    const { missedAcks } = await link.welcome(
      welcome({ cloudId: half, downlinkResume: 1, downlinkAcked: 1 }),
      EVERYTHING,
    );
    expect(missedAcks).toEqual([]);
    expect(await database.sql`select * from downlink_rejection`).toHaveLength(0);
  });
});

test("the link keeps what the cloud sets, beyond a session and a cloud that sets nothing", async () => {
  const first = { rateLimits: { transportDeviceMsgRateLimit: "5:1" } };
  const second = { rateLimits: { transportTenantMsgRateLimit: "7:1" } };
  await link.welcome(welcome({ settings: first }), EVERYTHING);
  expect(await readSettings(database.db)).toEqual(first);
  await link.keepSettings(second);
  await link.welcome(welcome({ settings: null }), EVERYTHING);
  expect(await readSettings(database.db)).toEqual(second);
  expect(told).toEqual([first, second]);
});
