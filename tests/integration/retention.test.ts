import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { ensureHistory, pruneHistory, readHistory } from "../../edge/store/history.ts";
import { ensurePartitions, outboxTable, pruneOutbox } from "../../edge/store/outbox-partitions.ts";
import { createOutbox } from "../../edge/store/outbox.ts";
import { createRetention, type Retention } from "../../edge/store/retention.ts";
import { silentLog } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { listPartitions } from "../../shared/store/partitions.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 10, 24, 12);
const DEVICE_ID = "00000000-0000-4000-8000-000000000001";
const LIMITS = { historyDays: 30, historyBytesMax: 1e9, transferredDays: 7, transferredBytesMax: 1e9 };

let postgres: TestPostgres;
let sql: Sql;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  ({ sql } = await postgres.createDatabase("edge"));
});

/** `copies` rows a ms apart, some 100 bytes each. */
async function store(tsMs: number, copies = 1): Promise<void> {
  await sql`
    insert into telemetry select ${DEVICE_ID}::uuid, ${tsMs}::bigint + n, jsonb_build_object('text', repeat('x', 60), 'n', n)
    from generate_series(0, ${copies - 1}) as n`;
}

async function storedTimes(): Promise<number[]> {
  return (await sql<{ ts: number }[]>`select ts_ms as ts from telemetry order by 1`).map(({ ts }) => ts);
}

async function partitionOf(tsMs: number): Promise<string | undefined> {
  const rows = await sql<
    { name: string }[]
  >`select tableoid::regclass::text as name from telemetry where ts_ms = ${tsMs}`;
  return rows[0]?.name;
}

describe("ensureHistory()", () => {
  test("makes the day of now and the next, once, however often it is asked", async () => {
    for (let round = 0; round < 3; round += 1) await ensureHistory(sql, NOW_MS, DAY_MS);
    const { partitions } = await readHistory(sql);
    const today = Date.UTC(2026, 10, 24);
    expect(partitions.map(({ from, to }) => [from, to])).toEqual([
      [today, today + DAY_MS],
      [today + DAY_MS, today + 2 * DAY_MS],
    ]);
  });

  test("keeps odd times without making partitions for them", async () => {
    await ensureHistory(sql, NOW_MS, DAY_MS);
    const odd = [-5_000, 0, Date.UTC(1970, 0, 1, 5), Date.UTC(2036, 10, 24), Number.MAX_SAFE_INTEGER];
    for (const tsMs of odd) await store(tsMs);
    expect(await storedTimes()).toEqual(odd);
    expect((await readHistory(sql)).partitions).toHaveLength(2);
  });

  test("takes over what came before the partition was there", async () => {
    await store(NOW_MS, 3);
    await ensureHistory(sql, NOW_MS, DAY_MS);
    expect(await partitionOf(NOW_MS)).toBe(`telemetry_${Date.UTC(2026, 10, 24)}`);
    expect(await storedTimes()).toHaveLength(3);
  });

  test("gives up at once while its table is in use, so that nobody waits behind it", async () => {
    const release = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    const reader = sql.begin(async (tx) => {
      await tx`select from telemetry`;
      reading.resolve();
      await release.promise;
    });
    await reading.promise;
    await ensureHistory(sql, NOW_MS, DAY_MS);
    expect((await readHistory(sql)).partitions).toEqual([]);
    release.resolve();
    await reader;
    await ensureHistory(sql, NOW_MS, DAY_MS);
    expect((await readHistory(sql)).partitions).toHaveLength(2);
  });
});

describe("pruneHistory()", () => {
  const yesterday = NOW_MS - DAY_MS;

  test("drops the oldest beyond the size, never what is being written", async () => {
    await ensureHistory(sql, yesterday - DAY_MS, DAY_MS);
    await ensureHistory(sql, NOW_MS, DAY_MS);
    for (const tsMs of [yesterday - DAY_MS, yesterday, NOW_MS]) await store(tsMs, 2_000);
    const { bytes } = await readHistory(sql);
    await pruneHistory(sql, { bytesMax: bytes * 0.8, oldSizes: null, nowMs: NOW_MS });
    expect((await storedTimes())[0]).toBe(yesterday);
    await pruneHistory(sql, { bytesMax: 0, oldSizes: null, nowMs: NOW_MS });
    expect((await storedTimes())[0]).toBe(NOW_MS);
  });

  test("drops what has not grown since it was old, and keeps a day that late records came to", async () => {
    await ensureHistory(sql, yesterday - DAY_MS, DAY_MS);
    await ensureHistory(sql, NOW_MS, DAY_MS);
    for (const tsMs of [yesterday - DAY_MS, yesterday]) await store(tsMs, 100);
    const { partitions } = await readHistory(sql);
    const oldSizes = Object.fromEntries(partitions.map(({ name, bytes }) => [name, bytes]));
    await store(yesterday + HOUR_MS, 500);
    await pruneHistory(sql, { bytesMax: 1e9, oldSizes, nowMs: NOW_MS });
    expect((await storedTimes())[0]).toBe(yesterday);
  });
});

interface HandClock {
  wallMs: number;
  ranMs: number;
}

function openWith(hands: HandClock, nextSeq = { config: 1, telemetry: 1 }): Retention {
  const clock = { ...systemClock, nowMs: () => hands.wallMs, monotonicMs: () => hands.ranMs };
  const deps = {
    sql,
    outbox: createOutbox(sql),
    nextSeq: (lane: keyof typeof nextSeq) => nextSeq[lane],
    clock,
    log: silentLog,
  };
  return createRetention(deps, LIMITS);
}

describe("retention", () => {
  test.each([
    ["at 1970", 0],
    ["an hour back", NOW_MS - HOUR_MS],
    ["ten years ahead", NOW_MS + 3_653 * DAY_MS],
  ])("drops nothing because the clock stands %s", async (_, wallMs) => {
    const hands = { wallMs: NOW_MS, ranMs: 0 };
    const retention = openWith(hands);
    await store(NOW_MS, 10);
    await retention.round();
    hands.ranMs += 60_000;
    hands.wallMs += 60_000;
    await retention.round();
    hands.wallMs = wallMs;
    for (let hours = 0; hours < 48; hours += 6) {
      hands.ranMs += 6 * HOUR_MS;
      await retention.round();
    }
    expect(await storedTimes()).toHaveLength(10);
    expect((await readHistory(sql)).partitions.length).toBeLessThanOrEqual(4);
  });

  test("drops history once the edge has run for its days, over restarts, and not a round earlier", async () => {
    const hands = { wallMs: NOW_MS, ranMs: 0 };
    let retention = openWith(hands);
    await retention.round();
    await store(NOW_MS, 10);
    await retention.round();
    for (let day = 1; day <= 31; day += 1) {
      // A restart begins another monotonic time.
      hands.ranMs = 1_000 * day;
      retention = openWith(hands);
      hands.ranMs += DAY_MS;
      hands.wallMs += DAY_MS;
      await retention.round();
      if (day <= 30) expect(await storedTimes()).toHaveLength(10);
    }
    expect(await storedTimes()).toEqual([]);
  });

  test("drops of the outbox what is both transferred and old, and never what is not transferred", async () => {
    const hands = { wallMs: NOW_MS, ranMs: 0 };
    const nextSeq = { config: 70_001, telemetry: 1 };
    for (const seq of [0, 65_536, 131_072]) await ensurePartitions(sql, "config", seq, 0);
    await addEvents([1, 70_000, 140_000]);
    const retention = openWith(hands, nextSeq);
    await retention.round();
    nextSeq.config = 300_000;
    hands.ranMs = 8 * DAY_MS;
    await retention.round();
    expect(await eventSeqs()).toEqual([1, 70_000, 140_000]);
    await sql`insert into uplink_cursor values ('config', 300000)`;
    await retention.round();
    expect(await eventSeqs()).toEqual([70_000, 140_000]);
  });
});

async function addEvents(seqs: readonly number[]): Promise<void> {
  for (const seq of seqs) {
    await sql`
      insert into cloud_event (lane, first_seq, last_seq, created_ms, action, config_seq, compression, payload)
      values ('config', ${seq}, ${seq}, ${NOW_MS}, 'UPDATED', 0, 'none', ''::bytea)`;
  }
}

async function eventSeqs(): Promise<number[]> {
  return (await sql<{ seq: number }[]>`select first_seq as seq from cloud_event order by 1`).map(({ seq }) => seq);
}

describe("pruneOutbox()", () => {
  test("drops transferred partitions beyond the size, oldest first, only below the cursor", async () => {
    for (const seq of [0, 65_536, 131_072]) await ensurePartitions(sql, "config", seq, 0);
    await addEvents([1, 70_000, 140_000]);
    const limits = { oldSeq: 0, bytesMax: 0 };
    expect(await pruneOutbox(sql, "config", { ...limits, ackedSeq: 70_000 })).toHaveLength(0);
    expect(await pruneOutbox(sql, "config", { ...limits, ackedSeq: 100_000 })).toHaveLength(1);
    expect(await eventSeqs()).toEqual([70_000, 140_000]);
    const [, ...rest] = await listPartitions(sql, outboxTable("config"));
    expect(rest.length).toBeGreaterThan(0);
  });

  test("leaves for later what somebody reads, so that the writer does not wait behind it", async () => {
    await ensurePartitions(sql, "config", 0, 0);
    const release = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    const reader = sql.begin(async (tx) => {
      await tx`select from cloud_event`;
      reading.resolve();
      await release.promise;
    });
    await reading.promise;
    const limits = { ackedSeq: 1e6, oldSeq: 1e6, bytesMax: 0 };
    expect(await pruneOutbox(sql, "config", limits)).toEqual([]);
    release.resolve();
    await reader;
    expect(await pruneOutbox(sql, "config", limits)).toHaveLength(1);
  });
});
