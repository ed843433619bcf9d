import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { recordsOf } from "../../shared/entities/telemetry-columns.ts";
import { readTelemetry, splitValues } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { createTestClock, type TestClock } from "../support/test-clock.ts";
import { waitFor } from "../support/wait-for.ts";
import { createTestDir, startServer } from "./postgres-support.ts";

const MINUTE_MS = 60_000;
const dir = createTestDir();
let server: Awaited<ReturnType<typeof startServer>>;
let clock: TestClock;
let edge: RunningEdge;
let devices = 0;

beforeAll(async () => {
  server = await startServer(join(dir.path, "data"));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});
beforeEach(async () => {
  clock = createTestClock();
  edge = await startEdge();
});
afterEach(() => edge.stop());

interface RunningEdge {
  readonly stores: EdgeStores;
  readonly tenantId: Uuid;
  stop(): Promise<void>;
}

async function startEdge(): Promise<RunningEdge> {
  const stores = await openEdgeStores({
    openScriptSandbox,
    database: server,
    migrations: MIGRATIONS,
    clock,
    random: systemRandom,
    log: silentLog,
    createHasher: createSha256,
    blobBytesMax: 1,
    onOutbox: () => undefined,
  });
  const stop = new AbortController();
  const { groupCommit, thinning } = stores;
  const running = [groupCommit.runLoop(stop.signal), thinning.run(groupCommit, stop.signal)];
  return {
    stores,
    tenantId: (await stores.readSite()).tenantId,
    stop: async () => {
      stop.abort();
      await Promise.all(running);
      await stores[Symbol.asyncDispose]();
    },
  };
}

async function restart(): Promise<void> {
  await edge.stop();
  edge = await startEdge();
}

interface Pump {
  readonly id: Uuid;
  readonly profileId: Uuid;
  readonly name: string;
}

/** A device with a profile of its own. */
async function createPump(uplink: Json): Promise<Pump> {
  devices += 1;
  const name = `Pump ${devices}`;
  const profile = await saveUplink({ name }, uplink);
  const device = await edge.stores.groupCommit.run((tx) =>
    saveDevice(
      tx,
      { clock, random: systemRandom },
      { tenantId: edge.tenantId, input: { name, deviceProfileId: profile } },
    ),
  );
  return { id: device.id, profileId: profile, name };
}

async function saveUplink({ name, id }: { readonly name: string; readonly id?: Uuid }, uplink: Json): Promise<Uuid> {
  const input = { name, profileData: { uplink }, ...(id === undefined ? {} : { id }) };
  const { groupCommit } = edge.stores;
  const deps = { clock, random: systemRandom };
  const save = { tenantId: edge.tenantId, input, naming: { onConflict: "FAIL" }, form: deviceProfileForm } as const;
  return (await groupCommit.run((tx) => saveProfile(tx, deps, save))).id;
}

async function send({ id }: Pick<Pump, "id">, values: Json, tsMs = clock.nowMs()): Promise<void> {
  const readings = readTelemetry(JSON.stringify({ ts: Math.round(tsMs), values }), { nowMs: 0, nulls: "skip" });
  await edge.stores.groupCommit.saveTelemetry(readings.map((reading) => ({ entityId: id, ...reading })));
}

/** What the cloud is to get of a device, in order: key, value. */
async function outboxOf({ id }: Pick<Pump, "id">): Promise<readonly string[]> {
  const request = { afterSeq: 0, upToSeq: SEQ_MAX, bytesMax: 1e9, itemsMax: 1e9, frameBytesMax: Infinity };
  const { batches } = await edge.stores.outbox.read("telemetry", request);
  return batches
    .flatMap((batch) => recordsOf(decodeTelemetry(decompress(batch), batch.count), "outbox"))
    .filter(({ entityId }) => entityId === id)
    .flatMap(({ values }) => Array.from(splitValues(values), ([key, value]) => `${key} ${value}`));
}

async function storedOf({ id }: Pick<Pump, "id">): Promise<number> {
  const [row] = await edge.stores.sql<
    { n: number }[]
  >`select count(*)::int as n from telemetry where entity_id = ${id}`;
  return row?.n ?? 0;
}

const band = (value: number, more: object = {}) => ({ deadband: { type: "ABSOLUTE", value }, ...more });

describe("thinning within the commit", () => {
  test("stores everything, and sends what the policy lets through", async () => {
    const pump = await createPump({ keys: { t: band(1) } });
    const other = await createPump(null);
    for (const t of [20, 20.5, 21.5, 21.6]) {
      clock.advance(1_000);
      await Promise.all([send(pump, { t, p: 1 }), send(other, { t })]);
    }
    expect(await outboxOf(pump)).toEqual(["t 20", "p 1", "p 1", "t 21.5", "p 1", "p 1"]);
    expect(await outboxOf(other)).toEqual(["t 20", "t 20.5", "t 21.5", "t 21.6"]);
    expect([await storedOf(pump), await storedOf(other)]).toEqual([4, 4]);
    expect(edge.stores.thinning.counts()).toEqual([{ key: "t", came: 4, sent: 2, cameBytes: 66, sentBytes: 32 }]);
  });

  test("sends what was held back when its time is over, without a message", async () => {
    const pump = await createPump({ keys: { t: band(1, { maxIntervalMs: MINUTE_MS }) } });
    await send(pump, { t: 20 });
    clock.advance(1_000);
    await send(pump, { t: 20.5 });
    expect(await outboxOf(pump)).toEqual(["t 20"]);
    clock.advance(MINUTE_MS);
    await waitFor("what is due", async () => (await outboxOf(pump)).length === 2);
    expect(await outboxOf(pump)).toEqual(["t 20", "t 20.5"]);
  });

  test("goes on after a restart: nothing is sent again, and what waits is sent", async () => {
    const pump = await createPump({ keys: { t: band(1), w: { window: { ms: MINUTE_MS, functions: ["count"] } } } });
    const startMs = Math.ceil(clock.nowMs() / MINUTE_MS) * MINUTE_MS;
    clock.advance(startMs - clock.nowMs());
    await send(pump, { t: 20, w: 1 });
    await restart();
    clock.advance(1_000);
    await send(pump, { t: 20.4, w: 2 });
    await restart();
    expect(await outboxOf(pump)).toEqual(["t 20"]);
    clock.advance(2 * 3_600_000);
    await waitFor("what is due", async () => (await outboxOf(pump)).length === 3);
    expect((await outboxOf(pump)).toSorted()).toEqual(["t 20", "t 20.4", "w 2"]);
  });

  test("newest values on the edge are those that came, also when the program was killed before they were written", async () => {
    const pump = await createPump({ keys: { t: band(1) } });
    await send(pump, { t: 20 });
    clock.advance(1);
    await send(pump, { t: 20.5 });
    // Killed: what was gathered in memory is gone.
    const killed = edge;
    edge = await startEdge();
    await edge.stores.groupCommit.settleLatest();
    const [row] = await edge.stores.sql<{ value: string }[]>`
      select value::text from telemetry_latest where entity_id = ${pump.id} and key = 't'`;
    expect(row?.value).toBe("20.5");
    await killed.stop();
  });

  test("a policy that is changed or goes counts for the next message, and what waited is sent", async () => {
    const pump = await createPump({ keys: { t: band(1) } });
    for (const t of [20, 20.1]) await send(pump, { t });
    clock.advance(1);
    await saveUplink({ name: pump.name, id: pump.profileId }, null);
    await waitFor("what is due", async () => (await outboxOf(pump)).length === 2);
    await send(pump, { t: 20.2 });
    await send(pump, { t: 20.2 });
    expect(await outboxOf(pump)).toEqual(["t 20", "t 20.1", "t 20.2", "t 20.2"]);
  });

  test("what a commit that failed has decided is decided again", async () => {
    const pump = await createPump({ keys: { t: band(1) } });
    await edge.stores
      .sql`create function refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end'`;
    await edge.stores.sql`create trigger refuse before insert or update on thinning_state execute function refuse()`;
    await send(pump, { t: 20 }).then(
      () => expect.unreachable(),
      () => undefined,
    );
    await edge.stores.sql`drop trigger refuse on thinning_state`;
    await edge.stores.sql`drop function refuse`;
    await send(pump, { t: 20.1 });
    await send(pump, { t: 20.2 }, clock.nowMs() + 1);
    expect(await outboxOf(pump)).toEqual(["t 20.1"]);
  });

  test("devices of a profile share a budget", async () => {
    const budget = { bytesPerDay: 60, per: "PROFILE" };
    const pump = await createPump({ budget });
    const second = await edge.stores.groupCommit.run((tx) =>
      saveDevice(
        tx,
        { clock, random: systemRandom },
        {
          tenantId: edge.tenantId,
          input: { name: `${pump.name} b`, deviceProfileId: pump.profileId },
        },
      ),
    );
    for (const device of [pump, second, pump]) await send(device, { t: 1 });
    await restart();
    clock.advance(1);
    for (const device of [pump, second]) await send(device, { t: 2 });
    expect([...(await outboxOf(pump)), ...(await outboxOf(second))]).toEqual(["t 1", "t 1", "t 2", "t 1"]);
  });
});
