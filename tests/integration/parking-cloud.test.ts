import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { replayFailed } from "../../cloud/store/downlink-replay.ts";
import { openSession, settleDownlinks, type EdgeAccount } from "../../cloud/store/edge-session-store.ts";
import { hashEdgeSecret } from "../../cloud/store/edge-store.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import type { Batch, Hello, Rejection } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestBlobs } from "../support/postgres.ts";
import { startTestCloud, type TestCloud, withoutChains } from "../support/test-cloud.ts";

let cloud: TestCloud;
const cloudId = "784f394c-42b6-435a-983c-b7beff2784f9" as Uuid;
let edges = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

const newId = (): Uuid => createUuid(cloud.clock, random);

/** An edge of the first tenant with one database, as it speaks to the cloud's stores. */
class Speaker {
  readonly storeId = newId();
  readonly account: EdgeAccount;
  readonly next: Record<UplinkLane, number> = { config: 1, telemetry: 1 };
  edgeVersion = "1.0.0";
  downlinkApplied = 0;
  session = 0;

  constructor(account: EdgeAccount) {
    this.account = account;
  }

  async connect(ackedSeq: Partial<Record<UplinkLane, number>> = {}) {
    const hello: Hello = {
      type: "hello",
      protocolMin: 1,
      protocolMax: 1,
      edgeVersion: this.edgeVersion,
      storeId: this.storeId,
      lanes: (["config", "telemetry"] as const).map((lane) => ({
        lane,
        nextSeq: this.next[lane],
        oldestSeq: 1,
        ackedSeq: ackedSeq[lane] ?? 0,
        firstSeq: 1,
      })),
      cloudId,
      downlinkApplied: this.downlinkApplied,
      downlinkTag: null,
      machineId: null,
      wallClockMs: cloud.clock.nowMs(),
      backlogOrder: "oldest-first",
    };
    const { db } = cloud.database;
    const opened = await openSession(db, this.account, hello, {
      cloudId,
      replicaId: cloudId,
      clock: cloud.clock,
    });
    this.session = opened.session;
    return opened;
  }

  async send(lane: UplinkLane, count: number, payload: Uint8Array): Promise<readonly Rejection[]> {
    const { edgeId, tenantId, name: edgeName } = this.account;
    const { session, storeId } = this;
    const batch: Batch = { type: "batch", lane, firstSeq: this.next[lane], count, ...compress(payload) };
    const origin = { edgeId, storeId, lane, session, tenantId, edgeName, cloudVersion: "2.0.0" };
    const deps = { clock: cloud.clock, random, blobs: createTestBlobs(cloud.database) };
    const { rejections } = await applyUplink(cloud.database.db, deps, { origin, batches: [batch] });
    this.next[lane] += count;
    return rejections;
  }

  sendItems(...items: readonly (readonly Change[])[]): Promise<readonly Rejection[]> {
    const encoded = items.map((changes) => ({ changedMs: cloud.clock.nowMs(), changes }));
    return this.send("config", items.length, encodeItems(encoded));
  }

  sendRecords(entityId: Uuid, lines: readonly string[]): Promise<readonly Rejection[]> {
    const columns = new TelemetryColumnsBuilder();
    for (const [index, line] of lines.entries())
      columns.add({ entityId, tsMs: 1_000 + index, values: line as CanonicalJson, keySet: line });
    return this.send("telemetry", lines.length, encodeTelemetry(columns.build()));
  }
}

async function newSpeaker(): Promise<Speaker> {
  edges += 1;
  const name = `Speaker ${edges}`;
  const edge = await cloud.call<{ id: { id: Uuid }; routingKey: string; secret: string }>("POST", "/api/edge", {
    name,
  });
  await withoutChains(cloud, edge);
  const secretHash = hashEdgeSecret(edge.routingKey, edge.secret);
  const { tenantId } = cloud.first;
  const speaker = new Speaker({ edgeId: edge.id.id, tenantId, name, type: "default", secretHash });
  await speaker.connect();
  return speaker;
}

const deviceSaved = (id: Uuid, name: string): Change => ({
  kind: "entity-saved",
  entity: { type: "DEVICE", id },
  body: JSON.stringify({
    entityType: "DEVICE",
    id,
    tenantId: cloud.first.tenantId,
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
const attributeSaved = (id: Uuid, value: string): Change => ({
  kind: "attributes-saved",
  entity: { type: "DEVICE", id },
  scope: "CLIENT_SCOPE",
  attributes: [{ key: "a", value: value as CanonicalJson, updatedMs: 1 }],
});
const findDevice = (id: Uuid) => findEntity(cloud.database.db, { type: "DEVICE", id });
/** More than a key of an index may take, and not compressible. */
const hugeKey = (): string => Buffer.from(random.bytes(6_000)).toString("hex");

describe("applyUplink()", () => {
  test("applies an item of several changes as a whole or not at all, and the others beside it", async () => {
    const edge = await newSpeaker();
    const [first, half, last] = [newId(), newId(), newId()];
    const rejections = await edge.sendItems(
      [deviceSaved(first, `First ${first}`), credentialsSaved(first, `token ${first}`)],
      [deviceSaved(half, `Half ${half}`), credentialsSaved(half, `token ${first}`)],
      [deviceSaved(last, `Last ${last}`)],
    );
    expect(rejections).toEqual([expect.objectContaining({ seq: 2, code: "ALREADY_EXISTS", version: "2.0.0" })]);
    expect(await findDevice(first)).not.toBeNull();
    expect(await findDevice(half)).toBeNull();
    expect(await findDevice(last)).not.toBeNull();
  });

  test("refuses an item that the database does not take, and applies those around it", async () => {
    const edge = await newSpeaker();
    const id = newId();
    const rejections = await edge.sendItems(
      [deviceSaved(id, `Device ${id}`)],
      [attributeSaved(id, "1"), credentialsSaved(id, hugeKey())],
      [attributeSaved(id, "2")],
    );
    expect(rejections.map(({ seq, code }) => [seq, code])).toEqual([[2, "INVALID_ARGUMENT"]]);
    expect(rejections[0]?.text).toContain("54000");
    const rows = await cloud.database.sql<{ value: number }[]>`select value from attribute where entity_id = ${id}`;
    expect(rows.map(({ value }) => value)).toEqual([2]);
  });

  test("refuses what the tenant has no room for, lists it, goes on, and takes it later", async () => {
    const edge = await newSpeaker();
    const { tenantId } = cloud.first;
    const countDevices = async () => (await cloud.call<{ devices: number }>("GET", "/api/usage")).devices;
    const setLimit = (more: number, stored: number) => cloud.database.sql`
      update tenant_profile set profile_data = json_build_object('configuration', json_build_object('maxDevices', ${stored + more}::int))
      where id = (select profile_id from tenant where id = ${tenantId})`;
    const stored = await countDevices();
    await setLimit(1, stored);
    const [first, second] = [newId(), newId()];
    const asset: Change = {
      kind: "entity-saved",
      entity: { type: "ASSET", id: newId() },
      body: JSON.stringify({
        ...JSON.parse((deviceSaved(newId(), "Asset beside it") as { body: string }).body),
        entityType: "ASSET",
      }),
    };
    const { id: assetId } = asset.entity;
    const named = { ...asset, body: JSON.stringify({ ...JSON.parse(asset.body), id: assetId }) };
    const rejections = await edge.sendItems(
      [deviceSaved(first, `First ${first}`), credentialsSaved(first, `token ${first}`)],
      [deviceSaved(second, `Second ${second}`), credentialsSaved(second, `token ${second}`)],
      [attributeSaved(second, "1")],
      [named],
    );
    expect(rejections.map(({ seq, code }) => [seq, code])).toEqual([
      [2, "ENTITY_LIMIT"],
      [3, "NOT_FOUND"],
    ]);
    expect(await findDevice(second)).toBeNull();
    expect(await findEntity(cloud.database.db, { type: "ASSET", id: assetId })).not.toBeNull();
    const listed = await cloud.call(
      "GET",
      `/api/edge/${edge.account.edgeId}/parked?pageSize=10&page=0&code=ENTITY_LIMIT`,
    );
    expect(listed).toMatchObject({ data: [{ seq: 2, reason: expect.stringContaining("Devices limit reached") }] });
    await setLimit(2, stored);
    expect(await edge.sendItems([deviceSaved(second, `Second ${second}`)], [attributeSaved(second, "1")])).toEqual([]);
    expect(await findDevice(second)).not.toBeNull();
    expect(await countDevices()).toBe(stored + 2);
    await cloud.database.sql`update tenant_profile set profile_data = '{"configuration":{}}'`;
  });

  test("refuses the records that the database does not take, whatever the reason, and stores the others", async () => {
    const edge = await newSpeaker();
    const id = newId();
    await edge.sendItems([deviceSaved(id, `Device ${id}`)]);
    const lines = Array.from({ length: 300 }, (_, index) => `{"n":${index}}`);
    lines[17] = `{"${hugeKey()}":1}`;
    lines[18] = '{"n":1e200000}';
    lines[299] = "no JSON";
    const rejections = await edge.sendRecords(id, lines);
    expect(rejections.map(({ seq, code }) => [seq, code])).toEqual([
      [18, "INVALID_PAYLOAD"],
      [19, "INVALID_PAYLOAD"],
      [300, "INVALID_PAYLOAD"],
    ]);
    const [stored] = await cloud.database.sql<{ count: number }[]>`
      select count(*)::int as count from telemetry where entity_id = ${id}`;
    expect(stored?.count).toBe(297);
    expect(await edge.sendRecords(id, ['{"m":1}'])).toEqual([]);
  });

  test("refuses batches that can't be read, whole, and takes those around them", async () => {
    const edge = await newSpeaker();
    const [id, late] = [newId(), newId()];
    await edge.sendItems([deviceSaved(id, `Device ${id}`)]);
    const garbage = new Uint8Array([0xff, 1, 2, 3]);
    expect((await edge.send("config", 2, garbage)).map(({ seq, code }) => [seq, code])).toEqual([
      [2, "ITEM_UNREADABLE"],
      [3, "ITEM_UNREADABLE"],
    ]);
    expect(await edge.sendItems([deviceSaved(late, `Late ${late}`)])).toEqual([]);
    expect(await findDevice(late)).not.toBeNull();
    await edge.sendRecords(id, ['{"n":1}']);
    const refused = await edge.send("telemetry", 3, garbage);
    expect(refused.map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(await edge.sendRecords(id, ['{"n":1}', '{"n":2}'])).toEqual([]);
    const [stored] = await cloud.database.sql<{ count: number }[]>`
      select count(*)::int as count from telemetry where entity_id = ${id}`;
    expect(stored?.count).toBe(2);
    await edge.connect({ config: 1, telemetry: 1 });
    const { missedAcks } = await edge.connect({ config: 1, telemetry: 1 });
    expect(missedAcks.flatMap(({ rejections }) => rejections.map(({ seq }) => seq))).toEqual([2, 3, 2, 3, 4]);
  });

  test("ends the session, and refuses nothing, when the connection is lost", async () => {
    const edge = await newSpeaker();
    const id = newId();
    await edge.sendItems([deviceSaved(id, `Device ${id}`)]);
    const { sql } = cloud.database;
    await using _ = {
      [Symbol.asyncDispose]: () => sql`drop trigger fail_telemetry on telemetry`.then(() => undefined),
    };
    await sql.unsafe(`
      create or replace function fail() returns trigger language plpgsql as
        $$ begin raise exception 'no more connections' using errcode = '53300'; end $$;
      create trigger fail_telemetry before insert on telemetry for each row execute function fail()`);
    const failed = edge.sendRecords(id, ['{"n":1}']);
    expect(failed).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    await failed.catch(() => undefined);
    const { missedAcks } = await edge.connect({ config: 1 });
    expect(missedAcks).toEqual([]);
  });
});

describe("openSession()", () => {
  test("tells again what the edge does not know was refused, and only that", async () => {
    const edge = await newSpeaker();
    const id = newId();
    const known = await edge.sendItems([attributeSaved(id, "1")], [attributeSaved(id, "2")], []);
    expect(known.map(({ seq }) => seq)).toEqual([1, 2]);
    const ack = { type: "ack", lane: "config", seq: 3 } as const;
    expect((await edge.connect()).missedAcks).toEqual([{ ...ack, rejections: known }]);
    expect((await edge.connect({ config: 1 })).missedAcks).toEqual([{ ...ack, rejections: known.slice(1) }]);
    expect((await edge.connect({ config: 2 })).missedAcks).toEqual([{ ...ack, rejections: [] }]);
    expect((await edge.connect({ config: 3 })).missedAcks).toEqual([]);
    const page = await cloud.call("GET", `/api/edge/${edge.account.edgeId}/parked?pageSize=1&page=0&code=NOT_FOUND`);
    expect(page).toMatchObject({
      totalElements: 2,
      data: [{ lane: "config", seq: 1, code: "NOT_FOUND", refusedBy: "2.0.0", storeId: edge.storeId }],
    });
    const { edgeId } = edge.account;
    const path = `/api/edge/${edgeId}/parked?pageSize=1&page=0`;
    expect((await cloud.request("GET", path, { token: cloud.second.token })).status).toBe(404);
  });

  test("takes downlinks for acknowledged only up to where it heard of them", async () => {
    const edge = await newSpeaker();
    const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: `Down ${newId()}` });
    await cloud.call("POST", `/api/edge/${edge.account.edgeId}/device/${device.id.id}`);
    edge.downlinkApplied = 2;
    expect(await edge.connect()).toMatchObject({ downlinkResume: 2, downlinkAcked: 0 });
    await settle(edge, 2, [{ seq: 2, code: "UNSUPPORTED_ITEM", text: "Why", version: "1.0.0" }]);
    expect(await edge.connect()).toMatchObject({ downlinkResume: 2, downlinkAcked: 2 });
    expect(await statesOf(edge)).toEqual(["applied", "failed"]);
  });

  test("sends again what the edge did not know, once its version is another", async () => {
    const edge = await newSpeaker();
    await assignDevice(edge);
    edge.downlinkApplied = 2;
    await edge.connect();
    await settle(edge, 2, [{ seq: 2, code: "UNSUPPORTED_ITEM", text: "Why", version: "1.0.0" }]);
    await edge.connect();
    expect(await statesOf(edge)).toEqual(["applied", "failed"]);
    edge.edgeVersion = "1.1.0";
    await edge.connect();
    expect(await statesOf(edge)).toEqual(["applied", "replayed", "queued"]);
  });
});

interface Events {
  readonly data: readonly { readonly seqId: number; readonly state: string; readonly [key: string]: unknown }[];
}

const eventsOf = (edge: Speaker, query = ""): Promise<Events> =>
  cloud.call<Events>("GET", `/api/edge/${edge.account.edgeId}/events?pageSize=50&page=0${query}`);
const statesOf = async (edge: Speaker) => (await eventsOf(edge)).data.map(({ state }) => state);
const settle = ({ account: { edgeId }, session }: Speaker, seq: number, rejections: readonly Rejection[]) =>
  settleDownlinks(cloud.database.db, { edgeId, session, seq, rejections, nowMs: 5 });
async function assignDevice(edge: Speaker): Promise<void> {
  const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: `Down ${newId()}` });
  await cloud.call("POST", `/api/edge/${edge.account.edgeId}/device/${device.id.id}`);
}

describe("a downlink that the edge refused", () => {
  async function withFailures(): Promise<Speaker> {
    const edge = await newSpeaker();
    // The profile, then three devices.
    for (let device = 0; device < 3; device += 1) await assignDevice(edge);
    edge.downlinkApplied = 4;
    await edge.connect();
    const refuse = (seq: number): Rejection => ({ seq, code: "ALREADY_EXISTS", text: `Why ${seq}`, version: "1.0.0" });
    await settle(edge, 4, [refuse(2), refuse(4)]);
    return edge;
  }
  const path = (edge: Speaker, more: string): string => `/api/edge/${edge.account.edgeId}/events${more}`;

  test("is listed by its state", async () => {
    const edge = await withFailures();
    const failed = await eventsOf(edge, "&state=failed");
    expect(failed).toMatchObject({
      totalElements: 2,
      data: [
        { seqId: 2, reason: "ALREADY_EXISTS: Why 2" },
        { seqId: 4, reason: "ALREADY_EXISTS: Why 4" },
      ],
    });
    expect((await eventsOf(edge, "&state=applied")).data.map(({ seqId }) => seqId)).toEqual([1, 3]);
    expect((await cloud.request("GET", path(edge, "?pageSize=1&page=0&state=x"))).status).toBe(400);
  });

  test("is replayed once, by sequence or by id, as a new one about the same, which the old one names", async () => {
    const edge = await withFailures();
    cloud.woken.length = 0;
    expect(await cloud.call("POST", path(edge, "/2/replay"))).toEqual({ replayed: [5] });
    expect(cloud.woken).toEqual([edge.account.edgeId]);
    const { data } = await eventsOf(edge);
    expect(data[1]).toMatchObject({ state: "replayed", replaySeqId: 5 });
    expect(data[4]).toMatchObject({ state: "queued", action: "ASSIGNED_TO_EDGE", entityId: data[1]?.["entityId"] });
    expect((await cloud.request("POST", path(edge, "/2/replay"))).status).toBe(404);
    expect(await cloud.call("POST", path(edge, `/${String(data[3]?.["uid"])}/replay`))).toEqual({ replayed: [6] });
    expect((await cloud.request("POST", path(edge, "/1/replay"))).status).toBe(404);
    expect((await cloud.request("POST", path(edge, "/x/replay"))).status).toBe(400);
  });

  test("is replayed with all others of its code, by two callers at once only once", async () => {
    const edge = await withFailures();
    expect(await cloud.call("POST", path(edge, "/replay?code=NOT_FOUND"))).toEqual({ replayed: [] });
    const { edgeId } = edge.account;
    const both = [replayFailed(cloud.unitOfWork, { edgeId }), replayFailed(cloud.unitOfWork, { edgeId })];
    expect((await Promise.all(both)).flat()).toEqual([5, 6]);
    expect(await statesOf(edge)).toEqual(["applied", "replayed", "applied", "replayed", "queued", "queued"]);
  });

  test("is discarded", async () => {
    const edge = await withFailures();
    expect(await cloud.request("DELETE", path(edge, "/2"))).toMatchObject({ status: 200 });
    expect((await cloud.request("DELETE", path(edge, "/2"))).status).toBe(404);
    expect((await cloud.request("DELETE", path(edge, "/4"), { token: cloud.second.token })).status).toBe(404);
    expect(await statesOf(edge)).toEqual(["applied", "discarded", "applied", "failed"]);
  });
});
