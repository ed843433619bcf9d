import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { keepTelemetryPartitions, TELEMETRY_TURN_LOCK } from "../../cloud/store/telemetry-partitions.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { listPartitions } from "../../shared/store/partitions.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";

const WEEK_MS = 7 * 86_400_000;
/** What is dropped follows the earlier one of two clocks, of which one is the server's. */
const NOW_MS = Date.now();
const THIS_WEEK_MS = Math.floor(NOW_MS / WEEK_MS) * WEEK_MS;
const DEVICE_ID = "00000000-0000-4000-8000-000000000001";

let postgres: TestPostgres;
let sql: Sql;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  ({ sql } = await postgres.createDatabase("cloud"));
});

async function store(...times: readonly number[]): Promise<void> {
  for (const tsMs of times) await sql`insert into telemetry values (${DEVICE_ID}, ${tsMs}, '{"a":1}')`;
}

/** Each row's time with the partition that holds it. */
async function storedRows(): Promise<[number, string][]> {
  const rows = await sql<{ ts: number; name: string }[]>`
    select ts_ms as ts, tableoid::regclass::text as name from telemetry order by 1`;
  return rows.map(({ name, ts }) => [ts, name]);
}

const keep = (nowMs = NOW_MS, keptMs: number | null = null) => keepTelemetryPartitions(sql, { nowMs, keptMs });

describe("keepTelemetryPartitions()", () => {
  test("makes the past, the weeks around now and those to come, once", async () => {
    const { made } = await keep();
    expect(made).toHaveLength(10);
    expect((await keep()).made).toEqual([]);
    const ranges = (await listPartitions(sql, "telemetry")).map(({ from, to }) => [from, to]);
    expect(ranges[0]).toEqual([-Infinity, THIS_WEEK_MS - 4 * WEEK_MS]);
    expect(ranges.at(-1)?.[1]).toBe(THIS_WEEK_MS + 5 * WEEK_MS);
    for (const [index, [from]] of ranges.entries()) if (index > 0) expect(from).toBe(ranges[index - 1]?.[1]);
  });

  test("goes on week by week, and fills what passed while the cloud was away", async () => {
    await keep();
    expect((await keep(NOW_MS + WEEK_MS)).made).toEqual([`telemetry_${THIS_WEEK_MS + 5 * WEEK_MS}`]);
    const { made } = await keep(NOW_MS + 20 * WEEK_MS);
    expect(made).toHaveLength(19);
    const ranges = await listPartitions(sql, "telemetry");
    for (const [index, { from }] of ranges.entries()) if (index > 0) expect(from).toBe(ranges[index - 1]?.to ?? 0);
  });

  test("takes over what came before, and keeps odd times without partitions of their own", async () => {
    const odd = NOW_MS + 520 * WEEK_MS;
    await store(0, NOW_MS, odd);
    await keep();
    await store(1, NOW_MS + 1, odd + 1);
    const names = ["telemetry_past", `telemetry_${THIS_WEEK_MS}`, "telemetry_default"];
    const times = [0, 1, NOW_MS, NOW_MS + 1, odd, odd + 1];
    expect(await storedRows()).toEqual(times.map((ts, index) => [ts, names[Math.floor(index / 2)] ?? ""]));
  });

  test("is done by one replica at a time", async () => {
    const release = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const other = sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${TELEMETRY_TURN_LOCK}::int8)`;
      held.resolve();
      await release.promise;
    });
    await held.promise;
    expect((await keep()).made).toEqual([]);
    release.resolve();
    await other;
    const rounds = await Promise.all([keep(), keep(), keep(), keep()]);
    expect(rounds.flatMap(({ made }) => made)).toHaveLength(10);
  });

  test("neither waits for who writes measurements of now, nor makes them wait", async () => {
    await keep();
    const release = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    const writer = sql.begin(async (tx) => {
      await tx`insert into telemetry values (${DEVICE_ID}, ${NOW_MS}, '{}')`;
      written.resolve();
      await release.promise;
    });
    await written.promise;
    expect((await keep(NOW_MS + WEEK_MS)).made).toHaveLength(1);
    await store(NOW_MS + 1);
    release.resolve();
    await writer;
  });

  test("drops whole partitions that are too old, and what came late for them", async () => {
    await keep(NOW_MS - 10 * WEEK_MS);
    const old = NOW_MS - 20 * WEEK_MS;
    await store(old, NOW_MS - 9 * WEEK_MS, NOW_MS);
    const first = await keep(NOW_MS, 8 * WEEK_MS);
    expect(first.dropped).toContain("telemetry_past");
    expect((await storedRows()).map(([ts]) => ts)).toEqual([NOW_MS]);
    await store(old);
    expect((await keep(NOW_MS, 8 * WEEK_MS)).removedRows).toBe(1);
    expect((await storedRows()).map(([ts]) => ts)).toEqual([NOW_MS]);
  });

  test("drops nothing because the clock of a process is years ahead", async () => {
    await keep();
    await store(NOW_MS);
    expect((await keep(NOW_MS + 520 * WEEK_MS, 500 * WEEK_MS)).dropped).toEqual([]);
    expect((await storedRows()).map(([ts]) => ts)).toContain(NOW_MS);
  });

  test("leaves for later what is in use, and drops it then", async () => {
    await keep(NOW_MS - 10 * WEEK_MS);
    const release = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    const reader = sql.begin(async (tx) => {
      await tx`select from telemetry`;
      reading.resolve();
      await release.promise;
    });
    await reading.promise;
    expect((await keep(NOW_MS, WEEK_MS)).dropped).toEqual([]);
    release.resolve();
    await reader;
    expect((await keep(NOW_MS, WEEK_MS)).dropped.length).toBeGreaterThan(5);
  });
});
