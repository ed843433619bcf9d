import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { createUuid } from "../../shared/core/ids.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { readLatest } from "../../shared/store/telemetry-store.ts";
import { createTestDir, startServer } from "./postgres-support.ts";

const dir = createTestDir();
const server = await startServer(join(dir.path, "data"));
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

const open = (): Promise<EdgeStores> =>
  openEdgeStores({
    openScriptSandbox,
    database: server,
    migrations: MIGRATIONS,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    createHasher: createSha256,
    blobBytesMax: 1,
    onOutbox: () => undefined,
  });

const entityId = createUuid(systemClock, systemRandom);
const record = (tsMs: number, values: string, keySet: string): TelemetryRecord => ({
  entityId,
  tsMs,
  values: values as CanonicalJson,
  keySet,
});

async function latestOf(stores: EdgeStores): Promise<Record<string, unknown>> {
  const points = await readLatest(stores.db, { entityId });
  return Object.fromEntries([...points].map(([key, { tsMs, value }]) => [key, [tsMs, value]]));
}

test("settleLatest() makes the newest value of each key readable, whatever the order of the records", async () => {
  await using stores = await open();
  const stop = new AbortController();
  const loop = stores.groupCommit.runLoop(stop.signal);
  await stores.groupCommit.saveTelemetry([record(5, `{"a":5}`, "a"), record(3, `{"a":3,"b":3}`, "a\nb")]);
  await stores.groupCommit.saveTelemetry([record(4, `{"a":4}`, "a")]);
  await stores.groupCommit.settleLatest();
  expect(await latestOf(stores)).toEqual({ a: [5, "5"], b: [3, "3"] });
  stop.abort();
  await loop;
});

test("openEdgeStores() takes up newest values that were committed but not written when the program was killed", async () => {
  await using killed = await open();
  // Never stopped: what it gathered is lost, as by SIGKILL.
  const forgotten = killed.groupCommit.runLoop(AbortSignal.timeout(60_000));
  await killed.groupCommit.saveTelemetry([record(9, `{"a":9.0}`, "a")]);
  expect(await latestOf(killed)).toMatchObject({ a: [5, "5"] });
  await using stores = await open();
  const stop = new AbortController();
  const loop = stores.groupCommit.runLoop(stop.signal);
  await stores.groupCommit.settleLatest();
  expect(await latestOf(stores)).toMatchObject({ a: [9, "9.0"], b: [3, "3"] });
  stop.abort();
  await loop;
  void forgotten;
});

test("newest values of many devices are written part by part, and commits go between the parts", async () => {
  await using stores = await open();
  const stop = new AbortController();
  const loop = stores.groupCommit.runLoop(stop.signal);
  const ids = Array.from({ length: 2_000 }, () => createUuid(systemClock, systemRandom));
  const of = (tsMs: number): TelemetryRecord[] =>
    ids.map((id) => ({ ...record(tsMs, `{"n":${tsMs}}`, "n"), entityId: id }));
  await stores.groupCommit.saveTelemetry(of(1));
  const order: string[] = [];
  const settled = stores.groupCommit.settleLatest().then(() => order.push("settled"));
  // Newer ones of all of them, while the older ones are being written.
  for (const tsMs of [2, 3]) {
    await stores.groupCommit.saveTelemetry(of(tsMs));
    order.push(`committed ${tsMs}`);
  }
  await settled;
  expect(order).toEqual(["committed 2", "committed 3", "settled"]);
  await stores.groupCommit.settleLatest();
  for (const entityId of [ids[0], ids[1_000], ids[1_999]]) {
    if (entityId === undefined) throw new Error("Expected 2,000 ids");
    expect([...(await readLatest(stores.db, { entityId }))]).toMatchObject([["n", { tsMs: 3, value: "3" }]]);
  }
  stop.abort();
  await loop;
});
