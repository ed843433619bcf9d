import { afterEach, beforeEach, expect, test } from "bun:test";
import { type ActivityOptions, ActivityWatch, type KnownDevice } from "../../edge/devices/activity.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createSteppedClock, DEVICE_A, DEVICE_B, type SteppedClock } from "../support/fake-edge.ts";

const START_MS = 1_700_000_000_000;
const A: KnownDevice = { deviceId: DEVICE_A };
const B: KnownDevice = { deviceId: DEVICE_B };

let clock: SteppedClock;
let activity: ActivityWatch;
let stop: AbortController;
let running: Promise<void>;
/** Everything that was written, in order. */
let written: { readonly deviceId: Uuid; readonly values: Record<string, unknown> }[];
let saves: number;
let failure: AppError | undefined;

function start(
  options: ActivityOptions = {},
  { active = [], timeoutMs }: { readonly active?: readonly KnownDevice[]; readonly timeoutMs?: number } = {},
): void {
  clock = createSteppedClock(START_MS);
  written = [];
  saves = 0;
  failure = undefined;
  activity = new ActivityWatch(
    {
      clock,
      log: silentLog,
      timeoutMsOf: ({ deviceId }) => (deviceId === DEVICE_B ? timeoutMs : undefined),
      store: {
        readActive: () => Promise.resolve(active),
        save: async (updates) => {
          if (failure !== undefined) throw failure;
          saves += 1;
          for (const { deviceId, values } of updates) {
            const parsed = [...values].map(([key, text]): [string, unknown] => [key, JSON.parse(text)]);
            written.push({ deviceId, values: Object.fromEntries(parsed) });
          }
        },
      },
    },
    options,
  );
  stop = new AbortController();
  running = activity.run(stop.signal);
}

async function finish(): Promise<void> {
  stop.abort();
  await running;
}

/** Rounds, a second each, after what is under way. */
async function rounds(count: number): Promise<void> {
  await Bun.sleep(0);
  for (let round = 0; round < count; round += 1) {
    clock.advance(1000);
    await Bun.sleep(0);
  }
}

beforeEach(() => start());
afterEach(finish);

test("a device that connects is active, with its times, in one write for all that connect", async () => {
  activity.connected(A);
  activity.connected(B);
  await rounds(1);
  const values = { active: true, lastConnectTime: START_MS, lastActivityTime: START_MS };
  expect(written).toEqual([
    { deviceId: DEVICE_A, values },
    { deviceId: DEVICE_B, values },
  ]);
  expect(saves).toBe(1);
});

test("a device that disconnects stays active until it was silent for the time-out", async () => {
  activity.connected(A);
  await rounds(10);
  activity.disconnected(A);
  await rounds(599);
  const atMs = START_MS + 10_000;
  expect(written[1]?.values).toEqual({ lastDisconnectTime: atMs, lastActivityTime: atMs });
  expect(written.length).toBe(2);
  await rounds(1);
  expect(written[2]?.values).toEqual({ active: false, inactivityAlarmTime: START_MS + 610_000 });
  activity.note(A);
  await rounds(1);
  expect(written[3]?.values).toEqual({ active: true, lastActivityTime: START_MS + 610_000 });
});

test("the time-out of the device or its profile counts where there is one", async () => {
  await finish();
  start({}, { timeoutMs: 5000 });
  activity.note(A);
  activity.note(B);
  await rounds(6);
  expect(written.filter(({ values }) => values["active"] === false).map(({ deviceId }) => deviceId)).toEqual([
    DEVICE_B,
  ]);
});

test("that a device is still active is written once a minute, and the last time when it falls silent", async () => {
  for (let second = 0; second < 150; second += 1) {
    activity.note(A);
    await rounds(1);
  }
  await rounds(600);
  const times = written.flatMap(({ values }) => values["lastActivityTime"] ?? []);
  expect(times.map((atMs) => (Number(atMs) - START_MS) / 1000)).toEqual([0, 59, 119, 149]);
  expect(written.at(-1)?.values).toEqual({ active: false, inactivityAlarmTime: START_MS + 749_000 });
});

test("many devices that send all the time are reported in turn, so many a round", async () => {
  await finish();
  start({ reportsMax: 2 });
  const devices = Array.from({ length: 300 }, (_, index) => ({ deviceId: `device-${index}` as Uuid }));
  for (const device of devices) activity.note(device);
  await rounds(2);
  expect(written.length).toBe(300);
  for (let second = 0; second < 240; second += 1) {
    for (const device of devices) activity.note(device);
    await rounds(1);
  }
  const reported = written.slice(300).map(({ deviceId }) => deviceId);
  expect(new Set(reported).size).toBe(300);
  expect(reported.length).toBeLessThan(400);
});

test("what a device does wrong is written at once, then every 10 s at most, the newest", async () => {
  activity.note(A);
  await rounds(1);
  for (let second = 0; second < 25; second += 1) {
    activity.failed(A, `Wrong in "second" ${second} ${"x".repeat(600)}`);
    await rounds(1);
  }
  const told = written.flatMap(({ values }) => ("lastError" in values ? [values] : []));
  expect(told.map(({ lastError }) => String(lastError).split(" x")[0])).toEqual([
    'Wrong in "second" 0',
    'Wrong in "second" 10',
    'Wrong in "second" 20',
  ]);
  expect(String(told[0]?.["lastError"]).length).toBe(500);
  expect(told[0]?.["lastErrorTime"]).toBe(START_MS + 1000);
});

test("what could not be written is written later, with what came meanwhile", async () => {
  failure = new AppError("DATABASE_UNAVAILABLE", "down");
  activity.connected(A);
  await rounds(2);
  activity.disconnected(A);
  await rounds(2);
  expect(written).toEqual([]);
  failure = undefined;
  await rounds(1);
  expect(written.map(({ values }) => Object.keys(values).toSorted())).toEqual([
    ["active", "lastActivityTime", "lastConnectTime", "lastDisconnectTime"],
  ]);
});

test("a device that was active when the edge stopped has the time-out to come back", async () => {
  await finish();
  start({ timeoutMs: 5000 }, { active: [A, B] });
  await rounds(3);
  activity.note(B);
  await rounds(4);
  expect(written).toEqual([{ deviceId: DEVICE_A, values: { active: false, inactivityAlarmTime: START_MS + 5000 } }]);
});
