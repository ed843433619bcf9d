import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { readTelemetry, readValue } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { clearAlarm, deleteAlarm } from "../../shared/store/alarm-edits.ts";
import { listAlarms } from "../../shared/store/alarm-lists.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import { readOffice } from "../support/readings.ts";
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
afterEach(async () => {
  await edge.stop();
});

interface RunningEdge {
  readonly stores: EdgeStores;
  readonly tenantId: Uuid;
  /** What was committed for the cloud. */
  readonly changes: Change[];
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
  const { alarmRules, groupCommit, registry } = stores;
  const running = [groupCommit.runLoop(stop.signal), alarmRules.run(groupCommit, stop.signal)];
  const changes: Change[] = [];
  registry.watchChanges((committed) => void changes.push(...committed));
  return {
    stores,
    tenantId: (await stores.readSite()).tenantId,
    changes,
    stop: async () => {
      stop.abort();
      await Promise.all(running);
      await stores[Symbol.asyncDispose]();
    },
  };
}

const above = (limit: number, spec: Json = { type: "SIMPLE" }): Json => condition("GREATER", limit, spec);
const below = (limit: number): Json => condition("LESS", limit, { type: "SIMPLE" });
const minutes = (defaultValue: number): Json => ({ type: "DURATION", unit: "MINUTES", predicate: { defaultValue } });

function condition(operation: string, limit: number, spec: Json): Json {
  const predicate = { type: "NUMERIC", operation, value: { defaultValue: limit } };
  return {
    condition: { condition: [{ key: { type: "TIME_SERIES", key: "co2" }, valueType: "NUMERIC", predicate }], spec },
  };
}

const CO2_RULE: Json = {
  id: "co2",
  alarmType: "Bad air",
  createRules: { MAJOR: above(1_000, minutes(5)) },
  clearRule: below(800),
  propagateToOwner: true,
};

interface Room {
  readonly id: Uuid;
  readonly profileId: Uuid;
}

/** A device with a profile of its own. */
async function createRoom(...alarms: Json[]): Promise<Room> {
  const { groupCommit } = edge.stores;
  const { tenantId } = edge;
  devices += 1;
  const name = `Room ${devices}`;
  const deps = { clock, random: systemRandom };
  const input = { name, profileData: { alarms } };
  const naming = { onConflict: "FAIL" } as const;
  const profile = await groupCommit.run((tx) =>
    saveProfile(tx, deps, { tenantId, input, naming, form: deviceProfileForm }),
  );
  const device = await groupCommit.run((tx) =>
    saveDevice(tx, deps, { tenantId, input: { name, deviceProfileId: profile.id } }),
  );
  return { id: device.id, profileId: profile.id };
}

async function send({ id }: Room, values: Json, tsMs = clock.nowMs()): Promise<void> {
  const readings = readTelemetry(JSON.stringify({ ts: Math.round(tsMs), values }), { nowMs: 0, nulls: "skip" });
  await edge.stores.groupCommit.saveTelemetry(readings.map((reading) => ({ entityId: id, ...reading })));
}

async function alarmsOf({ id }: Room) {
  const filter = { tenantId: edge.tenantId, entity: { type: "DEVICE", id } };
  const { data } = await listAlarms(edge.stores.db, filter, {
    pageSize: 1_000,
    page: 0,
    sortProperty: "startTs",
    sortOrder: "ASC",
  });
  return data.map(({ alarm }) => alarm);
}

const actions = (): readonly string[] =>
  edge.changes.flatMap((change) => (change.kind === "alarm-saved" ? [change.action] : []));

describe("openAlarmRules()", () => {
  test("raises and clears within the commits of the values, and tells the cloud", async () => {
    const room = await createRoom({ ...(CO2_RULE as object), createRules: { CRITICAL: above(1_000) } });
    const startMs = clock.nowMs();
    await send(room, { co2: 900 }, startMs);
    expect(await alarmsOf(room)).toEqual([]);
    await send(room, { co2: 1_001 }, startMs + 1);
    const [raised] = await alarmsOf(room);
    expect(raised).toMatchObject({ type: "Bad air", severity: "CRITICAL", clearMs: 0, propagateToOwner: true });
    await send(room, { co2: 1_002 }, startMs + 2);
    await send(room, { co2: 799 }, startMs + 3);
    const [cleared, ...others] = await alarmsOf(room);
    expect(others).toEqual([]);
    expect(cleared?.id).toBe(raised?.id as Uuid);
    expect(cleared).toMatchObject({ startMs: Math.round(startMs + 1), endMs: Math.round(startMs + 3) });
    expect(cleared?.clearMs).toBeGreaterThan(0);
    expect(actions()).toEqual(["ADDED", "ALARM_CLEAR"]);
  });

  test("ends a duration without a message, also after a restart in the middle of it", async () => {
    const room = await createRoom(CO2_RULE);
    const startMs = Math.round(clock.nowMs());
    await send(room, { co2: 1_500 }, startMs);
    clock.advance(2 * MINUTE_MS);
    await send(room, { co2: 1_500 });
    await edge.stop();
    edge = await startEdge();
    clock.advance(2 * MINUTE_MS);
    await send(room, { co2: 1_500 });
    expect(await alarmsOf(room)).toEqual([]);
    clock.advance(MINUTE_MS);
    const [alarm] = await waitFor("the alarm", async () => {
      const alarms = await alarmsOf(room);
      return alarms.length > 0 && alarms;
    });
    expect(alarm).toMatchObject({ severity: "MAJOR", startMs: startMs + 5 * MINUTE_MS });
    await send(room, { co2: 10 });
    expect((await alarmsOf(room))[0]?.clearMs).toBeGreaterThan(0);
    const rows = await edge.stores.sql`select 1 from alarm_rule_state where device_id = ${room.id}`;
    expect(rows).toHaveLength(0);
  });

  test("writes nothing for values that change nothing", async () => {
    const room = await createRoom(CO2_RULE);
    await send(room, { co2: 1_500 });
    const rows = () =>
      edge.stores.sql`select ctid::text, conditions from alarm_rule_state where device_id = ${room.id}`;
    const [before] = await rows();
    const waiting = edge.changes.length;
    for (const co2 of [1_501, 1_502, 1_503]) await send(room, { co2 });
    expect(await rows()).toEqual([before] as never);
    expect(edge.changes).toHaveLength(waiting);
  });

  test("takes a record of an earlier time for history", async () => {
    const room = await createRoom({ ...(CO2_RULE as object), createRules: { MAJOR: above(1_000) } });
    const nowMs = clock.nowMs();
    await send(room, { co2: 900 }, nowMs);
    await edge.stop();
    edge = await startEdge();
    await send(room, { co2: 5_000 }, nowMs - 1);
    expect(await alarmsOf(room)).toEqual([]);
  });

  test("begins anew when somebody clears or deletes the alarm", async () => {
    const room = await createRoom(CO2_RULE);
    const deps = { clock, random: systemRandom };
    const raise = async (): Promise<Uuid> => {
      await send(room, { co2: 1_500 });
      clock.advance(5 * MINUTE_MS);
      await send(room, { co2: 1_500 });
      const active = (await alarmsOf(room)).filter(({ clearMs }) => clearMs === 0);
      expect(active).toHaveLength(1);
      return active[0]?.id as Uuid;
    };
    const key = async () => ({ alarmId: await raise(), tenantId: edge.tenantId, actor: null });
    const first = await key();
    await edge.stores.groupCommit.run((tx) => clearAlarm(tx, deps, first));
    await send(room, { co2: 1_500 });
    expect((await alarmsOf(room)).filter(({ clearMs }) => clearMs === 0)).toEqual([]);
    const second = await key();
    expect(second.alarmId).not.toBe(first.alarmId);
    await edge.stores.groupCommit.run((tx) => deleteAlarm(tx, deps, second));
    await send(room, { co2: 1_500 });
    expect(await alarmsOf(room)).toHaveLength(1);
  });

  test("follows attributes that are set here or in the cloud, and rules that are changed", async () => {
    const dynamicValue = { sourceType: "CURRENT_TENANT", sourceAttribute: "limit", inherit: false };
    const predicate = { type: "NUMERIC", operation: "GREATER", value: { defaultValue: 1_000, dynamicValue } };
    const filter = { key: { type: "TIME_SERIES", key: "co2" }, valueType: "NUMERIC", predicate };
    const onFlag = {
      key: { type: "ATTRIBUTE", key: "alert" },
      valueType: "BOOLEAN",
      predicate: { type: "BOOLEAN", operation: "EQUAL", value: { defaultValue: true } },
    };
    const rules = (condition: Json): Json[] => [
      { id: "limit", alarmType: "Limit", createRules: { MAJOR: { condition: { condition: [condition] } } } },
      { id: "flag", alarmType: "Flag", createRules: { MINOR: { condition: { condition: [onFlag] } } } },
    ];
    const room = await createRoom(...rules(filter));
    const types = async () => (await alarmsOf(room)).map(({ type }) => type).sort();
    await send(room, { co2: 600 });
    expect(await types()).toEqual([]);
    const save = (type: string, id: Uuid, key: string, value: string) =>
      edge.stores.groupCommit.run(async (tx) => {
        const readings = [{ key, value: readValue(value) }];
        const nowMs = clock.nowMs();
        const { changes } = await saveAttributes(tx, { entity: { type, id }, scope: "SERVER_SCOPE", readings, nowMs });
        return { result: undefined, changes: [], heard: changes };
      });
    await save("DEVICE", room.id, "alert", "true");
    expect(await types()).toEqual(["Flag"]);
    await edge.stores.sql`insert into attribute values (${edge.tenantId}, 'SERVER_SCOPE', 'limit', '500', 1)`;
    edge.stores.registry.publish([
      {
        kind: "attributes-saved",
        entity: { type: "TENANT", id: edge.tenantId },
        scope: "SERVER_SCOPE",
        attributes: [{ key: "limit", value: readValue("500"), updatedMs: 1 }],
      },
    ]);
    await send(room, { co2: 600 });
    expect(await types()).toEqual(["Flag", "Limit"]);
  });
});

/** Raised when CO2 has been above 1,000 for five minutes, cleared by the first value below 800; by nothing but the values. */
function expectedIntervals(values: readonly (readonly [tsMs: number, co2: number])[]): [number, number][] {
  const intervals: [number, number][] = [];
  let index = 0;
  while (index < values.length) {
    const from = values.findIndex(([, co2], position) => position >= index && co2 > 1_000);
    if (from < 0) break;
    const isOver = values.findIndex(([, co2], position) => position >= from && co2 <= 1_000);
    const dueMs = (values[from]?.[0] ?? 0) + 5 * MINUTE_MS;
    const endMs = values[isOver]?.[0] ?? values.at(-1)?.[0] ?? 0;
    if (endMs < dueMs) {
      if (isOver < 0) break;
      index = isOver;
      continue;
    }
    const cleared = values.findIndex(([tsMs, co2]) => tsMs > dueMs && co2 < 800);
    intervals.push([dueMs, values[cleared]?.[0] ?? 0]);
    if (cleared < 0) break;
    index = cleared;
  }
  return intervals;
}

describe("recorded CO2 of an office", () => {
  const readCo2 = async (): Promise<(readonly [number, number])[]> => {
    const readings = await readOffice();
    return readings.map(({ ts, values }) => [ts, Number(values["CO2"])] as const);
  };

  test("raises one alarm for each time that CO2 is above 1,000 ppm for 5 minutes, until it is below 800", async () => {
    const room = await createRoom(CO2_RULE);
    const values = await readCo2();
    const records = values.flatMap(([ts, co2]) =>
      readTelemetry(JSON.stringify({ ts, values: { co2 } }), { nowMs: 0, nulls: "skip" }).map((reading) => ({
        entityId: room.id,
        ...reading,
      })),
    );
    for (let start = 0; start < records.length; start += 100)
      await edge.stores.groupCommit.saveTelemetry(records.slice(start, start + 100));
    const expected = expectedIntervals(values);
    expect(expected.length).toBeGreaterThan(1);
    const alarms = await alarmsOf(room);
    expect(alarms.map(({ clearMs, endMs, startMs }) => [startMs, clearMs === 0 ? 0 : endMs])).toEqual(expected);
  });
});
