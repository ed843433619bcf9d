import { beforeAll, describe, expect, test } from "bun:test";
import { DerivedValues } from "../../edge/rules/derived-values.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { readTelemetry } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { checkCalculatedFields } from "../../shared/rest/calculated-fields.ts";
import { compileReadFields, type DeviceFields, type FieldKnowledge } from "../../shared/rules/calculated-fields.ts";
import { readCalculatedFields } from "../../shared/rules/calculated-form.ts";
import { loadCel, type Cel } from "../../shared/rules/cel.ts";
import { RollingWindow } from "../../shared/rules/rolling-window.ts";

const ID = createUuid({ nowMs: () => 0 }, createSeededRandom(1));
const NOW_MS = 1_700_000_000_000;
const NOTHING_KNOWN: FieldKnowledge = { latest: new Map(), attributes: [], points: new Map() };

let cel: Cel;
beforeAll(async () => {
  cel = await loadCel();
});

const latest = (key: string, more: object = {}) => ({ refEntityKey: { key, type: "TS_LATEST" }, ...more });
const rolling = (key: string, more: object) => ({ refEntityKey: { key, type: "TS_ROLLING" }, ...more });
const attribute = (key: string, scope?: string) => ({ refEntityKey: { key, type: "ATTRIBUTE", scope } });

function field(
  expression: string,
  args: object,
  output: { readonly name: string; readonly decimalsByDefault?: number },
) {
  return { name: output.name, arguments: args, expression, output: { type: "TIME_SERIES", ...output } };
}

interface TestDevice {
  readonly fields: DeviceFields;
  /** What follows from values at a time, as JSON. */
  send(values: object, tsMs: number, nowMs?: number): string | null;
}

function createDevice(forms: readonly unknown[], known: FieldKnowledge = NOTHING_KNOWN): TestDevice {
  const compiled = compileReadFields(readCalculatedFields({ profileData: { calculatedFields: forms } }), cel);
  expect(compiled.problems).toEqual([]);
  const profile = new DerivedValues(compiled, { profileId: ID, log: silentLog });
  const device = profile.watch(known);
  return {
    fields: device,
    send: (values, tsMs, nowMs = NOW_MS) => {
      const [reading] = readTelemetry(JSON.stringify({ ts: tsMs, values }), { nowMs, nulls: "skip" });
      if (reading === undefined) throw new Error("Expected a reading");
      return profile.derive(device, { entityId: ID, ...reading }, nowMs)?.values ?? null;
    },
  };
}

describe("RollingWindow", () => {
  test("works out all facts of the points that are inside", () => {
    const window = new RollingWindow({ lengthMs: 10_000, pointsMax: 100 });
    for (const [ts, value] of [
      [0, 100],
      [1_000, 4],
      [3_000, 10],
      [11_000, 7],
    ] as const)
      window.add(ts, value);
    expect(window.facts()).toEqual({
      count: 2,
      sum: 17,
      avg: 8.5,
      min: 7,
      max: 10,
      first: 10,
      last: 7,
      delta: -3,
      rate: -0.375,
    });
  });

  test("keeps the newest points, in the order of time, one of a time", () => {
    const window = new RollingWindow({ lengthMs: Infinity, pointsMax: 2 });
    for (const [ts, value] of [
      [5, 5],
      [9, 9],
      [7, 7],
      [1, 1],
      [9, 90],
    ] as const)
      window.add(ts, value);
    expect(window.facts()).toMatchObject({ count: 2, first: 7, last: 90 });
  });

  test("has no rate over no time, and nothing but a count without points", () => {
    const window = new RollingWindow({ lengthMs: 10, pointsMax: 10 });
    expect(window.facts()).toEqual({ count: 0, sum: 0 });
    window.add(1, 5);
    expect(window.facts()).toMatchObject({ count: 1, delta: 0 });
    expect(window.facts().rate).toBeUndefined();
    window.passTo(11);
    expect(window.size).toBe(0);
  });
});

describe("DeviceFields", () => {
  test("derives from newest values, attributes and defaults", () => {
    const args = { t: latest("t"), h: latest("h", { defaultValue: 50 }), k: attribute("k", "SERVER_SCOPE") };
    const known = { ...NOTHING_KNOWN, attributes: [{ scope: "SERVER_SCOPE", key: "k", tsMs: 1, value: 2 } as const] };
    const device = createDevice([field("(t + h) * k", args, { name: "index", decimalsByDefault: 1 })], known);
    expect(device.send({ t: 20.04 }, 1_000)).toBe('{"index":140.1}');
    expect(device.send({ h: 10 }, 2_000)).toBe('{"index":60.1}');
    expect(device.send({ other: 10 }, 3_000)).toBeNull();
    device.fields.takeAttribute({ scope: "SERVER_SCOPE", key: "k", tsMs: 5, value: 1 });
    expect(device.send({ h: 20 }, 3_000)).toBe('{"index":40.0}');
    device.fields.dropAttributes("SERVER_SCOPE", ["k"]);
    expect(device.send({ h: 20 }, 4_000)).toBeNull();
  });

  test("lets a field use another one, whatever their order in the profile", () => {
    const device = createDevice([
      field("mean > 10", { mean: latest("mean") }, { name: "isHigh" }),
      field("t.avg", { t: rolling("t", { limit: 2 }) }, { name: "mean", decimalsByDefault: 0 }),
    ]);
    expect(device.send({ t: 9 }, 1_000)).toBe('{"mean":9,"isHigh":false}');
    expect(device.send({ t: 20 }, 2_000)).toBe('{"mean":15,"isHigh":true}');
  });

  test("derives nothing anew from what comes late, which is in the next window all the same", () => {
    const device = createDevice([field("t.sum", { t: rolling("t", { timeWindow: 10_000 }) }, { name: "sum" })]);
    expect(device.send({ t: 1 }, 5_000)).toBe('{"sum":1.0}');
    expect(device.send({ t: 2 }, 4_000)).toBeNull();
    expect(device.send({ t: 4 }, 6_000)).toBe('{"sum":7.0}');
    expect(device.send({ t: 8 }, 15_000)).toBe('{"sum":12.0}');
  });

  test("lets a reading that is ahead of every clock give way to the next", () => {
    const device = createDevice([field("t.sum", { t: rolling("t", { timeWindow: 10_000 }) }, { name: "sum" })]);
    expect(device.send({ t: 1 }, NOW_MS)).toBe('{"sum":1.0}');
    expect(device.send({ t: 100 }, NOW_MS * 2)).toBe('{"sum":100.0}');
    expect(device.send({ t: 2 }, NOW_MS + 1_000)).toBe('{"sum":2.0}');
    expect(device.send({ t: 3 }, NOW_MS + 500)).toBeNull();
  });

  test("gives no value where an argument is missing, an expression fails or gives no scalar", () => {
    const device = createDevice([
      field("t / missing", { t: latest("t"), missing: latest("missing") }, { name: "a" }),
      field("t.startsWith('x')", { t: latest("t") }, { name: "b" }),
      field("[t]", { t: latest("t") }, { name: "c" }),
      field("t.rate", { t: rolling("t", { limit: 5 }) }, { name: "d" }),
      field("string(t)", { t: latest("t") }, { name: "e" }),
    ]);
    expect(device.send({ t: 1.5 }, 1_000)).toBe('{"e":1.5}');
    expect(device.send({ t: 2.5 }, 3_000)).toBe('{"d":0.5,"e":2.5}');
  });

  test("holds at most the points that its windows allow", () => {
    const device = createDevice([
      field("t.count", { t: rolling("t", { limit: 3 }) }, { name: "n", decimalsByDefault: 0 }),
    ]);
    for (let ts = 1; ts < 50; ts += 1) device.send({ t: ts }, ts);
    expect(device.fields.points).toBe(3);
    expect(device.send({ t: 1 }, 50)).toBe('{"n":3}');
  });
});

describe("checkCalculatedFields()", () => {
  const refused = (...forms: readonly unknown[]) =>
    checkCalculatedFields({ profileData: { calculatedFields: forms } }).then(
      () => null,
      (thrown: unknown) => (thrown instanceof AppError ? `${thrown.field ?? ""}: ${thrown.message}` : String(thrown)),
    );
  const t = latest("t");

  test("takes what can be worked out", async () => {
    expect(await refused(field("[1, 2].exists(x, x > int(t))", { t }, { name: "a" }))).toBeNull();
  });

  test.each<[string, string, readonly unknown[]]>([
    [
      "an expression that is none",
      "profileData.calculatedFields.0.expression",
      [field("t +", { t: latest("t") }, { name: "a" })],
    ],
    [
      "a name that is no argument",
      "names u, which is no argument",
      [field("t + u", { t: latest("t") }, { name: "a" })],
    ],
    ["a window without bounds", "arguments.t.timeWindow", [field("t.avg", { t: rolling("t", {}) }, { name: "a" })]],
    [
      "a window that is too long",
      "arguments.t.limit",
      [field("t.avg", { t: rolling("t", { limit: 1_001 }) }, { name: "a" })],
    ],
    ["no telemetry", "At least one argument should be telemetry", [field("k", { k: attribute("k") }, { name: "a" })]],
    ["an argument that CEL can't name", "arguments.in", [field("1", { in: latest("t") }, { name: "a" })]],
    ["a field of itself", "depends on its own output", [field("a", { a: latest("a") }, { name: "a" })]],
    [
      "a circle",
      "profileData.calculatedFields.1.arguments",
      [
        field("t", { t: latest("t") }, { name: "x" }),
        field("b", { b: latest("b") }, { name: "a" }),
        field("a.avg", { a: rolling("a", { limit: 5 }) }, { name: "b" }),
      ],
    ],
    [
      "two of one output",
      "profileData.calculatedFields.1.output.name",
      [field("t", { t: latest("t") }, { name: "a" }), field("t", { t: latest("t") }, { name: "a" })],
    ],
    [
      "an output that is no telemetry",
      "profileData.calculatedFields.0.output.type",
      [{ ...field("t", { t: latest("t") }, { name: "a" }), output: { type: "ATTRIBUTES", name: "a" } }],
    ],
  ])("refuses %s", async (_, text, forms) => {
    expect(await refused(...forms)).toContain(text);
  });
});

test("readCalculatedFields() leaves out what it can't read, and fields in a circle", () => {
  const forms: Json[] = [
    { name: "new", kind: "of another program" },
    field("a", { a: latest("a") }, { name: "a" }) as unknown as Json,
    field("t", { t: latest("t") }, { name: "b" }) as unknown as Json,
  ];
  const { fields, problems } = readCalculatedFields({ profileData: { calculatedFields: forms } });
  expect(fields.map(({ name }) => name)).toEqual(["b"]);
  expect(problems).toEqual([expect.stringContaining("calculatedFields.0.arguments"), "a: depends on its own output"]);
});
