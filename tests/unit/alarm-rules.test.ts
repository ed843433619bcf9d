import { describe, expect, test } from "bun:test";
import * as z from "zod";
import type { Json } from "../../shared/entities/entity-record.ts";
import { compileAlarmRule, UPDATE_EVERY_MS, type AlarmEffect } from "../../shared/rules/alarm-evaluator.ts";
import { profileAlarmsSchema, readAlarmRules } from "../../shared/rules/alarm-rule.ts";
import { loadCel } from "../../shared/rules/cel.ts";
import { compileProfile, DeviceAlarms, type DeviceKnowledge } from "../../shared/rules/device-alarms.ts";

const cel = await loadCel();
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

const NOTHING_KNOWN: DeviceKnowledge = {
  telemetry: new Map(),
  attributes: new Map(),
  customerAttributes: new Map(),
  tenantAttributes: new Map(),
  fields: new Map<string, Json>([
    ["name", "Pump 1"],
    ["type", "pump"],
  ]),
  states: new Map(),
};

function numeric(operation: string, value: Json, key = "t") {
  return {
    key: { type: "TIME_SERIES", key },
    valueType: "NUMERIC",
    predicate: { type: "NUMERIC", operation, value: isObject(value) ? value : { defaultValue: value } },
  };
}

function isObject(value: Json): boolean {
  return typeof value === "object" && value !== null;
}

function duration(unit: string, value: Json) {
  return { type: "DURATION", unit, predicate: isObject(value) ? value : { defaultValue: value } };
}

const ABOVE_30 = { condition: [numeric("GREATER", 30)], spec: { type: "SIMPLE" } };
const BELOW_20 = { condition: [numeric("LESS", 20)], spec: { type: "SIMPLE" } };

/** A device with one rule; `does` gives what it does, as `kind severity tsMs`. */
class Device {
  readonly alarms: DeviceAlarms;

  constructor(rule: object, known: Partial<DeviceKnowledge> = {}) {
    const { problems, rules } = readAlarmRules({ profileData: { alarms: [{ id: "r", alarmType: "High", ...rule }] } });
    expect(problems).toEqual([]);
    const profile = compileProfile(rules.map((form) => compileAlarmRule(form, cel)));
    this.alarms = new DeviceAlarms(profile, { ...NOTHING_KNOWN, ...known });
  }

  values(values: Record<string, Json>, tsMs: number, nowMs = tsMs): readonly string[] {
    this.alarms.take({ values, tsMs, nowMs });
    return this.effects().map(toText);
  }

  attributes(values: Record<string, Json>, tsMs: number): readonly string[] {
    this.alarms.takeAttributes({ values, tsMs, nowMs: tsMs });
    return this.effects().map(toText);
  }

  seen(seenMs: number): readonly string[] {
    this.alarms.passSeen(seenMs, seenMs);
    return this.effects().map(toText);
  }

  effects(): readonly AlarmEffect[] {
    return this.alarms.takeDecided().flatMap(({ effects }) => effects);
  }
}

function toText(effect: AlarmEffect): string {
  return [effect.kind, ...(effect.kind === "raise" ? [effect.severity] : []), effect.tsMs].join(" ");
}

describe("evaluateAlarmRule()", () => {
  test("raises once, stays silent while the value stays, and clears by the clear rule", () => {
    const device = new Device({
      createRules: { CRITICAL: { condition: ABOVE_30 } },
      clearRule: { condition: BELOW_20 },
    });
    expect(device.values({ t: 30 }, 1)).toEqual([]);
    expect(device.values({ t: 31 }, 2)).toEqual(["raise CRITICAL 2"]);
    expect(device.values({ t: 40 }, 3)).toEqual([]);
    expect(device.values({ t: 25 }, 4)).toEqual([]);
    expect(device.values({ t: 19 }, 5)).toEqual(["clear 5"]);
    expect(device.values({ t: 18 }, 6)).toEqual([]);
    expect(device.values({ t: 31 }, 7)).toEqual(["raise CRITICAL 7"]);
  });

  test("gives the highest severity that holds, and never lowers it", () => {
    const device = new Device({
      createRules: {
        WARNING: { condition: { condition: [numeric("GREATER", 10)] } },
        CRITICAL: { condition: { condition: [numeric("GREATER", 30)] } },
      },
    });
    expect(device.values({ t: 11 }, 1)).toEqual(["raise WARNING 1"]);
    expect(device.values({ t: 31 }, 2)).toEqual(["raise CRITICAL 2"]);
    expect(device.values({ t: 11 }, 3)).toEqual([]);
    expect(device.values({ t: 11 }, 3 + UPDATE_EVERY_MS)).toEqual([]);
  });

  test("brings details up to date from time to time only", () => {
    const device = new Device({
      createRules: {
        MAJOR: {
          condition: ABOVE_30,
          alarmDetails: "T is ${t}, limit ${limit}, ${none}",
          dashboardId: { entityType: "DASHBOARD", id: "784f394c-42b6-435a-983c-b7beff2784f9" },
        },
      },
    });
    device.attributes({ limit: "low" }, 0);
    device.alarms.take({ values: { t: 31.5 }, tsMs: 1, nowMs: 1 });
    const details = {
      data: "T is 31.5, limit low, ${none}",
      dashboardId: "784f394c-42b6-435a-983c-b7beff2784f9",
    };
    expect(device.effects()).toEqual([{ kind: "raise", severity: "MAJOR", details, tsMs: 1 }]);
    expect(device.values({ t: 33 }, UPDATE_EVERY_MS)).toEqual([]);
    device.alarms.take({ values: { t: 34 }, tsMs: UPDATE_EVERY_MS + 1, nowMs: 1 });
    expect(device.effects()).toMatchObject([{ kind: "update", details: { data: "T is 34, limit low, ${none}" } }]);
  });

  test("takes no value of an earlier time than the newest, unless that lies years ahead", () => {
    const device = new Device({ createRules: { CRITICAL: { condition: ABOVE_30 } } });
    expect(device.values({ t: 10 }, 1_000)).toEqual([]);
    expect(device.values({ t: 50 }, 999)).toEqual([]);
    expect(device.values({ t: 50, other: 1 }, 1_000)).toEqual(["raise CRITICAL 1000"]);
    const decadeMs = 10 * 365 * 86_400_000;
    const wrong = new Device({ createRules: { CRITICAL: { condition: ABOVE_30 } } });
    expect(wrong.values({ t: 10 }, decadeMs, 0)).toEqual([]);
    expect(wrong.values({ t: 50 }, 5, 5)).toEqual(["raise CRITICAL 5"]);
  });

  test("knows newest values of other keys, and none that never came", () => {
    const device = new Device({
      createRules: { CRITICAL: { condition: { condition: [numeric("GREATER", 30), numeric("LESS", 5, "p")] } } },
    });
    expect(device.values({ t: 31 }, 1)).toEqual([]);
    expect(device.values({ p: 3 }, 2)).toEqual(["raise CRITICAL 2"]);
  });

  test("reactsTo() tells what a reading would do to an alarm, and does nothing", () => {
    const device = new Device({
      createRules: {
        CRITICAL: { condition: ABOVE_30 },
        MAJOR: { condition: { ...ABOVE_30, spec: duration("DAYS", 1) } },
      },
      clearRule: { condition: BELOW_20 },
    });
    const reacts = (t: number, tsMs: number) => device.alarms.reactsTo({ values: { t }, tsMs, nowMs: tsMs });
    expect([reacts(31, 1), reacts(30, 1), reacts(31, 1)]).toEqual([true, false, true]);
    expect(device.values({ t: 31 }, 2)).toEqual(["raise CRITICAL 2"]);
    expect([reacts(40, 3), reacts(19, 3), reacts(19, 1)]).toEqual([false, true, false]);
  });

  describe("DURATION", () => {
    const rule = {
      createRules: { CRITICAL: { condition: { ...ABOVE_30, spec: duration("MINUTES", 5) } } },
      clearRule: { condition: { ...BELOW_20, spec: duration("SECONDS", 30) } },
    };

    test("is over without a message, in the time of the last value", () => {
      const device = new Device(rule);
      expect(device.values({ t: 31 }, 1_000, 501_000)).toEqual([]);
      expect(device.alarms.nextDue()).toEqual({
        tsMs: 1_000 + 5 * MINUTE_MS,
        seenMs: 501_000 + 5 * MINUTE_MS,
        neededMs: 5 * MINUTE_MS,
      });
      expect(device.seen(501_000 + 5 * MINUTE_MS - 1)).toEqual([]);
      expect(device.seen(501_000 + 5 * MINUTE_MS)).toEqual([`raise CRITICAL ${1_000 + 5 * MINUTE_MS}`]);
      expect(device.alarms.nextDue()).toBeNull();
    });

    test("is over when it is over, though values come later", () => {
      const device = new Device(rule);
      device.values({ t: 31 }, 0);
      expect(device.values({ t: 25 }, 9 * MINUTE_MS)).toEqual([`raise CRITICAL ${5 * MINUTE_MS}`]);
      expect(device.values({ t: 10 }, 10 * MINUTE_MS)).toEqual([]);
      expect(device.values({ t: 25 }, 20 * MINUTE_MS)).toEqual([`clear ${10 * MINUTE_MS + 30 * SECOND_MS}`]);
    });

    test("begins anew with a value that breaks it", () => {
      const device = new Device(rule);
      device.values({ t: 31 }, 0);
      expect(device.values({ t: 30 }, 5 * MINUTE_MS - 1)).toEqual([]);
      expect(device.values({ t: 31 }, 5 * MINUTE_MS)).toEqual([]);
      expect(device.values({ t: 32 }, 9 * MINUTE_MS)).toEqual([]);
      expect(device.values({ t: 32 }, 10 * MINUTE_MS)).toEqual([`raise CRITICAL ${10 * MINUTE_MS}`]);
    });

    test("goes on from what was kept", () => {
      const first = new Device(rule);
      first.alarms.take({ values: { t: 31 }, tsMs: 0, nowMs: 0 });
      const [kept] = first.alarms.takeDecided();
      expect(kept).toMatchObject({ isToBeKept: true, state: { conditions: { CRITICAL: { sinceMs: 0 } } } });
      first.alarms.take({ values: { t: 32 }, tsMs: 1, nowMs: 1 });
      expect(first.alarms.takeDecided()).toEqual([]);
      const states = new Map([["r", JSON.parse(JSON.stringify(kept?.state))]]);
      const second = new Device(rule, { states, telemetry: new Map([["t", { tsMs: 1, value: 32 }]]) });
      expect(second.seen(5 * MINUTE_MS)).toEqual([`raise CRITICAL ${5 * MINUTE_MS}`]);
    });

    test("takes its length from an attribute, with the default behind it", () => {
      const needed = { defaultValue: 60, dynamicValue: { sourceType: "CURRENT_DEVICE", sourceAttribute: "wait" } };
      const form = { createRules: { MINOR: { condition: { ...ABOVE_30, spec: duration("SECONDS", needed) } } } };
      const device = new Device(form);
      device.values({ t: 31 }, 0);
      expect(device.alarms.nextDue()?.neededMs).toBe(MINUTE_MS);
      device.attributes({ wait: 10 }, 1);
      expect(device.values({ t: 31 }, 11 * SECOND_MS)).toEqual([`raise MINOR ${10 * SECOND_MS}`]);
    });
  });

  test("REPEATING counts messages in a row that bring the key, and writes no more once it has enough", () => {
    const spec = { type: "REPEATING", predicate: { defaultValue: 3 } };
    const device = new Device({ createRules: { MAJOR: { condition: { ...ABOVE_30, spec } } } });
    device.values({ t: 31 }, 1);
    device.values({ t: 31 }, 2);
    device.values({ t: 1 }, 3);
    device.values({ t: 31 }, 4);
    device.values({ other: 1 }, 5);
    expect(device.values({ t: 31 }, 6)).toEqual([]);
    expect(device.values({ t: 31 }, 7)).toEqual(["raise MAJOR 7"]);
    device.alarms.take({ values: { t: 31 }, tsMs: 8, nowMs: 8 });
    expect(device.alarms.takeDecided()).toEqual([]);
  });

  test("begins anew when somebody clears the alarm, and learns of the severity that somebody gave it", () => {
    const device = new Device({
      createRules: { MAJOR: { condition: { ...ABOVE_30, spec: duration("MINUTES", 1) } } },
    });
    device.values({ t: 31 }, 0);
    expect(device.values({ t: 31 }, MINUTE_MS)).toEqual([`raise MAJOR ${MINUTE_MS}`]);
    device.alarms.noteAlarms(new Map());
    expect(device.values({ t: 31 }, MINUTE_MS + 1)).toEqual([]);
    expect(device.values({ t: 31 }, 2 * MINUTE_MS + 1)).toEqual([`raise MAJOR ${2 * MINUTE_MS + 1}`]);
    device.alarms.noteAlarms(new Map([["High", { severity: "CRITICAL", updatedMs: 3 * MINUTE_MS }]]));
    expect(device.values({ t: 31 }, 10 * MINUTE_MS)).toEqual([]);
  });

  describe("dynamic values", () => {
    const limit = (sourceType: string, inherit: boolean) => ({
      createRules: {
        MAJOR: {
          condition: {
            condition: [
              numeric("GREATER", { defaultValue: 30, dynamicValue: { sourceType, sourceAttribute: "limit", inherit } }),
            ],
          },
        },
      },
    });
    const owners = { customerAttributes: new Map([["limit", 20]]), tenantAttributes: new Map([["limit", 10]]) };
    const raises = (form: object, known: Partial<DeviceKnowledge>, t: number): boolean =>
      new Device(form, known).values({ t }, 1).length > 0;

    test.each([
      ["CURRENT_DEVICE", false, 30],
      ["CURRENT_DEVICE", true, 20],
      ["CURRENT_CUSTOMER", false, 20],
      ["CURRENT_TENANT", false, 10],
      ["CURRENT_USER", true, 30],
    ] as const)("of %s, inherit %p, compare with %d", (source, inherit, expected) => {
      expect(raises(limit(source, inherit), owners, expected)).toBe(false);
      expect(raises(limit(source, inherit), owners, expected + 1)).toBe(true);
    });

    test("climb to the tenant, and give way to what the user gave", () => {
      const { tenantAttributes } = owners;
      expect(raises(limit("CURRENT_CUSTOMER", true), { tenantAttributes }, 11)).toBe(true);
      const value = {
        defaultValue: 30,
        userValue: 5,
        dynamicValue: { sourceType: "CURRENT_TENANT", sourceAttribute: "limit" },
      };
      expect(
        raises({ createRules: { MAJOR: { condition: { condition: [numeric("GREATER", value)] } } } }, owners, 6),
      ).toBe(true);
    });
  });
});

describe("compileCondition()", () => {
  const holds = (filter: object, values: Record<string, Json>): boolean =>
    new Device({ createRules: { MAJOR: { condition: { condition: [filter] } } } }).values(values, 1).length > 0;
  const text = (operation: string, value: string, ignoreCase = false) => ({
    key: { type: "TIME_SERIES", key: "s" },
    valueType: "STRING",
    predicate: { type: "STRING", operation, value: { defaultValue: value }, ignoreCase },
  });

  test.each([
    ["EQUAL", "on", "on", true],
    ["EQUAL", "ON", "on", false],
    ["NOT_EQUAL", "off", "on", true],
    ["STARTS_WITH", "o", "on", true],
    ["ENDS_WITH", "n", "on", true],
    ["CONTAINS", "x", "on", false],
    ["NOT_CONTAINS", "x", "on", true],
    ["IN", "off, on", "on", true],
    ["NOT_IN", "off, on", "on", false],
    ["EQUAL", "7", 7, true],
  ] as const)("STRING %s %p of %p is %p", (operation, value, s, expected) => {
    expect(holds(text(operation, value), { s })).toBe(expected);
  });

  test("ignores case where it is told to", () => {
    expect(holds(text("EQUAL", "ON", true), { s: "on" })).toBe(true);
  });

  test.each([
    ["EQUAL", 30, true],
    ["NOT_EQUAL", 30, false],
    ["GREATER", 30, false],
    ["GREATER_OR_EQUAL", 30, true],
    ["LESS", 30, false],
    ["LESS_OR_EQUAL", 30, true],
    ["EQUAL", "30", true],
    ["EQUAL", true, false],
    ["NOT_EQUAL", "warm", false],
  ] as const)("NUMERIC %s 30 of %p is %p", (operation, t, expected) => {
    expect(holds(numeric(operation, 30), { t })).toBe(expected);
  });

  test("compares booleans, fields and constants", () => {
    const truth = (operation: string, type: string, key: string, value: Json = null) => ({
      key: { type, key },
      valueType: "BOOLEAN",
      value,
      predicate: { type: "BOOLEAN", operation, value: { defaultValue: true } },
    });
    expect(holds(truth("EQUAL", "TIME_SERIES", "b"), { b: true })).toBe(true);
    expect(holds(truth("NOT_EQUAL", "TIME_SERIES", "b"), { b: false })).toBe(true);
    expect(holds(truth("EQUAL", "TIME_SERIES", "b"), { b: 1 })).toBe(false);
    const named = { ...text("EQUAL", "Pump 1"), key: { type: "ENTITY_FIELD", key: "name" } };
    const both = (filter: object) =>
      new Device({ createRules: { MAJOR: { condition: { condition: [filter, numeric("GREATER", 0)] } } } }).values(
        { t: 1 },
        1,
      ).length > 0;
    expect(both(named)).toBe(true);
    expect(both(truth("EQUAL", "CONSTANT", "c", true))).toBe(true);
    expect(both(truth("EQUAL", "CONSTANT", "c", false))).toBe(false);
  });

  test("joins predicates by COMPLEX", () => {
    const complex = (operation: string) => ({
      key: { type: "TIME_SERIES", key: "t" },
      valueType: "NUMERIC",
      predicate: {
        type: "COMPLEX",
        operation,
        predicates: [numeric("LESS", 0).predicate, numeric("GREATER", 30).predicate],
      },
    });
    expect(holds(complex("OR"), { t: 31 })).toBe(true);
    expect(holds(complex("OR"), { t: -1 })).toBe(true);
    expect(holds(complex("AND"), { t: 31 })).toBe(false);
  });

  test("takes an expression in CEL, beside the list or alone", () => {
    const expression = { type: "CEL", expression: "telemetry.t > attributes.limit && device.type == 'pump'" };
    const device = new Device({
      createRules: {
        MAJOR: { condition: { expression } },
        CRITICAL: { condition: { expression, condition: [numeric("GREATER", 99)] } },
      },
    });
    expect(device.values({ t: 5 }, 1)).toEqual([]);
    expect(device.attributes({ limit: 3 }, 2)).toEqual(["raise MAJOR 2"]);
    expect(device.values({ t: 100 }, 3)).toEqual(["raise CRITICAL 3"]);
  });
});

describe("compileSchedule()", () => {
  const HOUR_MS = 3_600_000;
  const isOn = (schedule: object, time: string): boolean =>
    new Device({ createRules: { MAJOR: { condition: ABOVE_30, schedule } } }).values({ t: 31 }, Date.parse(time))
      .length > 0;
  const specific = (daysOfWeek: readonly number[], startsOn: number, endsOn: number, timezone = "Europe/Kyiv") => ({
    type: "SPECIFIC_TIME",
    timezone,
    daysOfWeek,
    startsOn: startsOn * HOUR_MS,
    endsOn: endsOn * HOUR_MS,
  });

  // 2026-07-06 is a Monday; Kyiv is three hours ahead in July, two in January.
  test.each([
    [specific([1], 8, 18), "2026-07-06T05:00:00Z", true],
    [specific([1], 8, 18), "2026-07-06T04:59:59.999Z", false],
    [specific([1], 8, 18), "2026-07-06T15:00:00Z", false],
    [specific([1], 8, 18), "2026-01-05T06:00:00Z", true],
    [specific([1], 8, 18), "2026-01-05T05:59:00Z", false],
    [specific([2], 8, 18), "2026-07-06T08:00:00Z", false],
    [specific([], 8, 18), "2026-07-07T08:00:00Z", true],
    [specific([1], 20, 0), "2026-07-06T20:59:59Z", true],
    [specific([1], 20, 0), "2026-07-06T21:00:00Z", false],
    [specific([7], 22, 6), "2026-07-06T02:00:00Z", true],
    [specific([7], 22, 6), "2026-07-06T03:00:00Z", false],
    [specific([1], 22, 6), "2026-07-06T02:00:00Z", false],
    [specific([4], 0, 0, "Asia/Kathmandu"), "2026-07-08T18:15:00Z", true],
    [specific([4], 0, 0, "Asia/Kathmandu"), "2026-07-08T18:14:59Z", false],
    [specific([4], 0, 0, "UTC"), "1969-12-25T12:00:00Z", true],
  ])("%j at %s: %p", (schedule, time, expected) => {
    expect(isOn(schedule, time)).toBe(expected);
  });

  test("CUSTOM has a window for each day", () => {
    const item = (dayOfWeek: number, enabled: boolean) => ({
      dayOfWeek,
      enabled,
      startsOn: HOUR_MS,
      endsOn: 2 * HOUR_MS,
    });
    const schedule = { type: "CUSTOM", timezone: "UTC", items: [item(1, true), item(2, false)] };
    expect(isOn(schedule, "2026-07-06T01:30:00Z")).toBe(true);
    expect(isOn(schedule, "2026-07-06T02:00:00Z")).toBe(false);
    expect(isOn(schedule, "2026-07-07T01:30:00Z")).toBe(false);
  });

  test("is read from an attribute", () => {
    const schedule = {
      ...specific([1], 8, 18),
      dynamicValue: { sourceType: "CURRENT_TENANT", sourceAttribute: "hours" },
    };
    const night = JSON.stringify(specific([1], 0, 1, "UTC"));
    const at = Date.parse("2026-07-06T08:00:00Z");
    const form = { createRules: { MAJOR: { condition: ABOVE_30, schedule } } };
    expect(new Device(form).values({ t: 31 }, at)).toHaveLength(1);
    expect(new Device(form, { tenantAttributes: new Map([["hours", night]]) }).values({ t: 31 }, at)).toEqual([]);
    expect(new Device(form, { tenantAttributes: new Map([["hours", "?"]]) }).values({ t: 31 }, at)).toHaveLength(1);
  });
});

describe("profileAlarmsSchema", () => {
  const refusal = (...alarms: object[]): string => {
    const parsed = profileAlarmsSchema.safeParse({ profileData: { alarms } });
    return parsed.success ? "" : z.prettifyError(parsed.error);
  };
  const rule = { id: "a", alarmType: "High", createRules: { MAJOR: { condition: ABOVE_30 } } };

  test("takes what it should, with null for what is not said", () => {
    expect(refusal(rule)).toBe("");
    expect(refusal({ ...rule, clearRule: null, propagate: null, propagateRelationTypes: null })).toBe("");
    expect(profileAlarmsSchema.safeParse({ profileData: { alarms: null } }).success).toBe(true);
  });

  test.each([
    [{ ...rule, alarmType: " " }, "alarmType"],
    [{ ...rule, createRules: {} }, "createRules"],
    [{ ...rule, createRules: { HUGE: { condition: ABOVE_30 } } }, "createRules"],
    [{ ...rule, createRules: { MAJOR: { condition: { condition: [] } } } }, "createRules.MAJOR.condition.condition"],
    [{ ...rule, createRules: { MAJOR: { condition: { condition: [numeric("NEAR", 1)] } } } }, "predicate.operation"],
    [
      {
        ...rule,
        clearRule: {
          condition: ABOVE_30,
          schedule: { type: "SPECIFIC_TIME", timezone: "Mars", startsOn: 0, endsOn: 0 },
        },
      },
      "clearRule.schedule.timezone",
    ],
  ])("names the field of %j", (form, field) => {
    expect(refusal(form)).toContain(field);
  });

  test("refuses two rules of one id or type", () => {
    expect(refusal(rule, { ...rule, id: "b" })).toContain("same alarmType");
    expect(refusal(rule, { ...rule, alarmType: "Low" })).toContain("same id");
  });
});
