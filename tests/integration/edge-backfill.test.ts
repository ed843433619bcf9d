import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { createBackfill } from "../../edge/sync/backfill.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import { parseBackfillRecord, type BackfillRecord } from "../../shared/entities/backfill.ts";
import { recordsOf } from "../../shared/entities/telemetry-columns.ts";
import { readTelemetry } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import { backfillSaved, findOpenBackfill } from "../../shared/store/backfill-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { eraseEntity } from "../../shared/store/entity-store.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { waitFor } from "../support/wait-for.ts";
import { createTestDir, startServer } from "./postgres-support.ts";

const COUNT = 2_500;
const START_MS = 1_700_000_000_000;

const dir = createTestDir();
let server: Awaited<ReturnType<typeof startServer>>;
let stores: EdgeStores;
let tenantId: Uuid;
let deviceId: Uuid;
const stop = new AbortController();
let committing: Promise<void>;
/** What the cloud is told, the newest last. */
const told: BackfillRecord[] = [];
let devices = 0;
/** How often a runner has looked whether much waits. */
let looks = 0;

beforeAll(async () => {
  server = await startServer(join(dir.path, "data"));
  const database = { database: server, migrations: MIGRATIONS, clock, random, log: silentLog };
  stores = await openEdgeStores({
    ...database,
    createHasher: createSha256,
    openScriptSandbox,
    blobBytesMax: 1,
    onOutbox: () => undefined,
  });
  ({ tenantId } = await stores.readSite());
  committing = stores.groupCommit.runLoop(stop.signal);
  stores.registry.watchChanges((changes) => {
    for (const change of changes) if (change.kind === "backfill-saved") told.push(parseBackfillRecord(change.body));
  });
});
afterAll(async () => {
  stop.abort();
  await committing;
  await stores[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});
/** A device whose records the cloud has: n and m, a second apart. */
beforeEach(async () => {
  devices += 1;
  const input = { name: `Meter ${devices}` };
  deviceId = (await stores.groupCommit.run((tx) => saveDevice(tx, { clock, random }, { tenantId, input }))).id;
  const payload = Array.from({ length: COUNT }, (_, n) => ({ ts: START_MS + n * 1_000, values: { n, m: "x" } }));
  const readings = readTelemetry(JSON.stringify(payload), { nowMs: 0, nulls: "skip" });
  await stores.groupCommit.saveTelemetry(readings.map((reading) => ({ entityId: deviceId, ...reading })));
  await acknowledge();
  told.length = 0;
});

/** As the cloud does with all that was sent. */
async function acknowledge(): Promise<void> {
  const last = stores.groupCommit.nextSeq("telemetry") - 1;
  const committed = last === 0 ? [] : [{ first: 1, last }];
  await stores.outbox.settle("telemetry", { committed, rejections: [], nowMs: clock.nowMs() });
}

function request(more: Partial<BackfillRecord> = {}): BackfillRecord {
  return {
    id: createUuid(clock, random),
    entity: { type: "DEVICE", id: deviceId },
    keys: null,
    startMs: START_MS,
    endMs: START_MS + COUNT * 1_000,
    createdMs: clock.nowMs(),
    state: "QUEUED",
    reason: null,
    nextMs: START_MS,
    records: 0,
    ...more,
  };
}

/** A downlink of the cloud. */
async function hear(record: BackfillRecord): Promise<void> {
  const context = { from: "cloud", tenantId, edgeName: "", changedMs: clock.nowMs() } as const;
  const change = backfillSaved(record);
  const effects = await stores.groupCommit.run(async (tx) => {
    const result = await applyChange(tx, { clock, random }, { change, context });
    if (result.kind !== "applied") throw new Error(result.text);
    return { result: result.effects, changes: result.followUps };
  });
  stores.registry.publish(effects);
  told.splice(0, told.length, ...told.filter(({ state }) => state !== "QUEUED"));
}

/** Until `work` is done. */
async function withRunner(work: () => Promise<unknown>): Promise<void> {
  const outbox: Pick<EdgeStores["outbox"], "range"> = {
    range: (lane) => {
      looks += 1;
      return stores.outbox.range(lane);
    },
  };
  const backfill = createBackfill({ ...stores, outbox, clock, log: silentLog });
  const unwatch = stores.registry.watchChanges((changes) => backfill.note(changes));
  const end = new AbortController();
  const running = backfill.run(end.signal);
  try {
    await work();
  } finally {
    end.abort();
    await running;
    unwatch();
  }
}

const sentFrom = (): number => stores.groupCommit.nextSeq("telemetry") - 1;

/** What went to the outbox above a sequence: values of `n`. */
async function sentAbove(afterSeq: number): Promise<readonly string[]> {
  const range = { afterSeq, upToSeq: SEQ_MAX, bytesMax: 1e9, itemsMax: 1e9, frameBytesMax: Infinity };
  const { batches } = await stores.outbox.read("telemetry", range);
  return batches
    .flatMap((batch) => recordsOf(decodeTelemetry(decompress(batch), batch.count), "outbox"))
    .map(({ values }) => values);
}

const isDone = (): boolean => told.at(-1)?.state === "DONE";

test("history is sent in portions, the next when the cloud has the last, each record once, also across a restart", async () => {
  const before = sentFrom();
  await hear(request());
  await withRunner(() => waitFor("as much as may wait", () => sentFrom() === before + 2_000));
  const halfway = await findOpenBackfill(stores.db);
  expect(halfway).toMatchObject({ state: "RUNNING", nextMs: START_MS + 2_000_000 - 999, records: 2_000 });
  await withRunner(async () => {
    await acknowledge();
    await waitFor("the end", isDone);
  });
  expect(told.at(-1)).toMatchObject({ state: "DONE", records: COUNT, nextMs: START_MS + COUNT * 1_000 });
  expect(await sentAbove(before)).toEqual(Array.from({ length: COUNT }, (_, n) => `{"m":"x","n":${n}}`));
  expect(await findOpenBackfill(stores.db)).toBeNull();
});

test("only keys and times that are asked for are sent", async () => {
  const before = sentFrom();
  await hear(
    request({ keys: ["n", "other"], startMs: START_MS + 1_000, nextMs: START_MS + 1_000, endMs: START_MS + 3_000 }),
  );
  await withRunner(() => waitFor("the end", isDone));
  expect(await sentAbove(before)).toEqual(['{"n":1}', '{"n":2}']);
  expect(told.at(-1)?.records).toBe(2);
});

test("nothing is sent while a backlog waits, and a request that is cancelled ends", async () => {
  const { groupCommit } = stores;
  const other = createUuid(clock, random);
  const payload = JSON.stringify(Array.from({ length: 1_500 }, (_, n) => ({ ts: START_MS + n, values: { n } })));
  const readings = readTelemetry(payload, { nowMs: 0, nulls: "skip" });
  await groupCommit.saveTelemetry(readings.map((reading) => ({ entityId: other, ...reading })));
  const before = sentFrom();
  const asked = request();
  await hear(asked);
  await withRunner(async () => {
    const seen = looks;
    await waitFor("it to be looked at again", () => looks > seen + 1);
    expect(sentFrom()).toBe(before);
    await hear({ ...asked, state: "CANCELLED" });
    await acknowledge();
    await waitFor("it to be forgotten", async () => (await findOpenBackfill(stores.db)) === null);
  });
  expect(sentFrom()).toBe(before);
});

test("what is not on the edge, or leaves it, fails with the reason", async () => {
  const unknown = createUuid(clock, random);
  await hear(request({ entity: { type: "DEVICE", id: unknown } }));
  expect(told.at(-1)).toMatchObject({ state: "FAILED", reason: `DEVICE with id [${unknown}] is not on this edge` });
  await hear(request());
  await stores.groupCommit.run(async (tx) => {
    await eraseEntity(tx, deviceId);
    return { result: undefined, changes: [] };
  });
  await withRunner(() => waitFor("it to fail", () => told.at(-1)?.reason?.endsWith("any more") === true));
});
