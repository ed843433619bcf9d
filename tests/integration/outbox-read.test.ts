import { afterAll, beforeAll, expect, test } from "bun:test";
import { createGroupCommit, type GroupCommit } from "../../edge/store/group-commit.ts";
import { createOutbox, type Outbox } from "../../edge/store/outbox.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { SEQ_MAX, type SeqRange } from "../../shared/core/seq-range.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql, type Sql } from "../../shared/postgres/connect.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestBlobs, startTestPostgres, type TestPostgres } from "../support/postgres.ts";

let postgres: TestPostgres;
let writerSql: Sql;
let groupCommit: GroupCommit;
let outbox: Outbox;
let running: Promise<void>;
const stop = new AbortController();
const entityId = createUuid(systemClock, systemRandom);

beforeAll(async () => {
  postgres = await startTestPostgres();
  const database = await postgres.createDatabase("edge");
  writerSql = openSql(database.connection, { applicationName: "test writer", max: 1, arrays: false }, silentLog);
  const deps = {
    sql: writerSql,
    blobs: createTestBlobs(database),
    clock: systemClock,
    log: silentLog,
    onCommitted: () => undefined,
  };
  groupCommit = await createGroupCommit(deps);
  outbox = createOutbox(database.sql);
  running = groupCommit.runLoop(stop.signal);
  // Three rows of two records each, a row of many, two more of one each.
  for (const [first, count] of ROWS) await groupCommit.saveTelemetry(records(first, count));
});
afterAll(async () => {
  stop.abort();
  await running;
  await closeSql(writerSql);
  await postgres[Symbol.asyncDispose]();
});

const ROWS = [
  [1, 2],
  [3, 2],
  [5, 2],
  [7, 1_500],
  [1_507, 1],
  [1_508, 1],
] as const;

/** Record number n, from 1, has the time n. */
function records(first: number, count: number): TelemetryRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    entityId,
    tsMs: first + index,
    values: `{"n":${first + index}}` as CanonicalJson,
    keySet: "n",
  }));
}

const bounds = ({ firstSeq, count }: OutgoingBatch): number[] => [firstSeq, count];

async function readAfter(
  afterSeq: number,
  { upToSeq = SEQ_MAX, frameBytesMax = 1_000_000 } = {},
): Promise<readonly OutgoingBatch[]> {
  const request = { afterSeq, upToSeq, bytesMax: 1_000_000, itemsMax: 10_000, frameBytesMax };
  return (await outbox.read("telemetry", request)).batches;
}

/** Each record holds its number as its time. */
function expectWhole(batches: readonly OutgoingBatch[], { first, last }: SeqRange): void {
  let next = first;
  for (const batch of batches) {
    expect(batch.firstSeq).toBe(next);
    const { tsMs } = decodeTelemetry(decompress(batch), batch.count);
    expect(tsMs).toEqual(Array.from({ length: batch.count }, (_, index) => batch.firstSeq + index));
    next += batch.count;
  }
  expect(next - 1).toBe(last);
}

test("read() joins the rows of small commits into one batch, and sends large ones as they are stored", async () => {
  const batches = await readAfter(0);
  expect(batches.map(bounds)).toEqual([
    [1, 6],
    [7, 1_500],
    [1_507, 2],
  ]);
  expectWhole(batches, { first: 1, last: 1_508 });
});

test("read() begins inside a row whose first records are committed, and joins what follows", async () => {
  const batches = await readAfter(1);
  expect(batches.map(bounds).slice(0, 2)).toEqual([
    [2, 1],
    [3, 4],
  ]);
});

test("read() ends where the range does, also inside of a row", async () => {
  const batches = await readAfter(2, { upToSeq: 1_000 });
  expectWhole(batches, { first: 3, last: 1_000 });
  expect(await readAfter(1_000, { upToSeq: 1_000 })).toEqual([]);
});

test("read() cuts a row into frames about as large as asked for", async () => {
  const [whole] = await readAfter(6);
  const frameBytesMax = Math.ceil((whole?.payload.length ?? 0) / 4);
  const batches = await readAfter(6, { upToSeq: 1_506, frameBytesMax });
  expectWhole(batches, { first: 7, last: 1_506 });
  expect(batches.length).toBeGreaterThanOrEqual(4);
  for (const { payload } of batches) expect(payload.length).toBeLessThan(frameBytesMax * 2);
});

test("settle() keeps what is committed as ranges, whose first part is the cursor", async () => {
  const nowMs = systemClock.nowMs();
  const settle = (...committed: readonly SeqRange[]) =>
    outbox.settle("telemetry", { committed, rejections: [], nowMs });
  await settle({ first: 7, last: 20 }, { first: 1_000, last: 1_100 });
  expect((await outbox.range("telemetry")).ackedSeq).toBe(0);
  await settle({ first: 1, last: 6 });
  expect((await outbox.range("telemetry")).ackedSeq).toBe(20);
  await settle({ first: 21, last: 999 });
  expect((await outbox.range("telemetry")).ackedSeq).toBe(1_100);
});
