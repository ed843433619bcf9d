import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { DiskPolicy } from "../../edge/disk-quota.ts";
import { relieveDisk, type DiskReliefDeps } from "../../edge/store/disk-relief.ts";
import { listGaps } from "../../edge/store/gap-store.ts";
import { createGroupCommit, type GroupCommit } from "../../edge/store/group-commit.ts";
import { reuseRoom } from "../../edge/store/outbox-partitions.ts";
import { removeRecords } from "../../edge/store/outbox-removal.ts";
import { createOutbox, type Outbox } from "../../edge/store/outbox.ts";
import { readItems } from "../../edge/store/park-items.ts";
import { ensureFirstHistory } from "../../edge/store/retention.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import type { SentItem, TelemetryGap } from "../../shared/entities/change.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql, type Sql } from "../../shared/postgres/connect.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { tagOfPayload } from "../../shared/wire/item-tag.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 12);
const DEVICES: readonly Uuid[] = [createUuid(systemClock, systemRandom), createUuid(systemClock, systemRandom)];
const ALL = { aboveSeq: 0, belowSeq: Number.MAX_SAFE_INTEGER, bytesWanted: Infinity };
const PAGE = { page: 0, pageSize: 1_000, sortOrder: "ASC" } as const;

let postgres: TestPostgres;
let database: TestDatabase;
let sql: Sql;
let groupCommit: GroupCommit;
let outbox: Outbox;
const closing = new AsyncDisposableStack();
beforeAll(async () => {
  postgres = closing.use(await startTestPostgres());
});
afterAll(() => closing.disposeAsync());
beforeEach(async () => {
  database = await postgres.createDatabase("edge");
  ({ sql } = database);
  await ensureFirstHistory(sql, NOW_MS);
  const writer = openSql(database.connection, { applicationName: "writer", max: 1, arrays: false }, silentLog);
  closing.defer(() => closeSql(writer));
  groupCommit = await createGroupCommit({
    sql: writer,
    blobs: createTestBlobs(database),
    clock: systemClock,
    log: silentLog,
    onCommitted: () => undefined,
  });
  outbox = createOutbox(sql);
  const stop = new AbortController();
  const running = groupCommit.runLoop(stop.signal);
  closing.defer(async () => {
    stop.abort();
    await running;
  });
});

function record(index: number, text = ""): TelemetryRecord {
  const [first, second] = DEVICES;
  if (first === undefined || second === undefined) throw new Error("Expected two devices");
  const keySet = index % 10 < 8 ? "n" : "m";
  const values = `{"${keySet}":${index}${text === "" ? "" : `,"text":"${text}"`}}` as CanonicalJson;
  return { entityId: index % 2 === 0 ? first : second, tsMs: NOW_MS + index, values, keySet };
}

async function publish(count: number, perCommit = 100): Promise<void> {
  for (let sent = 0; sent < count; sent += perCommit) {
    const numbers = Array.from({ length: Math.min(perCommit, count - sent) }, (_, index) => sent + index);
    await groupCommit.saveTelemetry(numbers.map((number) => record(number)));
  }
}

interface Waiting {
  /** Sequence of each record that is still there, with its time. */
  readonly records: ReadonlyMap<number, number>;
  readonly lastSeq: number;
}

const READ_ALL = { afterSeq: 0, upToSeq: SEQ_MAX, bytesMax: 1e7, itemsMax: 50_000, frameBytesMax: 1e7 } as const;

/** Reads as the link does, after a restart. @throws Error when sequences do not follow each other */
async function readWaiting(afterSeq = 0): Promise<Waiting> {
  const records = new Map<number, number>();
  const reader = createOutbox(sql);
  let lastSeq = afterSeq;
  for (;;) {
    const { batches } = await reader.read("telemetry", { ...READ_ALL, afterSeq: lastSeq, itemsMax: 50_000 });
    if (batches.length === 0) return { records, lastSeq };
    for (const batch of batches) {
      expect(batch.firstSeq).toBe(lastSeq + 1);
      const columns = decodeTelemetry(decompress(batch), batch.count);
      for (const [position, tsMs] of columns.tsMs.entries())
        records.set(batch.firstSeq + (columns.sparse?.offsets[position] ?? position), tsMs);
      lastSeq = lastSeqOf(batch);
    }
  }
}

async function readGapItems(): Promise<readonly SentItem[]> {
  const { batches } = await outbox.read("config", { ...READ_ALL, afterSeq: 0, itemsMax: 50_000 });
  return batches.flatMap((batch) => decodeItems(decompress(batch), batch.count));
}

const removal = () => ({ sql, outbox, unitOfWork: groupCommit, clock: systemClock });

describe("removeRecords()", () => {
  test("thins to every second record per device and keys, under unchanged sequence numbers, and tells what is missing", async () => {
    await publish(1_000);
    expect((await removeRecords(removal(), "thinned", ALL)).records).toBe(500);
    const { lastSeq, records } = await readWaiting();
    expect(lastSeq).toBe(1_000);
    for (const [seq, tsMs] of records) expect(tsMs).toBe(NOW_MS + seq - 1);
    // Of a device's records with key n in a row of commits: every second one.
    const kept = [...records.keys()].filter((seq) => (seq - 1) % 2 === 0 && (seq - 1) % 10 < 8 && seq <= 100);
    expect(kept.map((seq) => seq - 1).slice(0, 5)).toEqual([0, 4, 10, 14, 20]);

    const items = await readGapItems();
    const gaps = items.flatMap(({ changes }) => changes as TelemetryGap[]);
    expect(items).toHaveLength(1);
    for (const id of DEVICES) {
      const gone = gaps.filter((gap) => gap.entity.id === id);
      expect(gone.reduce((sum, gap) => sum + gap.records, 0)).toBe(250);
      expect(gone.every(({ fromMs, toMs }) => fromMs >= NOW_MS && toMs <= NOW_MS + 999)).toBe(true);
    }
    const listed = await listGaps(database.db, PAGE);
    expect(listed.data.reduce((sum, gap) => sum + gap.records, 0)).toBe(500);
  });

  test("does not take a record of the cloud for the one that was removed here", async () => {
    await publish(10);
    const { batches } = await outbox.read("telemetry", { ...READ_ALL, afterSeq: 0 });
    const tagAt = async (seq: number): Promise<string> => {
      const payload = (await readItems(sql, "telemetry", [seq])).get(seq) ?? new Uint8Array();
      return tagOfPayload("telemetry", payload) ?? "";
    };
    expect(batches).toHaveLength(1);
    const [kept, removed] = [await tagAt(1), await tagAt(3)];
    // A restart forgets what was read.
    outbox = createOutbox(sql);
    await removeRecords(removal(), "thinned", ALL);
    expect((await readWaiting()).records.has(3)).toBe(false);
    const isSame = (seq: number, tag: string) => outbox.isSame({ lane: "telemetry", seq, tag });
    expect([await isSame(1, kept), await isSame(1, removed), await isSame(3, removed)]).toEqual([true, false, false]);
    await outbox.settle("telemetry", { committed: [{ first: 3, last: 3 }], rejections: [], nowMs: NOW_MS });
    expect([await isSame(1, kept), await isSame(3, removed)]).toEqual([true, true]);
  });

  test("thins a row once", async () => {
    await publish(200);
    await removeRecords(removal(), "thinned", ALL);
    expect((await removeRecords(removal(), "thinned", ALL)).records).toBe(0);
    expect((await readWaiting()).records.size).toBe(100);
  });

  test("drops all that is left, and the lane still goes on", async () => {
    await publish(300);
    await removeRecords(removal(), "thinned", ALL);
    expect((await removeRecords(removal(), "dropped", { ...ALL, belowSeq: 200 })).records).toBe(100);
    const { lastSeq, records } = await readWaiting();
    expect(lastSeq).toBe(300);
    expect([...records.keys()].every((seq) => seq > 200)).toBe(true);
    expect((await listGaps(database.db, PAGE)).data.map(({ reason }) => reason)).toContain("dropped");
  });

  test("leaves rows alone that were read to be sent, until the cloud has them", async () => {
    await publish(300);
    await outbox.read("telemetry", { ...READ_ALL, afterSeq: 0, itemsMax: 150 });
    await removeRecords(removal(), "dropped", ALL);
    const fresh = createOutbox(sql);
    const { batches } = await fresh.read("telemetry", { ...READ_ALL, afterSeq: 0, itemsMax: 50_000 });
    const records = batches.map((batch) => decodeTelemetry(decompress(batch), batch.count).tsMs.length);
    expect(records.reduce((sum, count) => sum + count, 0)).toBe(200);
  });

  test("stops when enough was removed", async () => {
    await publish(20_000, 200);
    const { records } = await removeRecords(removal(), "dropped", { ...ALL, bytesWanted: 1 });
    expect(records).toBeLessThan(20_000);
  });

  test("keeps the right record behind every number when a peer goes on in the middle of a thinned row, also after a merge", async () => {
    await publish(5_000, 50);
    await removeRecords(removal(), "thinned", { ...ALL, belowSeq: 3_000 });
    await outbox.mergeSmallRows(0);
    const { records, lastSeq } = await readWaiting(777);
    expect(lastSeq).toBe(5_000);
    for (const [seq, tsMs] of records) expect(tsMs).toBe(NOW_MS + seq - 1);
    expect([...records.keys()].filter((seq) => seq > 3_000)).toHaveLength(2_000);
  });

  test("takes the records out and notes the gap in one commit, or neither", async () => {
    await publish(100);
    await sql`alter table telemetry_gap add constraint refuses check (records < 0) not valid`;
    expect(
      await removeRecords(removal(), "dropped", ALL).then(
        () => "done",
        () => "failed",
      ),
    ).toBe("failed");
    expect((await readWaiting()).records.size).toBe(100);
    expect(await readGapItems()).toEqual([]);
    await publish(100);
    expect((await readWaiting()).lastSeq).toBe(200);
  });
});

test("reuseRoom() lets the next small rows take the room of those that were merged", async () => {
  const heapBytes = async (): Promise<number> => {
    const [row] = await sql<{ bytes: number }[]>`select pg_relation_size('cloud_event_telemetry_0') as bytes`;
    return row?.bytes ?? 0;
  };
  const mergeAll = async (): Promise<void> => {
    let aboveSeq: number | null = 0;
    while (aboveSeq !== null) aboveSeq = await outbox.mergeSmallRows(aboveSeq);
  };
  await publish(10_000, 20);
  await mergeAll();
  await reuseRoom(sql, "telemetry", 1, 10_000);
  const before = await heapBytes();
  await publish(5_000, 20);
  expect(await heapBytes()).toBeLessThanOrEqual(before);
});

describe("relieveDisk()", () => {
  const random = (length: number): string => Buffer.from(systemRandom.bytes(length)).toString("hex");

  async function fill(records: number): Promise<void> {
    for (let sent = 0; sent < records; sent += 200) {
      const batch = Array.from({ length: 200 }, (_, index) => record(sent + index, random(400)));
      await groupCommit.saveTelemetry(batch);
    }
  }

  async function relationBytes(): Promise<number> {
    const [row] = await sql<{ bytes: number }[]>`select pg_database_size(current_database()) as bytes`;
    return Number(row?.bytes);
  }

  const deps = (): DiskReliefDeps => ({
    ...removal(),
    outbox,
    nextTelemetrySeq: () => groupCommit.nextSeq("telemetry"),
    measureBytes: relationBytes,
    log: silentLog,
  });
  const relieve = (quotaBytes: number, policy: DiskPolicy = "thin"): Promise<boolean> =>
    relieveDisk(deps(), { quotaBytes, policy });

  test("does nothing while there is room", async () => {
    await fill(2_000);
    expect(await relieve(1e12)).toBe(true);
    expect((await sql`select from telemetry`).length).toBe(2_000);
  });

  test("gives up local history before anything unsent", async () => {
    await fill(8_000);
    expect(await relieve(((await relationBytes()) - 4e6) / 0.85)).toBe(true);
    expect((await sql`select from telemetry`).length).toBe(0);
    expect((await readWaiting()).records.size).toBe(8_000);
    expect(await readGapItems()).toEqual([]);
  });

  test("thins what waits when history is not enough, then drops the oldest, and notes every record", async () => {
    await fill(20_000);
    await sql`truncate telemetry`;
    const before = await relationBytes();
    expect(await relieve((before - 1.5e6) / 0.85)).toBe(true);
    const thinned = await readWaiting();
    expect(thinned.lastSeq).toBe(20_000);
    expect(thinned.records.size).toBeLessThan(20_000);
    expect((await listGaps(database.db, PAGE)).data.every(({ reason }) => reason === "thinned")).toBe(true);

    await fill(20_000);
    await sql`truncate telemetry`;
    expect(await relieve((before - 4e6) / 0.85)).toBe(true);
    const { lastSeq, records } = await readWaiting();
    expect(lastSeq).toBe(40_000);
    const gone = (await listGaps(database.db, PAGE)).data.reduce((sum, gap) => sum + gap.records, 0);
    expect(records.size + gone).toBe(40_000);
    // The oldest went first.
    expect(Math.min(...records.keys())).toBeGreaterThan(1_000);
    expect(Math.max(...records.keys())).toBeGreaterThan(39_990);
  });

  test("with the policy drop-oldest thins nothing", async () => {
    await fill(4_000);
    await sql`truncate telemetry`;
    expect(await relieve(((await relationBytes()) - 1e6) / 0.85, "drop-oldest")).toBe(true);
    expect((await listGaps(database.db, PAGE)).data.every(({ reason }) => reason === "dropped")).toBe(true);
  });

  test("says so when nothing is left to remove", async () => {
    await fill(4_000);
    expect(await relieve(1)).toBe(false);
    const { lastSeq, records } = await readWaiting();
    expect([lastSeq, records.size]).toEqual([4_000, 0]);
  });
});
