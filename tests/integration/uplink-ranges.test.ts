import { afterAll, beforeAll, expect, test } from "bun:test";
import { openSession } from "../../cloud/store/edge-session-store.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { BacklogOrder } from "../../shared/sync/frames.ts";
import { compress } from "../../shared/wire/compression.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestBlobs } from "../support/postgres.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

const storeId = createUuid(clock, random);
const replicaId = createUuid(clock, random);
let cloud: TestCloud;
let edgeId: Uuid;
let deviceId: Uuid;

beforeAll(async () => {
  cloud = await startTestCloud();
  const edge = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/edge", { name: "Edge", type: "default" });
  const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: "Device" });
  edgeId = edge.id.id;
  deviceId = device.id.id;
  await cloud.call("POST", `/api/edge/${edgeId}/device/${deviceId}`);
});
afterAll(() => cloud[Symbol.asyncDispose]());

async function connect(nextSeq: number, backlogOrder: BacklogOrder, oldestSeq = 1) {
  const [account] = await cloud.database.sql<{ hash: string }[]>`select secret_hash as hash from edge`;
  return openSession(
    cloud.database.db,
    { edgeId, tenantId: cloud.first.tenantId, name: "Edge", type: "default", secretHash: account?.hash ?? "" },
    {
      type: "hello",
      protocolMin: 1,
      protocolMax: 1,
      edgeVersion: "1",
      storeId,
      lanes: [{ lane: "telemetry", nextSeq, oldestSeq, ackedSeq: 0, firstSeq: 1 }],
      cloudId: null,
      downlinkApplied: 0,
      downlinkTag: null,
      machineId: replicaId,
      wallClockMs: 0,
      backlogOrder,
    },
    { cloudId: replicaId, replicaId, clock },
  );
}

/** Records of times 1, 2, … with these numbers as their values. */
function apply(session: number, firstSeq: number, numbers: readonly number[]) {
  const builder = new TelemetryColumnsBuilder();
  for (const [index, n] of numbers.entries())
    builder.add({ entityId: deviceId, tsMs: index + 1, values: `{"n":${n}}` as CanonicalJson, keySet: "n" });
  const payload = compress(encodeTelemetry(builder.build()));
  const { tenantId } = cloud.first;
  const lane = "telemetry";
  return applyUplink(
    cloud.database.db,
    { clock, random, blobs: createTestBlobs(cloud.database) },
    {
      origin: { edgeId, storeId, lane, session, tenantId, edgeName: "Edge", cloudVersion: "1" },
      batches: [{ type: "batch", lane, firstSeq, count: numbers.length, ...payload }],
    },
  );
}

async function committed(): Promise<string | undefined> {
  const [row] = await cloud.database.sql<{ text: string }[]>`select committed::text as text from edge_uplink`;
  return row?.text;
}

async function values(): Promise<readonly number[]> {
  const rows = await cloud.database.sql<
    { n: number }[]
  >`select ("values"->>'n')::int as n from telemetry order by ts_ms`;
  return rows.map(({ n }) => n);
}

test("what is committed has gaps while a backlog drains, takes nothing twice, and a later sequence wins", async () => {
  const { courses, session } = await connect(11, "interleaved");
  expect(courses).toEqual([
    { lane: "live", course: [{ first: 11, last: SEQ_MAX }] },
    { lane: "telemetry", course: [{ first: 1, last: 10 }] },
  ]);
  await apply(session, 11, [11, 12]);
  await apply(session, 5, [5, 6, 7]);
  expect(await committed()).toBe("{[5,8),[11,13)}");
  expect(await values()).toEqual([11, 12, 7]);
  const [latest] = await cloud.database.sql<{ value: number }[]>`select value from telemetry_latest where key = 'n'`;
  expect(latest?.value).toBe(7);
  for (const [first, numbers] of [
    [4, [1, 2]],
    [7, [1, 2, 3, 4]],
    [12, [1]],
  ] as const) {
    const failure = await apply(session, first, numbers).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "SESSION_FENCED" });
  }
  expect(await committed()).toBe("{[5,8),[11,13)}");

  const next = await connect(13, "newest-first");
  expect(next.courses.map(({ lane, course }) => [lane, course[0], course.length])).toEqual([
    ["live", { first: 13, last: SEQ_MAX }, 1],
    ["telemetry", { first: 8, last: 10 }, 2],
  ]);
  const seen = next.missedAcks.map(({ lane, seq }) => [lane, seq]);
  expect(seen).toEqual([
    ["telemetry", 7],
    ["telemetry", 12],
  ]);
  expect(await apply(session, 8, [8]).catch((error: unknown) => error)).toMatchObject({ code: "SESSION_FENCED" });
  await apply(next.session, 13, [13]);
  expect(await values()).toEqual([13, 12, 7]);
});

test("what the edge no longer has counts as committed, and is noted", async () => {
  const { courses, notes } = await connect(14, "oldest-first", 9);
  expect(courses).toEqual([
    {
      lane: "telemetry",
      course: [
        { first: 9, last: 10 },
        { first: 14, last: SEQ_MAX },
      ],
    },
  ]);
  expect(notes).toContain("Lane telemetry has a gap: 1 to 4, 8 to 8 are no longer on the edge");
  await expect(connect(13, "oldest-first")).rejects.toMatchObject({ code: "STORE_MISMATCH" });
});
