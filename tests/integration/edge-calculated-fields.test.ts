import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { readTelemetry, readValue } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { listAlarms } from "../../shared/store/alarm-lists.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import { readHistory } from "../../shared/store/telemetry-history.ts";
import { readOffice, type Reading } from "../support/readings.ts";
import { createTestClock } from "../support/test-clock.ts";
import { createTestDir, startServer } from "./postgres-support.ts";

const WINDOW_MS = 15 * 60_000;
const dir = createTestDir();
const clock = createTestClock();
const deps = { clock, random: systemRandom };
let server: Awaited<ReturnType<typeof startServer>>;
let stores: EdgeStores;
let stop: () => Promise<void>;

beforeAll(async () => {
  server = await startServer(join(dir.path, "data"));
  await startEdge();
});
afterAll(async () => {
  await stop();
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

async function startEdge(): Promise<void> {
  stores = await openEdgeStores({
    openScriptSandbox,
    database: server,
    migrations: MIGRATIONS,
    ...deps,
    log: silentLog,
    createHasher: createSha256,
    blobBytesMax: 1,
    onOutbox: () => undefined,
  });
  const { groupCommit } = stores;
  const ending = new AbortController();
  const running = groupCommit.runLoop(ending.signal);
  stop = async () => {
    ending.abort();
    await running;
    await stores[Symbol.asyncDispose]();
  };
}

async function createRoom(name: string, profileData: Json): Promise<Uuid> {
  const { tenantId } = await stores.readSite();
  const naming = { onConflict: "FAIL" } as const;
  const input = deviceProfileForm.input.parse({ name, profileData });
  const profile = await stores.groupCommit.run((tx) =>
    saveProfile(tx, deps, { tenantId, input, naming, form: deviceProfileForm }),
  );
  const device = { name, deviceProfileId: profile.id };
  return (await stores.groupCommit.run((tx) => saveDevice(tx, deps, { tenantId, input: device }))).id;
}

async function send(id: Uuid, readings: readonly Reading[]): Promise<void> {
  const text = JSON.stringify(readings);
  const records = readTelemetry(text, { nowMs: 0, nulls: "skip" }).map((reading) => ({ entityId: id, ...reading }));
  await stores.groupCommit.saveTelemetry(records);
}

async function stored(id: Uuid, key: string): Promise<readonly (readonly [ts: number, value: string])[]> {
  const raw = { aggregation: "NONE", interval: { type: "MILLISECONDS", lengthMs: 0 }, orderBy: "ASC" } as const;
  const range = { startMs: 0, endMs: Number.MAX_SAFE_INTEGER, limit: 10_000 };
  const history = await readHistory(stores.db, { entityId: id, keys: [key], ...range, ...raw });
  return (history.get(key) ?? []).map(({ tsMs, value }) => [tsMs, value] as const);
}

const MEAN: Json = {
  name: "Mean CO2",
  arguments: { co2: { refEntityKey: { key: "CO2", type: "TS_ROLLING" }, timeWindow: WINDOW_MS } },
  expression: "co2.avg",
  output: { type: "TIME_SERIES", name: "meanCO2", decimalsByDefault: 3 },
};

test("openCalculatedFields() stores the rolling average of a recorded office, across restarts", async () => {
  const readings = (await readOffice()).map(({ ts, values }) => ({
    ts,
    values: { CO2: Number(values["CO2"]) },
  }));
  const id = await createRoom("office", { calculatedFields: [MEAN] });
  // Groups of different sizes, the last of a run just before a restart.
  const parts = [1, 2, 40, 700, 1, 5, 900, readings.length];
  let from = 0;
  for (const [index, size] of parts.entries()) {
    if (index === 3 || index === 5) {
      await stop();
      await startEdge();
    }
    await send(id, readings.slice(from, from + size));
    from += size;
  }
  const means = readings.map(({ ts }) => {
    const inside = readings.filter((one) => one.ts <= ts && one.ts > ts - WINDOW_MS).map(({ values }) => values.CO2);
    return inside.reduce((sum, value) => sum + value, 0) / inside.length;
  });
  const points = await stored(id, "meanCO2");
  expect(points.map(([ts]) => ts)).toEqual(readings.map(({ ts }) => ts));
  const errors = points.map(([, value], index) => Math.abs(Number(value) - (means[index] ?? 0)));
  expect(Math.max(...errors)).toBeLessThan(0.000_6);
});

test("openCalculatedFields() derives before alarm rules look, which see it as what came", async () => {
  const predicate = { type: "NUMERIC", operation: "GREATER", value: { defaultValue: 1_000 } };
  const key = { type: "TIME_SERIES", key: "meanCO2" };
  const condition = { condition: [{ key, valueType: "NUMERIC", predicate }], spec: { type: "SIMPLE" } };
  const rule = { id: "mean", alarmType: "Mean too high", createRules: { MAJOR: { condition } } };
  const id = await createRoom("alarmed", { calculatedFields: [MEAN], alarms: [rule] });
  const alarms = async () => {
    const { tenantId } = await stores.readSite();
    const order = { pageSize: 10, page: 0, sortProperty: "startTs", sortOrder: "ASC" } as const;
    const { data } = await listAlarms(stores.db, { tenantId, entity: { type: "DEVICE", id } }, order);
    return data.map(({ alarm }) => [alarm.type, alarm.startMs]);
  };
  await send(id, [{ ts: 1_000, values: { CO2: 900 } }]);
  await send(id, [{ ts: 2_000, values: { CO2: 1_050 } }]);
  expect(await alarms()).toEqual([]);
  await send(id, [{ ts: 3_000, values: { CO2: 1_100 } }]);
  expect(await alarms()).toEqual([["Mean too high", 3_000]]);
});

test("openCalculatedFields() follows changes of attributes and of the profile", async () => {
  const id = await createRoom("following", {
    calculatedFields: [
      {
        name: "Scaled",
        arguments: {
          co2: { refEntityKey: { key: "CO2", type: "TS_LATEST" } },
          factor: { refEntityKey: { key: "factor", type: "ATTRIBUTE" }, defaultValue: 1 },
        },
        expression: "co2 * factor",
        output: { type: "TIME_SERIES", name: "scaled", decimalsByDefault: 0 },
      },
    ],
  });
  await send(id, [{ ts: 1_000, values: { CO2: 5 } }]);
  const readings = [{ key: "factor", value: readValue("3") }];
  await stores.groupCommit.run((tx) =>
    saveAttributes(tx, { entity: { type: "DEVICE", id }, scope: "SERVER_SCOPE", readings, nowMs: 5 }),
  );
  await send(id, [{ ts: 2_000, values: { CO2: 5 } }]);
  expect(await stored(id, "scaled")).toEqual([
    [1_000, "5"],
    [2_000, "15"],
  ]);
});

test("withCalculatedFields() stores what devices send though the fields of theirs fail", async () => {
  const id = await createRoom("failing", { calculatedFields: [MEAN] });
  await stores.sql`alter table telemetry_latest rename to telemetry_elsewhere`;
  try {
    await send(id, [{ ts: 1_000, values: { CO2: 5 } }]);
  } finally {
    await stores.sql`alter table telemetry_elsewhere rename to telemetry_latest`;
  }
  await send(id, [{ ts: 2_000, values: { CO2: 7 } }]);
  expect((await stored(id, "CO2")).map(([ts]) => ts)).toEqual([1_000, 2_000]);
  expect((await stored(id, "meanCO2")).map(([ts]) => ts)).toEqual([2_000]);
});
