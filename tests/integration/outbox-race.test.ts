import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sql } from "drizzle-orm";
import { readDownlinks, recordEvents } from "../../cloud/store/downlink-store.ts";
import { type EdgeEvent } from "../../cloud/store/edge-event.ts";
import { saveEdge } from "../../cloud/store/edge-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import { createGroupCommit } from "../../edge/store/group-commit.ts";
import { createOutbox } from "../../edge/store/outbox.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql, type Sql } from "../../shared/postgres/connect.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { openDb } from "../../shared/store/open-db.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { type UplinkLane } from "../../shared/sync/lanes.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { Dice } from "../sim/dice.ts";
import { createTestBlobs, startTestPostgres, type TestPostgres } from "../support/postgres.ts";

// Writers whose transactions overlap and commit in another order than they began, against a reader that never looks below
// its cursor. Each writer counts, so that a row that was missed, repeated or came too late is seen.

const WRITERS = 16;
const WRITES_EACH = 25;
const HOLD_MS = 6;
const SEED = 7;

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** A pool in which every writer has a connection, and the reader one. */
async function openWide(connection: Awaited<ReturnType<TestPostgres["createDatabase"]>>["connection"]): Promise<Sql> {
  return openSql(connection, { applicationName: "race", max: WRITERS + 2, arrays: false }, silentLog);
}

/** All writers at once; `write` is given the writer, its count and dice of its own. */
async function runWriters(write: (writer: number, n: number, dice: Dice) => Promise<void>): Promise<void> {
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      const dice = new Dice(SEED + writer);
      for (let n = 1; n <= WRITES_EACH; n += 1) await write(writer, n, dice);
    }),
  );
}

/** Calls `read` again and again while `writing` is under way, and once after it. */
async function readMeanwhile(writing: Promise<void>, read: () => Promise<void>): Promise<void> {
  let isWriting = true;
  const written = writing.finally(() => {
    isWriting = false;
  });
  written.catch(() => undefined);
  for (let isLast = false; ; isLast = !isWriting) {
    await read();
    if (isLast) break;
  }
  await written;
}

async function hold(tx: Queryable, dice: Dice): Promise<void> {
  await tx.execute(sql`select pg_sleep(${dice.between(0, HOLD_MS) / 1000})`);
}

interface Seen {
  readonly seq: number;
  readonly writer: number;
  readonly n: number;
}

function key({ writer, n }: { readonly writer: number; readonly n: number }): string {
  return `${writer} ${n}`;
}

describe("edge_event under 16 writers with random hold times", () => {
  let wide: Sql;
  let db: Queryable;
  let tenantId: Uuid;

  beforeAll(async () => {
    const { connection } = await postgres.createDatabase("cloud");
    wide = await openWide(connection);
    db = openDb(wide);
    ({ tenantId } = await createTenant(db, { clock, random }, { adminEmail: "a@b.c", adminPasswordHash: "" }));
  });
  afterAll(() => closeSql(wide));

  const newEdge = async (name: string): Promise<Uuid> => {
    const save = { id: null, tenantId, name, type: "default", label: null, routingKey: null, secret: null };
    return (await saveEdge(db, { clock, random }, { ...save, expectedVersion: null, additionalInfo: null })).edge.id;
  };
  const event = (edgeId: Uuid, writer: number, n: number): EdgeEvent => ({
    edgeId,
    type: "DEVICE",
    action: "ATTRIBUTES_UPDATED",
    entityId: tenantId,
    body: { writer, n },
  });

  test("shows each row once and in order to a reader that follows its cursor", async () => {
    const edges = await Promise.all(["One", "Two", "Three"].map(newEdge));
    const committed = new Map(edges.map((edgeId) => [edgeId, new Set<string>()]));
    const seen = new Map(edges.map((edgeId) => [edgeId, [] as Seen[]]));
    const writing = runWriters(async (writer, n, dice) => {
      const chosen = edges.filter(() => dice.chance(0.7));
      const isUndone = dice.chance(0.1);
      const events = chosen.map((edgeId) => event(edgeId, writer, n)).sort(() => dice.between(-1, 1));
      const work = db.transaction(async (tx) => {
        await hold(tx, dice);
        await recordEvents(tx, events, { nowMs: clock.nowMs() });
        await hold(tx, dice);
        if (isUndone) throw new Error("Undone");
      });
      if (isUndone) expect(await work.catch(String)).toContain("Undone");
      else {
        await work;
        for (const edgeId of chosen) committed.get(edgeId)?.add(key({ writer, n }));
      }
    });
    await readMeanwhile(writing, async () => {
      for (const [edgeId, rows] of seen) {
        const read = await readDownlinks(db, edgeId, { afterSeq: rows.at(-1)?.seq ?? 0, limit: 7 });
        for (const { seq, body } of read) rows.push({ seq, writer: Number(body?.["writer"]), n: Number(body?.["n"]) });
      }
    });
    for (const [edgeId, rows] of seen) {
      // What the last look of the reader did not take fits its page.
      for (;;) {
        const read = await readDownlinks(db, edgeId, { afterSeq: rows.at(-1)?.seq ?? 0, limit: 1000 });
        if (read.length === 0) break;
        for (const { seq, body } of read) rows.push({ seq, writer: Number(body?.["writer"]), n: Number(body?.["n"]) });
      }
      expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => index + 1));
      expect(rows.map(key).toSorted()).toEqual([...(committed.get(edgeId) ?? [])].toSorted());
      expectOrderOfEachWriter(rows);
    }
  });

  test("is lost in part on a naive reader of a sequence, with the same writers", async () => {
    await wide.unsafe("create table naive (seq bigserial primary key, writer int not null, n int not null)");
    const seen: Seen[] = [];
    const writing = runWriters((writer, n, dice) =>
      db.transaction(async (tx) => {
        await hold(tx, dice);
        await tx.execute(sql`insert into naive (writer, n) values (${writer}, ${n})`);
        await hold(tx, dice);
      }),
    );
    await readMeanwhile(writing, async () => {
      const last = seen.at(-1)?.seq ?? 0;
      seen.push(...(await wide<Seen[]>`select seq, writer, n from naive where seq > ${last} order by seq limit 1000`));
    });
    expect(seen.length).toBeLessThan(WRITERS * WRITES_EACH);
  });
});

describe("cloud_event under 16 submitters", () => {
  test("shows each item once and in order to a reader that follows its cursor, in both lanes", async () => {
    const database = await postgres.createDatabase("edge");
    const writerSql = openSql(database.connection, { applicationName: "writer", max: 1, arrays: false }, silentLog);
    const tenantId = createUuid(clock, random);
    const groupCommit = await createGroupCommit({
      sql: writerSql,
      blobs: createTestBlobs(database),
      clock,
      log: silentLog,
      onCommitted: () => undefined,
    });
    const stop = new AbortController();
    const running = groupCommit.runLoop(stop.signal);
    const devices = await Promise.all(
      Array.from({ length: WRITERS }, (_, writer) =>
        groupCommit.run((tx) => saveDevice(tx, { clock, random }, { tenantId, input: { name: `Device ${writer}` } })),
      ),
    );
    const outbox = createOutbox(database.sql);
    const seen: Record<UplinkLane, Seen[]> = { config: [], telemetry: [] };
    const cursors: Record<UplinkLane, number> = {
      config: groupCommit.nextSeq("config") - 1,
      telemetry: groupCommit.nextSeq("telemetry") - 1,
    };
    const firstConfig = cursors.config + 1;
    const read = async (): Promise<void> => {
      for (const lane of ["config", "telemetry"] as const) {
        const { batches } = await outbox.read(lane, {
          afterSeq: cursors[lane],
          upToSeq: SEQ_MAX,
          bytesMax: 20_000,
          itemsMax: 50,
          frameBytesMax: 20_000,
        });
        for (const batch of batches) {
          const bytes = decompress(batch);
          const found = lane === "config" ? readCounters(bytes, batch.count) : readNumbers(bytes, batch.count);
          expect(batch.firstSeq).toBe(cursors[lane] + 1);
          seen[lane].push(...found.map((item, index) => ({ seq: batch.firstSeq + index, ...item })));
          cursors[lane] = lastSeqOf(batch);
        }
      }
    };
    const writing = runWriters(async (writer, n, dice) => {
      const id = devices[writer]?.id ?? tenantId;
      await Bun.sleep(dice.between(0, HOLD_MS));
      const record: TelemetryRecord = {
        entityId: id,
        tsMs: n,
        values: `{"n":${n},"writer":${writer}}` as CanonicalJson,
        keySet: "n\nwriter",
      };
      const attribute = { key: `writer ${writer}`, value: String(n) as CanonicalJson };
      await Promise.all([
        groupCommit.saveTelemetry([record]),
        groupCommit.run(async (tx) => {
          await hold(tx, dice);
          const save = { entity: { type: "DEVICE", id }, scope: "CLIENT_SCOPE", readings: [attribute] } as const;
          return saveAttributes(tx, { ...save, nowMs: clock.nowMs() });
        }),
      ]);
    });
    await readMeanwhile(writing, read);
    for (let before = -1; before !== cursors.telemetry + cursors.config;) {
      before = cursors.telemetry + cursors.config;
      await read();
    }
    stop.abort();
    await running;
    await closeSql(writerSql);
    const everything = Array.from({ length: WRITERS }, (_, writer) =>
      Array.from({ length: WRITES_EACH }, (__, index) => key({ writer, n: index + 1 })),
    ).flat();
    for (const [lane, first] of [
      ["config", firstConfig],
      ["telemetry", 1],
    ] as const) {
      expect(seen[lane].map(({ seq }) => seq)).toEqual(seen[lane].map((_, index) => first + index));
      expect(seen[lane].map(key).toSorted()).toEqual(everything.toSorted());
      expectOrderOfEachWriter(seen[lane]);
    }
  });
});

function readNumbers(bytes: Uint8Array, count: number): { readonly writer: number; readonly n: number }[] {
  const { values } = decodeTelemetry(bytes, count);
  return values.split("\n").map((line) => JSON.parse(line) as { readonly writer: number; readonly n: number });
}

function readCounters(bytes: Uint8Array, count: number): { readonly writer: number; readonly n: number }[] {
  return decodeItems(bytes, count).map(({ changes: [change] }) => {
    if (change?.kind !== "attributes-saved") throw new Error(`Expected attributes, got ${change?.kind}`);
    const [entry] = change.attributes;
    return { writer: Number(entry?.key.replace("writer ", "")), n: Number(entry?.value) };
  });
}

/** A writer waits for each of its writes, so its counts rise. */
function expectOrderOfEachWriter(rows: readonly Seen[]): void {
  const newest = new Map<number, number>();
  for (const { writer, n } of rows) {
    expect(n).toBeGreaterThan(newest.get(writer) ?? 0);
    newest.set(writer, n);
  }
}
