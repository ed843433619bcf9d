import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { readOutgoing } from "../../cloud/store/downlink-store.ts";
import { openSession } from "../../cloud/store/edge-session-store.ts";
import { hashEdgeSecret } from "../../cloud/store/edge-store.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { ensurePartitions } from "../../edge/store/outbox-partitions.ts";
import { insertConfigEvents } from "../../edge/store/outbox-rows.ts";
import { openSite, saveSite } from "../../edge/store/site-store.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { ChangeItem } from "../../shared/entities/change.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { Batch } from "../../shared/sync/frames.ts";
import { decodeItems, encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { createTestBlobs, type TestDatabase } from "../support/postgres.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { HELLO } from "../unit/sync-values.ts";

// One device that both sides edit without hearing of each other. Its edge and its cloud are the stores; what goes between them is read,
// encoded and applied as in a session, each step when the test says so.

let cloud: TestCloud;
let database: TestDatabase;
let blobs: BlobStore;
let tenantId: Uuid;
let edgeId: Uuid;
let session = 0;
let customerId: string;
let names = 0;
let storeId: Uuid;

/** Config rows of the edge that were written, and that the cloud has committed. */
let written = 0;
let heard = 0;
/** Downlinks that were read, and what of them is on its way. */
let looked = 0;
const underWay: Batch[] = [];

beforeAll(async () => {
  cloud = await startTestCloud();
  ({ tenantId } = cloud.first);
  database = await cloud.createEdgeDatabase();
  blobs = createTestBlobs(database);
  const { clock } = cloud;
  storeId = createUuid(clock, random);
  const made = await cloud.call<{ id: { id: Uuid }; routingKey: string; secret: string }>("POST", "/api/edge", {
    name: "Edge",
  });
  edgeId = made.id.id;
  await openSite(database.db);
  await ensurePartitions(database.sql, "config", 1, 1);
  await saveSite(database.db, {
    edgeId,
    tenantId,
    name: "Edge",
    type: "default",
    cloudId: NULL_UUID,
    downlinkApplied: 0,
  });
  const account = { edgeId, tenantId, name: "Edge", type: "default" };
  const secretHash = hashEdgeSecret(made.routingKey, made.secret);
  const lane = { nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 };
  const lanes = (["config", "telemetry"] as const).map((name) => ({ ...lane, lane: name }));
  const hello = { ...HELLO, storeId, lanes, cloudId: NULL_UUID, machineId: null, wallClockMs: clock.nowMs() };
  const opening = { cloudId: NULL_UUID, replicaId: NULL_UUID, clock };
  ({ session } = await openSession(cloud.database.db, { ...account, secretHash }, hello, opening));
  const customer = await cloud.call<{ id: { id: string } }>("POST", "/api/customer", { title: "Customer" });
  customerId = customer.id.id;
});
afterAll(() => cloud[Symbol.asyncDispose]());

const edgeWork: UnitOfWork = {
  run: (work) =>
    database.db.transaction(async (tx) => {
      const { changes, result } = await work(tx);
      const firstSeq = written + 1;
      written = (await insertConfigEvents(tx, { blobs, clock: cloud.clock }, { changes, firstSeq })).nextSeq - 1;
      return result;
    }),
};

/** The next row of the edge is committed by the cloud. @returns whether there was one, and was taken */
async function up(spoil: (item: ChangeItem) => ChangeItem = (item) => item): Promise<boolean> {
  const [row] = await database.sql<{ compression: Batch["compression"]; payload: Uint8Array }[]>`
    select compression, payload from cloud_event where lane = 'config' and first_seq = ${heard + 1}`;
  if (row === undefined) return false;
  const items = decodeItems(decompress(row), 1).map((item) => spoil(item as ChangeItem));
  const batch = {
    type: "batch",
    lane: "config",
    firstSeq: heard + 1,
    count: 1,
    ...compress(encodeItems(items)),
  } as const;
  const origin = { edgeId, storeId, lane: "config", session, tenantId, edgeName: "Edge", cloudVersion: "2" } as const;
  const deps = { clock: cloud.clock, random, blobs: createTestBlobs(cloud.database) };
  const { rejections } = await applyUplink(cloud.database.db, deps, { origin, batches: [batch] });
  heard += 1;
  return rejections.length === 0;
}

/** The cloud reads what waits for the edge, in two steps, between which `meanwhile` happens. @returns whether there was something */
async function look(meanwhile: () => Promise<unknown> = () => Promise.resolve()): Promise<boolean> {
  const { heardSeq, rows } = await readOutgoing(cloud.database.db, edgeId, { afterSeq: looked, limit: 1_000 });
  if (rows.length === 0) return false;
  await meanwhile();
  const items: ChangeItem[] = [];
  for (const row of rows) {
    const changes = await loadEntityChanges(cloud.database.db, row, cloud.clock.nowMs());
    items.push({ changedMs: row.createdMs, changes, unknown: 0 });
  }
  const place = { lane: "downlink", firstSeq: looked + 1, count: rows.length, heardSeq } as const;
  underWay.push({ type: "batch", ...place, ...compress(encodeItems(items)) });
  looked += rows.length;
  return true;
}

/** The oldest batch reaches the edge. */
async function deliver(): Promise<Batch | undefined> {
  const batch = underWay.shift();
  const deps = { clock: cloud.clock, random, edgeVersion: "test", blobs };
  if (batch !== undefined) await applyDownlinks(edgeWork, deps, [batch]);
  return batch;
}

async function settle(): Promise<void> {
  for (let round = 0; round < 50; round += 1) {
    const news = [await up(), await look(), (await deliver()) !== undefined];
    if (!news.includes(true) && heard === written) return;
  }
  throw new Error("The two sides never come to rest");
}

const onEdge = (id: Uuid): Promise<EntityRecord | null> => findEntity(database.db, { type: "DEVICE", id });
const inCloud = (id: Uuid): Promise<EntityRecord | null> => findEntity(cloud.database.db, { type: "DEVICE", id });
const contentOf = (record: EntityRecord | null) => record && { ...record, createdMs: 0 };

interface Fields {
  readonly label?: string;
  readonly additionalInfo?: { readonly [key: string]: number };
}

async function editOnEdge(id: Uuid, fields: Fields): Promise<void> {
  const stored = await onEdge(id);
  if (stored === null) return;
  const input = { id, name: stored.name, label: stored.label ?? undefined, ...(stored.body as Fields), ...fields };
  await edgeWork.run((tx) => saveDevice(tx, { clock: cloud.clock, random }, { tenantId, input }));
}

async function editInCloud(id: Uuid, fields: Fields): Promise<void> {
  const { version: _version, ...stored } = await cloud.call("GET", `/api/device/${id}`);
  await cloud.call("POST", "/api/device", { ...stored, ...fields });
}

async function newDevice(): Promise<Uuid> {
  const made = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: `Device ${(names += 1)}` });
  await cloud.call("POST", `/api/edge/${edgeId}/device/${made.id.id}`);
  await settle();
  return made.id.id;
}

describe("an edit on the edge that the cloud has not heard of", () => {
  test("stays in sight while what the cloud said before arrives, whatever its version, until the joined one comes", async () => {
    const id = await newDevice();
    for (const label of ["one", "two", "three"]) await editInCloud(id, { label, additionalInfo: { a: 1 } });
    await editOnEdge(id, { label: "edge" });
    await look();
    await deliver();
    expect(await onEdge(id)).toMatchObject({ label: "edge" });
    expect((await onEdge(id))?.body["additionalInfo"]).toBeNull();
    await settle();
    expect(await onEdge(id)).toMatchObject({ label: "three", body: { additionalInfo: { a: 1 } } });
    expect(contentOf(await onEdge(id))).toEqual(contentOf(await inCloud(id)));
  });

  test("that is refused gives way to what the cloud said meanwhile", async () => {
    const id = await newDevice();
    for (const label of ["one", "two"]) await editInCloud(id, { label });
    await editOnEdge(id, { label: "edge" });
    await look();
    await deliver();
    const isTaken = await up((item) => ({
      ...item,
      changes: item.changes.map((change) => ("body" in change ? { ...change, body: "{}" } : change)),
    }));
    expect([isTaken, (await onEdge(id))?.label]).toEqual([false, "edge"]);
    await settle();
    expect(await onEdge(id)).toMatchObject({ label: "two" });
  });

  test("hides no customer, and no deletion", async () => {
    const id = await newDevice();
    await cloud.call("POST", `/api/customer/${customerId}/device/${id}`);
    await editOnEdge(id, { label: "edge" });
    await look();
    await deliver();
    await settle();
    expect(await onEdge(id)).toMatchObject({ label: "edge", customerId });
    // The same on both sides, but for what only the cloud says.
    await editInCloud(id, { label: "same" });
    await cloud.call("DELETE", `/api/customer/device/${id}`);
    await editOnEdge(id, { label: "same" });
    await look();
    await deliver();
    expect(await onEdge(id)).toMatchObject({ label: "same", customerId });
    await settle();
    expect(contentOf(await onEdge(id))).toEqual(contentOf(await inCloud(id)));
    await editOnEdge(id, { label: "again" });
    await cloud.call("DELETE", `/api/device/${id}`);
    await look();
    await deliver();
    expect(await onEdge(id)).toBeNull();
    await settle();
    expect(await inCloud(id)).toBeNull();
  });
});

test("both sides come to one state after any edits in any order, and none of the edge's goes out of sight before it was heard", async () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const dice = createSeededRandom(seed);
    const pick = <T>(list: readonly [T, ...T[]]): T => list[Math.floor(dice.float() * list.length)] ?? list[0];
    const id = await newDevice();
    const ofCustomer = `/api/customer/${customerId}/device/${id}`;
    const fields = (who: string, step: number): Fields =>
      pick([{ label: `${who} ${step}` }, { additionalInfo: { [pick(["a", "b"])]: step } }, { label: "same" }]);
    const receive = async (step: number): Promise<void> => {
      const before = await onEdge(id);
      const lastSeq = written;
      const [last] = await database.sql<{ seq: number }[]>`
        select coalesce(max(first_seq), 0)::int as seq from cloud_event where lane = 'config' and entity_id = ${id} and action = 'UPDATED'`;
      const batch = await deliver();
      const isHeard = batch === undefined || (last?.seq ?? 0) <= (batch.heardSeq ?? 0);
      const after = await onEdge(id);
      if (isHeard || before === null || after === null) return;
      const shown = ({ label, body }: EntityRecord) => ({ seed, step, label, info: body["additionalInfo"] });
      expect(shown(after)).toEqual(shown(before));
      expect(written).toBe(lastSeq);
    };
    for (let step = 0; step < 30; step += 1) {
      const roll = dice.float();
      if (roll < 0.25) await editOnEdge(id, fields("edge", step));
      else if (roll < 0.45) await editInCloud(id, fields("cloud", step));
      else if (roll < 0.5)
        await cloud.request(
          pick(["POST", "DELETE"]),
          ofCustomer.replace(/^.*customer\/[^/]*/, pick([`/api/customer/${customerId}`, "/api/customer"])),
        );
      else if (roll < 0.65) await up();
      else if (roll < 0.75) await look();
      else if (roll < 0.8) await look(up);
      else await receive(step);
    }
    await settle();
    expect({ seed, ...contentOf(await onEdge(id)) }).toEqual({ seed, ...contentOf(await inCloud(id)) });
  }
});
