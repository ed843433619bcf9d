import { describe, expect, test } from "bun:test";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { CEL_LENGTH_MAX, loadCel, messageVariables, type CelVariables } from "../../shared/rules/cel.ts";
import type { RuleMessage } from "../../shared/rules/message.ts";

const cel = await loadCel();

function evaluate(text: string, variables: CelVariables = {}): unknown {
  const outcome = cel.compile(text).evaluate(variables);
  return outcome.ok ? outcome.value : outcome;
}

function reasonOf(text: string, variables: CelVariables = {}): string {
  const outcome = cel.compile(text).evaluate(variables);
  return outcome.ok ? "" : outcome.reason;
}

describe("loadCel()", () => {
  const msg = { temperature: 20.5, count: 7, on: true, name: "Pump 1", list: [1, 2, 3], nested: { deep: { x: 1 } } };
  test.each([
    ["msg.temperature > 20", true],
    ["msg.temperature * 2 + 1", 42],
    ["1 + msg.count", 8],
    ["msg.count % 4", 3],
    ["msg.count / 2", 3.5],
    ["7 / 2", 3],
    ["msg.on && msg.name.startsWith('Pump')", true],
    ["has(msg.humidity) ? msg.humidity : -1", -1],
    ["msg.list.filter(x, x > 1)", [2, 3]],
    ["msg.nested.deep.x == 1", true],
    ["msg['temperature'] < 21", true],
    ["{'a': msg.count, 'b': [msg.on]}", { a: 7, b: [true] }],
    ["msg.name.lowerAscii().split(' ')", ["pump", "1"]],
    ["timestamp('2026-01-01T00:00:00.5Z')", Date.UTC(2026, 0, 1, 0, 0, 0, 500)],
    ["duration('90s')", 90_000],
  ])("evaluates %s", (text, expected) => {
    expect(evaluate(text, { msg })).toEqual(expected);
  });

  test("says what is wrong with the data as a value", () => {
    expect(reasonOf("msg.temperature > 20", { msg: {} })).toContain("temperature");
    expect(reasonOf("msg.temperature > 20", { msg: { temperature: "warm" } })).toContain("overload");
    expect(reasonOf("other > 1")).toContain("unresolved");
    expect(reasonOf("1.0 / 0.0")).toContain("Infinity");
  });

  test("takes members whose names mean something to the runtime", () => {
    const data = JSON.parse('{"constructor":1,"__proto__":2}');
    expect(evaluate("msg.constructor + msg.__proto__", { msg: data })).toBe(3);
  });

  test("refuses text that is no expression, too long or too large", () => {
    expect(() => cel.compile("1 +")).toThrow("Unreadable CEL expression");
    expect(() => cel.compile(`'${"a".repeat(CEL_LENGTH_MAX)}'`)).toThrow("at most 4096 characters");
    expect(() => cel.compile(Array.from({ length: 600 }, () => "1").join("+"))).toThrow("at most 1000 parts");
  });

  test("ends loops that take too long, and starts the next evaluation with the full budget", () => {
    const list = Array.from({ length: 1_000 }, (_, index) => index);
    const nested = cel.compile("l.map(x, l.map(y, x + y)).size()");
    expect(nested.evaluate({ l: list })).toEqual({
      ok: false,
      reason: expect.stringContaining("more than 10000 steps"),
    });
    expect(nested.evaluate({ l: list.slice(0, 50) })).toEqual({ ok: true, value: 50 });
    expect(reasonOf("l.exists(x, l.exists(y, x + y < 0)) || true", { l: list })).toBe("");
  });

  test("sees a message as msg, metadata, msgType, originator and ts", () => {
    const message: RuleMessage = {
      type: "POST_TELEMETRY_REQUEST",
      originator: { type: "DEVICE", id: NULL_UUID },
      tsMs: 5,
      data: { temperature: 21 },
      metadata: { deviceName: "Pump" },
    };
    const text =
      "msgType == 'POST_TELEMETRY_REQUEST' && originator.entityType == 'DEVICE' && ts == 5 && metadata.deviceName == 'Pump' && msg.temperature == 21";
    expect(evaluate(text, messageVariables(message))).toBe(true);
  });
});
