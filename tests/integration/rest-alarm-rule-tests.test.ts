import { afterAll, beforeAll, expect, test } from "bun:test";
import { AIR_RULE, airAlarms } from "../support/air-rule.ts";
import { readOffice } from "../support/readings.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: string };
}

interface Tested {
  readonly cut: string | null;
  readonly lines: readonly { readonly kind: string; readonly alarms?: unknown }[];
}

test("POST /api/deviceProfile/{id}/test tells which alarms rules would have raised by recorded telemetry", async () => {
  const profile = await cloud.call<Entity>("POST", "/api/deviceProfile", {
    name: "office",
    profileData: { alarms: [AIR_RULE] },
  });
  const device = await cloud.call<Entity>("POST", "/api/device", { name: "Office", deviceProfileId: profile.id });
  const readings = await readOffice();
  const series = readings.map(({ ts, values }) => ({ ts, values: { CO2: values["CO2"] } }));
  for (let from = 0; from < series.length; from += 500) {
    const part = series.slice(from, from + 500);
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${device.id.id}/timeseries/ANY`, part);
  }
  const lone = readings.find(({ values }) => Number(values["CO2"]) > 1_000);
  const sparse = (await cloud.call<Entity>("POST", "/api/device", { name: "Sparse", deviceProfileId: profile.id })).id;
  await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${sparse.id}/timeseries/ANY`, {
    ts: lone?.ts,
    values: { CO2: lone?.values["CO2"] },
  });
  const range = { deviceId: device.id, startTs: readings[0]?.ts, endTs: (readings.at(-1)?.ts ?? 0) + 1 };
  const path = `/api/deviceProfile/${profile.id.id}/test`;
  const expected = airAlarms(readings).map((interval) => ({ alarmType: "Bad air", severity: "MAJOR", ...interval }));
  const tested = await cloud.call<Tested>("POST", path, range);
  expect(tested.cut).toBeNull();
  expect(tested.lines.at(-1)).toMatchObject({ kind: "summary", messages: readings.length, alarms: expected });

  const other = { ...AIR_RULE, alarmType: "Tried", clearRule: null };
  const tried = await cloud.call<Tested>("POST", path, { ...range, alarms: [other] });
  expect(tried.lines.at(-1)?.alarms).toEqual([
    { alarmType: "Tried", severity: "MAJOR", startTs: expected[0]?.startTs, clearTs: null },
  ]);
  expect(await cloud.call("GET", "/api/v2/alarms?pageSize=10&page=0")).toMatchObject({ totalElements: 0 });

  const broken = await cloud.request("POST", path, { body: { ...range, alarms: [{ ...other, alarmType: "" }] } });
  expect(broken.status).toBe(400);
  expect(broken.text).toContain("alarmType");

  // Behind the last reading time goes on to the end of the range.
  const first = lone?.ts ?? 0;
  const held = await cloud.call<Tested>("POST", path, { deviceId: device.id, startTs: first, endTs: first + 1 });
  expect(held.lines.at(-1)?.alarms).toEqual([]);
  const until = { deviceId: sparse, startTs: first, endTs: first + 600_000 };
  expect((await cloud.call<Tested>("POST", path, until)).lines[0]).toMatchObject({
    ts: first + 300_000,
    kind: "raise-alarm",
  });
});

test("POST /api/deviceProfile refuses calculated fields that can't be worked out, and names the field", async () => {
  const t = { refEntityKey: { key: "t", type: "TS_LATEST" } };
  const wrong = { name: "a", arguments: { t }, expression: "t + u", output: { type: "TIME_SERIES", name: "a" } };
  const body = { name: "wrong", profileData: { calculatedFields: [wrong] } };
  const { status, text } = await cloud.request("POST", "/api/deviceProfile", { body });
  expect(status).toBe(400);
  expect(JSON.parse(text)).toMatchObject({ field: "profileData.calculatedFields.0.expression" });
});
