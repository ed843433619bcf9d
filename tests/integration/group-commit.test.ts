import { afterAll, beforeAll, expect, test } from "bun:test";
import { sql } from "drizzle-orm";
import { SPACING_MS } from "../../edge/store/commit-pace.ts";
import { NOTHING_DECIDED, type CommitRules } from "../../edge/store/commit-rules.ts";
import { createGroupCommit, type GroupCommit, type GroupCommitDeps } from "../../edge/store/group-commit.ts";
import type { UplinkFilter } from "../../edge/store/uplink-filter.ts";
import type { Clock } from "../../shared/core/clock.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql } from "../../shared/postgres/connect.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

const WRITER = "test writer";
let postgres: TestPostgres;
let database: TestDatabase;
let groupCommit: GroupCommit;
let writer: Writer;

interface Writer extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly groupCommit: GroupCommit;
}

/** Over a database of its own. */
async function startWriter(
  applicationName: string,
  { clock = systemClock, ...rules }: Pick<GroupCommitDeps, "rules" | "uplink"> & { readonly clock?: Clock } = {},
): Promise<Writer> {
  const own = await postgres.createDatabase("edge");
  const sql = openSql(own.connection, { applicationName, max: 1, arrays: false }, silentLog);
  const started = await createGroupCommit({
    sql,
    blobs: createTestBlobs(own),
    clock,
    log: silentLog,
    onCommitted: () => undefined,
    ...rules,
  });
  const stop = new AbortController();
  const running = started.runLoop(stop.signal);
  return {
    database: own,
    groupCommit: started,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      await closeSql(sql);
    },
  };
}

beforeAll(async () => {
  postgres = await startTestPostgres();
  writer = await startWriter(WRITER);
  ({ database, groupCommit } = writer);
});
afterAll(async () => {
  await writer[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const entityId: Uuid = createUuid(systemClock, systemRandom);
const record = (tsMs: number): TelemetryRecord => ({
  entityId,
  tsMs,
  values: `{"n":${tsMs}}` as CanonicalJson,
  keySet: "n",
});

test("a commit that fails takes with it what waits behind it, so that no device overtakes itself", async () => {
  const { sql } = database;
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const locking = sql.begin(async (tx) => {
    await tx`lock table telemetry in access exclusive mode`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const first = groupCommit.saveTelemetry([record(1)]).then(
    () => "stored",
    () => "refused",
  );
  const findWriter = async (): Promise<number | undefined> =>
    (
      await sql<{ pid: number }[]>`
        select pid from pg_stat_activity where application_name = ${WRITER} and wait_event_type = 'Lock'`
    )[0]?.pid;
  const pid = await waitFor("the commit to be under way", findWriter);
  const second = groupCommit.saveTelemetry([record(2)]).then(
    () => "stored",
    () => "refused",
  );
  await sql`select pg_cancel_backend(${pid})`;
  expect(await first).toBe("refused");
  release.resolve();
  await locking;
  expect(await second).toBe("refused");
  await groupCommit.saveTelemetry([record(3)]);
  const rows = await sql<{ ts: number }[]>`select ts_ms as ts from telemetry order by ts_ms`;
  expect(rows.map(({ ts }) => ts)).toEqual([3]);
});

test("saveTelemetry() merges what it stores into the row of the same device and time, in one commit with new rows", async () => {
  const { sql } = database;
  const at = (tsMs: number, values: string): TelemetryRecord => ({
    entityId,
    tsMs,
    values: values as CanonicalJson,
    keySet: values,
  });
  await groupCommit.saveTelemetry([at(1_000, '{"a":1,"b":1}'), at(1_001, '{"a":1}')]);
  const before = groupCommit.nextSeq("telemetry");
  await groupCommit.saveTelemetry([at(1_001, '{"b":2}'), at(1_002, '{"a":3}')]);
  // Once more, now that the writer expects such records.
  await groupCommit.saveTelemetry([at(1_000, '{"b":9}')]);
  const rows = await sql<{ ts: number; values: unknown }[]>`
    select ts_ms as ts, "values" from telemetry where ts_ms between 1000 and 1002 order by ts_ms`;
  expect(rows.map(({ ts, values }) => [ts, values])).toEqual([
    [1_000, { a: 1, b: 9 }],
    [1_001, { a: 1, b: 2 }],
    [1_002, { a: 3 }],
  ]);
  expect(groupCommit.nextSeq("telemetry")).toBe(before + 3);
  const events = await sql<{ first: number; last: number }[]>`
    select first_seq as first, last_seq as last from cloud_event where lane = 'telemetry' and first_seq >= ${before} order by 1`;
  expect(events.map(({ first, last }) => [first, last])).toEqual([
    [before, before + 1],
    [before + 2, before + 2],
  ]);
});

test("saveTelemetry() joins messages that come by themselves into commits that keep a distance", async () => {
  // A writer of its own: one that has just looked for such messages in vain does not look again at once.
  await using site = await startWriter("spaced writer");
  const { sql } = site.database;
  const count = 500;
  const startedMs = systemClock.monotonicMs();
  const saving: Promise<void>[] = [];
  for (let index = 0; index < count; index += 1) {
    saving.push(site.groupCommit.saveTelemetry([record(10_000 + index)]));
    await systemClock.sleep(1);
  }
  await Promise.all(saving);
  const [rows] = await sql<{ count: number }[]>`select count(*) as count from cloud_event where lane = 'telemetry'`;
  expect(site.groupCommit.nextSeq("telemetry")).toBe(count + 1);
  // Each of its own until a probe has found them; on a busy machine messages are further apart than commits.
  const spacedMax = (systemClock.monotonicMs() - startedMs) / SPACING_MS;
  expect(rows?.count).toBeLessThan(count * 0.2 + spacedMax);
});

test("saveTelemetry() commits at once what rules may react to", async () => {
  // Time stands still: who waits for others waits until somebody ends it.
  const waits: AbortSignal[] = [];
  const clock: Clock = {
    nowMs: () => 1_700_000_000_000,
    monotonicMs: () => 1_000,
    yield: () => systemClock.yield(),
    sleep: async (_, signal) => {
      if (signal !== undefined) waits.push(signal);
      await new Promise((_, reject) => signal?.addEventListener("abort", reject));
    },
  };
  const rules: CommitRules = {
    isIdle: false,
    isUrgent: (records) => records.some(({ tsMs }) => tsMs === 3),
    decide: () => Promise.resolve(NOTHING_DECIDED),
  };
  await using site = await startWriter("hurried writer", { clock, rules });
  await site.groupCommit.saveTelemetry([record(1)]);
  const second = site.groupCommit.saveTelemetry([record(2)]);
  await waitFor("the commit to wait for others", () => Promise.resolve(waits.length > 0));
  const other = site.groupCommit.saveTelemetry([record(4)]);
  expect(waits.at(-1)?.aborted).toBe(false);
  const urgent = site.groupCommit.saveTelemetry([record(3)]);
  await Promise.all([second, other, urgent]);
  expect(site.groupCommit.nextSeq("telemetry")).toBe(5);
});

test("saveTelemetry() stores what devices send though what rules decided can't be written", async () => {
  const broken = {
    records: [record(9)],
    isEmpty: false,
    write: async (tx: Queryable) => {
      await tx.execute(sql`select 1 / 0`);
      return { changes: [], records: [] };
    },
    committed: () => undefined,
  };
  const rules: CommitRules = { isIdle: false, isUrgent: () => false, decide: () => Promise.resolve(broken) };
  await using site = await startWriter("writer with broken rules", { rules });
  await site.groupCommit.saveTelemetry([record(1)]);
  expect(await site.groupCommit.run(() => Promise.resolve({ result: "done", changes: [] }))).toBe("done");
  const saved = site.groupCommit.saveTelemetry([record(2)]);
  await Promise.all([saved, site.groupCommit.run(() => Promise.resolve({ result: 1, changes: [] }))]);
  const [stored] = await site.database.sql<{ count: number }[]>`select count(*) as count from telemetry`;
  expect(stored?.count).toBe(2);
});

/** Derives a record beside each that came, while deciding and while writing. */
function deriving(): CommitRules {
  return {
    isIdle: false,
    isUrgent: () => false,
    decide: (_db, { changes, records }) =>
      Promise.resolve({
        records: records.map(({ tsMs }) => derived(tsMs, 1)),
        isEmpty: changes.length === 0,
        write: () => Promise.resolve({ changes: [], records: [derived(changes.length, 2)] }),
        committed: () => undefined,
      }),
  };
}

const derivedId: Uuid = createUuid(systemClock, systemRandom);
const derived = (tsMs: number, number: number): TelemetryRecord => ({
  entityId: derivedId,
  tsMs,
  values: `{"d":${number}}` as CanonicalJson,
  keySet: "d",
});

test("saveTelemetry() stores what rules derive, in the row of what it was derived from, and as the newest", async () => {
  await using site = await startWriter("writer that derives", { rules: deriving() });
  await site.groupCommit.saveTelemetry([record(1), record(2)]);
  expect(site.groupCommit.nextSeq("telemetry")).toBe(5);
  await site.groupCommit.settleLatest();
  const { sql: db } = site.database;
  const rows = await db`select first_seq, last_seq from cloud_event where lane = 'telemetry'`;
  expect([...rows]).toEqual([{ first_seq: 1, last_seq: 4 }]);
  const stored = await db`select ts_ms from telemetry where entity_id = ${derivedId} order by ts_ms`;
  expect([...stored]).toEqual([{ ts_ms: 1 }, { ts_ms: 2 }]);
  const latest = await db`select ts_ms, key, value from telemetry_latest where entity_id = ${derivedId}`;
  expect([...latest]).toEqual([{ ts_ms: 2, key: "d", value: 1 }]);
});

test("run() stores and sends what rules derive from telemetry and changes that share a commit", async () => {
  await using site = await startWriter("writer that derives beside works", { rules: deriving() });
  const change = { kind: "entity-removed", entity: { type: "DEVICE", id: entityId }, deleted: true } as const;
  const outcomes = [
    site.groupCommit.saveTelemetry([record(7)]),
    site.groupCommit.run(() => Promise.resolve({ result: 1, changes: [], heard: [change] })),
  ];
  await Promise.all(outcomes);
  await site.groupCommit.settleLatest();
  expect(site.groupCommit.nextSeq("telemetry")).toBe(4);
  const { sql: db } = site.database;
  const stored = await db`select ts_ms, "values" as v from telemetry where entity_id = ${derivedId} order by ts_ms`;
  expect([...stored]).toEqual([
    { ts_ms: 1, v: { d: 2 } },
    { ts_ms: 7, v: { d: 1 } },
  ]);
  const latest = await db`select ts_ms from telemetry_latest where entity_id = ${derivedId}`;
  expect([...latest]).toEqual([{ ts_ms: 7 }]);
});

test("saveTelemetry() stores and sends all of it when thinning fails, and doesn't take its decisions for committed", async () => {
  let committed = 0;
  const uplink: UplinkFilter = {
    isIdle: false,
    passes: () => false,
    sift: (_, records) =>
      records.some(({ tsMs }) => tsMs === 1) ? Promise.reject(new TypeError("a mistake")) : Promise.resolve([]),
    committed: () => void (committed += 1),
  };
  await using site = await startWriter("thinned badly", { uplink });
  await site.groupCommit.saveTelemetry([record(1)]);
  expect(committed).toBe(0);
  await site.groupCommit.saveTelemetry([record(2)]);
  expect(committed).toBe(1);
  const { sql } = site.database;
  expect(await sql`select ts_ms from telemetry`).toHaveLength(2);
  expect([...(await sql`select first_seq, last_seq from cloud_event`)]).toMatchObject([{ first_seq: 1, last_seq: 1 }]);
});
