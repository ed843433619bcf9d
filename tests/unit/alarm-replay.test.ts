import { expect, test } from "bun:test";
import { testAlarmRules } from "../../edge/cli/alarm-rules-replay.ts";
import { AIR_RULE, airAlarms } from "../support/air-rule.ts";
import { readOffice, readOfficeText } from "../support/readings.ts";

interface Lines {
  readonly happened: readonly object[];
  readonly summary: Readonly<Record<string, unknown>>;
}

async function replayed(rules: unknown, csvText: string): Promise<Lines> {
  const lines = await Array.fromAsync(
    testAlarmRules({ rulesText: JSON.stringify(rules), csvText, profileName: "office" }),
  );
  const { ...summary } = lines.at(-1);
  return { happened: lines.slice(0, -1), summary };
}

const minute = (value: number): number => value * 60_000;

function csv(...rows: readonly (readonly [minute: number, co2: number])[]): string {
  return `ts,CO2\n${rows.map(([at, co2]) => `${1_700_000_000_000 + minute(at)},${co2}`).join("\n")}\n`;
}

const at = (minutes: number): number => 1_700_000_000_000 + minute(minutes);

test("testAlarmRules() finds in a recorded office the alarms that a walk over its readings finds", async () => {
  const readings = await readOffice();
  const expected = airAlarms(readings);
  expect(expected.length).toBeGreaterThan(0);
  const { happened, summary } = await replayed({ profileData: { alarms: [AIR_RULE] } }, await readOfficeText());
  const alarms = summary["alarms"];
  expect(alarms).toEqual(expected.map((interval) => ({ alarmType: "Bad air", severity: "MAJOR", ...interval })));
  expect(summary).toMatchObject({ kind: "summary", messages: readings.length, problems: [] });
  const raised = happened.filter((line) => "kind" in line && line.kind === "raise-alarm");
  expect(raised).toHaveLength(expected.length);
});

test("testAlarmRules() lets a duration end between two readings, and takes a rule or a list as well as a profile", async () => {
  const text = csv([0, 1_100], [7, 900], [8, 700]);
  for (const rules of [AIR_RULE, [AIR_RULE]]) {
    const { happened } = await replayed(rules, text);
    expect(happened).toMatchObject([
      { ts: at(5), kind: "raise-alarm", severity: "MAJOR", details: { data: "CO2 is 1100 ppm" } },
      { ts: at(8), kind: "clear-alarm", alarmType: "Bad air" },
    ]);
  }
});

test("testAlarmRules() shows rules that are left out, and tries the others", async () => {
  const broken = {
    ...AIR_RULE,
    id: "broken",
    createRules: { MAJOR: { condition: { expression: { type: "CEL", expression: "telemetry.CO2 >" } } } },
  };
  const { summary } = await replayed(
    [broken, { ...AIR_RULE, alarmType: "Other" }, { id: "none" }],
    csv([0, 1_100], [6, 1_100]),
  );
  expect(summary["problems"]).toEqual([
    expect.stringContaining("alarms.2."),
    expect.stringContaining("broken: Unreadable CEL"),
  ]);
  expect(summary["alarms"]).toEqual([{ alarmType: "Other", severity: "MAJOR", startTs: at(5), clearTs: null }]);
});

test("testAlarmRules() works out the calculated fields of a profile for its rules", async () => {
  const condition = AIR_RULE.clearRule.condition.condition.map(({ key, ...one }) => ({
    ...one,
    key: { ...key, key: "mean" },
    predicate: { type: "NUMERIC", operation: "GREATER", value: { defaultValue: 1_000 } },
  }));
  const alarms = [{ id: "mean", alarmType: "Mean", createRules: { MINOR: { condition: { condition } } } }];
  const co2 = { refEntityKey: { key: "CO2", type: "TS_ROLLING" }, limit: 2 };
  const mean = {
    name: "Mean",
    arguments: { co2 },
    expression: "co2.avg",
    output: { type: "TIME_SERIES", name: "mean" },
  };
  const { summary } = await replayed(
    { profileData: { alarms, calculatedFields: [mean] } },
    csv([0, 500], [1, 1_100], [2, 1_200]),
  );
  expect(summary["alarms"]).toEqual([{ alarmType: "Mean", severity: "MINOR", startTs: at(2), clearTs: null }]);
});
