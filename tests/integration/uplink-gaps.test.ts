import { afterAll, beforeAll, expect, test } from "bun:test";
import { openSession } from "../../cloud/store/edge-session-store.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import type { UplinkOrigin } from "../../cloud/store/uplink.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { TelemetryGap } from "../../shared/entities/change.ts";
import { thinRecords, TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { Batch } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestBlobs } from "../support/postgres.ts";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

const deps = { clock, random };
const storeId = createUuid(clock, random);
let cloud: TestCloud;
let edgeId: Uuid;
let deviceId: Uuid;
let session = 0;
/** Entities whose telemetry was said to be committed. */
const told: Uuid[] = [];

beforeAll(async () => {
  cloud = await startTestCloud();
  const edge = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/edge", { name: "Edge", type: "default" });
  const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: "Device" });
  edgeId = edge.id.id;
  deviceId = device.id.id;
  await cloud.call("POST", `/api/edge/${edgeId}/device/${deviceId}`);
  const [account] = await cloud.database.sql<{ hash: string }[]>`select secret_hash as hash from edge`;
  const opened = await openSession(
    cloud.database.db,
    { edgeId, tenantId: cloud.first.tenantId, name: "Edge", type: "default", secretHash: account?.hash ?? "" },
    {
      type: "hello",
      protocolMin: 1,
      protocolMax: 1,
      edgeVersion: "1",
      storeId,
      lanes: [
        { lane: "config", nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 },
        { lane: "telemetry", nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 },
      ],
      cloudId: null,
      downlinkApplied: 0,
      downlinkTag: null,
      machineId: null,
      wallClockMs: 0,
      backlogOrder: "oldest-first",
    },
    { cloudId: createUuid(clock, random), replicaId: createUuid(clock, random), clock },
  );
  session = opened.session;
});
afterAll(() => cloud[Symbol.asyncDispose]());

function apply(lane: UplinkLane, batches: readonly Omit<Batch, "type" | "lane">[]) {
  const origin: UplinkOrigin = {
    edgeId,
    storeId,
    lane,
    session,
    tenantId: cloud.first.tenantId,
    edgeName: "Edge",
    cloudVersion: "1",
  };
  return applyUplink(
    cloud.database.db,
    { ...deps, blobs: createTestBlobs(cloud.database), onTelemetry: (ids) => void told.push(...ids) },
    {
      origin,
      batches: batches.map((batch) => ({ type: "batch", lane, ...batch })),
    },
  );
}

/** A row of `count` numbers of which the records at `keep` are left; every third is of a device that is not here. */
function thinnedRow(firstSeq: number, count: number, keep: readonly number[]): Omit<Batch, "type" | "lane"> {
  const stranger = "00000000-0000-4000-8000-00000000000f" as Uuid;
  const builder = new TelemetryColumnsBuilder();
  for (let offset = 0; offset < count; offset += 1) {
    const entityId = offset % 3 === 2 ? stranger : deviceId;
    builder.add({
      entityId,
      tsMs: firstSeq + offset,
      values: `{"n":${firstSeq + offset}}` as CanonicalJson,
      keySet: "n",
    });
  }
  return { firstSeq, count, ...compress(encodeTelemetry(thinRecords(builder.build(), keep))) };
}

test("applyUplink() stores what is left of thinned rows, passes all their numbers and refuses the right ones", async () => {
  const { rejections } = await apply("telemetry", [
    thinnedRow(1, 6, [0, 2, 4]),
    thinnedRow(7, 6, []),
    thinnedRow(13, 6, [5]),
  ]);
  expect(rejections.map(({ seq }) => seq)).toEqual([3, 18]);
  const rows = await cloud.database.sql<{ ts: number }[]>`select ts_ms as ts from telemetry order by 1`;
  expect(rows.map(({ ts }) => ts)).toEqual([1, 5]);
  const [mark] = await cloud.database.sql<
    { committed: string }[]
  >`select committed::text from edge_uplink where lane = 'telemetry'`;
  expect(mark?.committed).toBe("{[1,19)}");
});

test("applyUplink() says whose telemetry it has committed, and nothing of what it has not", async () => {
  told.length = 0;
  await apply("telemetry", [thinnedRow(19, 1, [0])]);
  expect(told).toEqual([deviceId]);
  session -= 1;
  await expect(apply("telemetry", [thinnedRow(20, 1, [0])])).rejects.toThrow();
  session += 1;
  expect(told).toEqual([deviceId]);
});

test("gaps that an edge tells are listed for the edge and for the device, and for nobody else", async () => {
  const gap = (id: Uuid, fromMs: number, records: number): TelemetryGap => ({
    kind: "telemetry-gap",
    entity: { type: "DEVICE", id },
    fromMs,
    toMs: fromMs + 100,
    records,
    reason: "thinned",
  });
  const gone = "00000000-0000-4000-8000-00000000000e" as Uuid;
  const item = (changes: readonly TelemetryGap[]) => compress(encodeItems([{ changedMs: 5_000, changes }]));
  const { rejections } = await apply("config", [
    { firstSeq: 1, count: 1, ...item([gap(deviceId, 1_000, 10), gap(gone, 1_000, 7)]) },
    { firstSeq: 2, count: 1, ...item([gap(deviceId, 1_000, 5), gap(deviceId, 2_000, 1)]) },
  ]);
  expect(rejections).toEqual([]);
  const ofEdge = await cloud.call<{ data: { deviceId: { id: Uuid }; records: number }[] }>(
    "GET",
    `/api/edge/${edgeId}/gaps?page=0&pageSize=10`,
  );
  expect(ofEdge.data.reduce((sum, { records }) => sum + records, 0)).toBe(23);
  const ofDevice = await cloud.call<{ data: Record<string, unknown>[] }>(
    "GET",
    `/api/device/${deviceId}/gaps?page=0&pageSize=10`,
  );
  expect(ofDevice.data).toEqual([
    {
      deviceId: { entityType: "DEVICE", id: deviceId },
      edgeId: { entityType: "EDGE", id: edgeId },
      startTs: 1_000,
      endTs: 2_100,
      records: 16,
      reason: "thinned",
      removedTime: 5_000,
    },
  ]);
  const { token } = await addCustomerUser(cloud);
  for (const path of [`/api/device/${deviceId}/gaps`, `/api/edge/${edgeId}/gaps`]) {
    for (const stranger of [token, cloud.second.token]) {
      const answer = await cloud.request("GET", `${path}?page=0&pageSize=10`, { token: stranger });
      expect([403, 404]).toContain(answer.status);
    }
  }
});
