import { describe, expect, test } from "bun:test";
import { readUplinkPolicy } from "../../shared/rules/thinning/policy.ts";
import { readOffice } from "../support/readings.ts";
import { bedOf, type ThinningBed } from "../support/thinning-bed.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const absolute = (value: number, more: object = {}) => ({ deadband: { type: "ABSOLUTE", value }, ...more });
const valuesOf = ({ sent }: ThinningBed) => sent.map(({ value }) => value);
const timesOf = ({ sent }: ThinningBed) => sent.map(({ tsMs }) => tsMs);

/** A value a second, the edge's clock beside it. */
function feed(bed: ThinningBed, key: string, values: readonly unknown[], stepMs = 1_000): void {
  for (const value of values) {
    bed.pass(stepMs);
    bed.take(bed.nowMs, { [key]: value });
  }
}

describe("DeviceThinner by change", () => {
  test("sends the first value, and one that leaves the deadband", () => {
    const bed = bedOf({ keys: { t: absolute(0.5) } });
    feed(bed, "t", [20.5, 20.8, 21.0, 21.1, 20.7, 20.6, 20.5]);
    expect(valuesOf(bed)).toEqual(["20.5", "21.1", "20.5"]);
  });

  test("measures a deadband in percent by the value that was sent", () => {
    const bed = bedOf({ keys: { t: { deadband: { type: "PERCENT", value: 10 } } } });
    feed(bed, "t", [100, 110, 111, 121, 123, 0, 0, 1]);
    expect(valuesOf(bed)).toEqual(["100", "111", "123", "0", "1"]);
  });

  test("sends text, booleans and JSON when they change, and a value of another kind", () => {
    const bed = bedOf({ keys: { s: absolute(5) } });
    feed(bed, "s", ["on", "on", "off", { a: 1 }, { a: 1 }, true, 1, 2]);
    expect(valuesOf(bed)).toEqual(['"on"', '"off"', '{"a":1}', "true", "1"]);
  });

  test("sends the newest value that was held back when the maximum interval is over, without a message", () => {
    const bed = bedOf({ keys: { t: absolute(1, { maxIntervalMs: MINUTE_MS }) } });
    feed(bed, "t", [20, 20.1, 20.2]);
    expect(valuesOf(bed)).toEqual(["20"]);
    bed.pass(58_000);
    bed.pass(MINUTE_MS);
    bed.pass(HOUR_MS);
    expect(bed.sent).toEqual([
      { key: "t", tsMs: 1_000, value: "20" },
      { key: "t", tsMs: 3_000, value: "20.2" },
    ]);
  });

  test("keeps the minimum interval, and sends the newest at its end when it had left the deadband", () => {
    const bed = bedOf({ keys: { t: absolute(1, { minIntervalMs: 10_000 }) } });
    feed(bed, "t", [20, 25, 30]);
    expect(valuesOf(bed)).toEqual(["20"]);
    bed.pass(8_000);
    expect(valuesOf(bed)).toEqual(["20", "30"]);
  });

  test("sends nothing at the end of the minimum interval when the value came back", () => {
    const bed = bedOf({ keys: { t: absolute(1, { minIntervalMs: 10_000 }) } });
    feed(bed, "t", [20, 25, 20.5]);
    bed.pass(20_000);
    expect(valuesOf(bed)).toEqual(["20"]);
  });

  test("judges what was measured long ago by its own times, when it comes at once", () => {
    const bed = bedOf({ keys: { t: { minIntervalMs: 10_000 } } }, HOUR_MS);
    for (let second = 0; second < 30; second += 1) bed.take(second * 1_000, { t: second });
    expect(timesOf(bed)).toEqual([0, 10_000, 20_000]);
  });

  test("holds back what is older than the newest", () => {
    const bed = bedOf({ keys: { t: absolute(0.5) } });
    bed.take(10_000, { t: 20 });
    bed.take(5_000, { t: 99 });
    bed.take(11_000, { t: 21 });
    expect(valuesOf(bed)).toEqual(["20", "21"]);
  });

  test("goes on after a time of measurement that lay years ahead", () => {
    const bed = bedOf({ keys: { t: absolute(0.5) } });
    bed.take(10 * 365 * 24 * HOUR_MS, { t: 20 });
    feed(bed, "t", [20, 20.1, 22]);
    expect(valuesOf(bed)).toEqual(["20", "20", "22"]);
  });

  test("sends the part of a record that may go, and the record itself when all of it may", () => {
    const bed = bedOf({ keys: { t: absolute(5) } });
    bed.take(1, { t: 20, door: "open", h: 40 });
    bed.take(2, { t: 21, door: "open", h: 41 });
    expect(bed.sent.filter(({ tsMs }) => tsMs === 2).map(({ key }) => key)).toEqual(["door", "h"]);
  });

  test("counts 64-bit integers that a double can't tell apart as different", () => {
    const bed = bedOf({ keys: { n: absolute(0) } });
    const take = (tsMs: number, text: string): void => {
      const record = { entityId: "d", tsMs, values: `{"n":${text}}`, keySet: "n" };
      bed.sent.push(...bed.thinner.take(record as never, 0).map(() => ({ key: "n", tsMs, value: text })));
    };
    take(1, "9007199254740993");
    take(2, "9007199254740993");
    take(3, "9007199254740992");
    expect(valuesOf(bed)).toEqual(["9007199254740993", "9007199254740992"]);
  });

  test("after a restart neither sends again nor forgets what waits", () => {
    const bed = bedOf({ keys: { t: absolute(1, { maxIntervalMs: MINUTE_MS }) } });
    feed(bed, "t", [20, 20.5]);
    bed.restart();
    feed(bed, "t", [20.6]);
    expect(valuesOf(bed)).toEqual(["20"]);
    bed.restart();
    bed.pass(MINUTE_MS);
    expect(valuesOf(bed)).toEqual(["20", "20.6"]);
  });

  test("says when something is due next", () => {
    const bed = bedOf({ keys: { t: absolute(1, { maxIntervalMs: MINUTE_MS }) } });
    bed.take(0, { t: 20 });
    expect(bed.thinner.nextDueMs()).toBeNull();
    bed.take(1, { t: 20 });
    expect(bed.thinner.nextDueMs()).toBe(MINUTE_MS);
  });
});

describe("DeviceThinner by window", () => {
  const policy = {
    keys: { t: { window: { ms: MINUTE_MS, functions: ["avg", "min", "max", "sum", "count", "last"] } } },
  };

  test("sends the results of a window under its start when a value of a later one comes", () => {
    const bed = bedOf(policy);
    for (const [tsMs, t] of [[1_000, 20], [30_000, 21], [59_999, 23]] as const) bed.take(tsMs, { t }); // prettier-ignore
    expect(bed.sent).toEqual([]);
    bed.take(60_000, { t: 30 });
    expect(bed.sent).toEqual([
      { key: "t", tsMs: 0, value: "21.333333333333332" },
      { key: "t_min", tsMs: 0, value: "20" },
      { key: "t_max", tsMs: 0, value: "23" },
      { key: "t_sum", tsMs: 0, value: "64" },
      { key: "t_count", tsMs: 0, value: "3" },
      { key: "t_last", tsMs: 0, value: "23" },
    ]);
  });

  test("closes a window when its time is over on the edge's clock, also across a restart, and once", () => {
    const bed = bedOf({ keys: { t: { window: { ms: MINUTE_MS, functions: ["avg"] } } } }, 1_000);
    bed.take(1_000, { t: 20 });
    bed.pass(58_000);
    bed.restart();
    expect(bed.sent).toEqual([]);
    bed.pass(7_000);
    bed.restart();
    bed.pass(HOUR_MS);
    expect(bed.sent).toEqual([{ key: "t", tsMs: 0, value: "20.0" }]);
  });

  test("holds back what comes for a window that the clock has closed", () => {
    const bed = bedOf({ keys: { t: { window: { ms: MINUTE_MS, functions: ["count"] } } } });
    bed.take(1_000, { t: 1 });
    bed.pass(2 * MINUTE_MS);
    bed.restart();
    bed.take(2_000, { t: 2 });
    bed.pass(2 * MINUTE_MS);
    expect(bed.sent).toEqual([{ key: "t", tsMs: 0, value: "1" }]);
  });

  test("takes what comes out of order while the window is open, and holds it back when it is closed", () => {
    const bed = bedOf({ keys: { t: { window: { ms: MINUTE_MS, functions: ["max", "last"] } } } });
    for (const [tsMs, t] of [[30_000, 1], [10_000, 7], [70_000, 2], [20_000, 99], [130_000, 0]] as const) bed.take(tsMs, { t }); // prettier-ignore
    expect(valuesOf(bed)).toEqual(["7", "1", "2", "2"]);
  });

  test("sends what is no number as it is, when the functions are of numbers", () => {
    const bed = bedOf({ keys: { t: { window: { ms: MINUTE_MS, functions: ["avg"] } } } });
    bed.take(1, { t: "broken" });
    expect(valuesOf(bed)).toEqual(['"broken"']);
  });
});

describe("DeviceThinner with schedule and budget", () => {
  const schedule = { type: "SPECIFIC_TIME", timezone: "UTC", startsOn: 2 * HOUR_MS, endsOn: 4 * HOUR_MS };

  test("sends outside the hours only what is exempt, and the newest of each key when they begin", () => {
    const bed = bedOf({ schedule, keys: { alarm: { exempt: true } } });
    feed(bed, "t", [1, 2, 3]);
    feed(bed, "alarm", [1]);
    expect(bed.sent.map(({ key }) => key)).toEqual(["alarm"]);
    expect(bed.thinner.nextDueMs()).toBe(2 * HOUR_MS);
    bed.restart();
    bed.pass(2 * HOUR_MS);
    expect(valuesOf(bed)).toEqual(["1", "3"]);
    feed(bed, "t", [4, 5]);
    expect(valuesOf(bed)).toEqual(["1", "3", "4", "5"]);
  });

  test("sends a window that closes outside the hours when they begin", () => {
    const bed = bedOf({ schedule, keys: { t: { window: { ms: MINUTE_MS, functions: ["max"] } } } });
    feed(bed, "t", [1, 2, 3], MINUTE_MS);
    bed.pass(2 * MINUTE_MS);
    expect(bed.sent).toEqual([]);
    bed.pass(2 * HOUR_MS);
    expect(bed.sent).toEqual([{ key: "t", tsMs: 3 * MINUTE_MS, value: "3" }]);
  });

  test("stops at the budget of a day, and sends the newest when the next begins", () => {
    const bed = bedOf({ budget: { bytesPerDay: 30, per: "DEVICE" }, keys: { u: { exempt: true } } });
    feed(bed, "t", [1, 2, 3, 4]);
    feed(bed, "u", [5]);
    expect(valuesOf(bed)).toEqual(["1", "2", "5"]);
    bed.restart();
    feed(bed, "t", [6]);
    expect(valuesOf(bed)).toEqual(["1", "2", "5"]);
    bed.pass(24 * HOUR_MS);
    expect(valuesOf(bed)).toEqual(["1", "2", "5", "6"]);
  });
});

describe("readUplinkPolicy()", () => {
  test.each([
    [{ keys: { t: { exempt: true, minIntervalMs: 5 } } }, "uplink.keys.t.exempt"],
    [{ keys: { t: { maxIntervalMs: 5 } } }, "uplink.keys.t.maxIntervalMs"],
    [{ keys: { t: { minIntervalMs: 9, maxIntervalMs: 5 } } }, "uplink.keys.t.minIntervalMs"],
    [{ keys: { t: { window: { ms: 1_000, functions: [] } } } }, "uplink.keys.t.window.functions"],
    [{ default: { window: { ms: 1_000, functions: ["avg"] }, minIntervalMs: 5 } }, "uplink.default.window"],
    [{ budget: { bytesPerDay: 0, per: "DEVICE" } }, "uplink.budget.bytesPerDay"],
    [{ schedule: { type: "SPECIFIC_TIME", timezone: "Mars", startsOn: 0, endsOn: 0 } }, "uplink.schedule.timezone"],
    [{ deadband: 5 }, "uplink."],
  ])("refuses %j and names %s", (uplink, field) => {
    const { form, problem } = readUplinkPolicy({ profileData: { uplink } });
    expect(form).toBeNull();
    expect(problem).toStartWith(`${field}:`);
  });

  test("finds none where there is none", () => {
    expect(readUplinkPolicy({ profileData: { alarms: null } })).toEqual({ form: null, problem: null });
  });
});

test("real readings of a room thinned by 1 degC and 50 ppm are never further from the room than that", async () => {
  const bands: Readonly<Record<string, number>> = { Temperature: 1, CO2: 50 };
  const keys = Object.fromEntries(Object.entries(bands).map(([key, band]) => [key, absolute(band)]));
  const readings = await readOffice();
  const bed = bedOf({ keys });
  let apart = 0;
  for (const { ts, values } of readings) {
    bed.pass(ts - bed.nowMs);
    bed.take(ts, values);
    for (const [key, band] of Object.entries(bands)) {
      const last = bed.sent.findLast((point) => point.key === key);
      apart = Math.max(apart, Math.abs(Number(last?.value) - Number(values[key])) / band);
    }
  }
  const sentOf = (key: string): number => bed.sent.filter((point) => point.key === key).length;
  expect(apart).toBeLessThanOrEqual(1);
  expect(sentOf("Light")).toBe(readings.length);
  expect(sentOf("Temperature")).toBeLessThan(readings.length / 20);
  expect(sentOf("CO2")).toBeLessThan(readings.length / 10);
});
