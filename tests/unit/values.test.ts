import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "../../shared/core/errors.ts";
import { KeyShapes } from "../../shared/entities/values-fast.ts";
import {
  joinValues,
  keySetOf,
  kindOf,
  readAttributes,
  readTelemetry,
  readValue,
  splitValues,
  textOf,
  type TelemetryReading,
} from "../../shared/entities/values.ts";

const NOW_MS = 1_700_000_000_000;

function read(text: string, shapes?: KeyShapes): { tsMs: number; values: string; keySet: string }[] {
  return readTelemetry(text, { nowMs: NOW_MS, nulls: "skip", ...(shapes === undefined ? {} : { shapes }) });
}

function errorOf(work: () => unknown): AppError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("Expected an AppError, got none");
}

describe("readValue() keeps each value exactly", () => {
  const table: readonly [input: string, kind: string, canonical: string][] = [
    ["true", "boolean", "true"],
    ["false", "boolean", "false"],
    ["21", "long", "21"],
    ["0", "long", "0"],
    ["-0", "long", "0"],
    ["-7", "long", "-7"],
    ["1e3", "long", "1000"],
    ["1E+3", "long", "1000"],
    ["1.0e0", "long", "1"],
    ["1.5e1", "long", "15"],
    ["0e99999999999", "long", "0"],
    ["0.0e-5", "long", "0"],
    ["9007199254740993", "long", "9007199254740993"],
    ["9223372036854775807", "long", "9223372036854775807"],
    ["-9223372036854775808", "long", "-9223372036854775808"],
    ["9223372036854775808", "string", '"9223372036854775808"'],
    ["-9223372036854775809", "string", '"-9223372036854775809"'],
    ["123456789012345678901234567890", "string", '"123456789012345678901234567890"'],
    ["1e20", "string", '"100000000000000000000"'],
    ["21.0", "double", "21.0"],
    ["21.50", "double", "21.5"],
    ["-0.0", "double", "0.0"],
    ["-21.25", "double", "-21.25"],
    ["1.5e-3", "double", "0.0015"],
    ["1.5e-7", "double", "0.00000015"],
    ["0.0000001", "double", "0.0000001"],
    ["0.1234567890123456", "double", "0.1234567890123456"],
    ["123456789012345678.5", "double", "123456789012345680.0"],
    ["1000000000000000000000.5", "double", "1000000000000000000000.0"],
    ["0.12345678901234567", "string", '"0.12345678901234567"'],
    ["-1.50000000000000000", "string", '"-1.50000000000000000"'],
    ["1e-17", "string", '"0.00000000000000001"'],
    [`${"9".repeat(400)}.5`, "string", `"${"9".repeat(400)}.5"`],
    ['"11"', "long", "11"],
    ['"007"', "long", "7"],
    ['"-1.5"', "double", "-1.5"],
    ['"-0"', "long", "0"],
    ['"21.0"', "double", "21.0"],
    ['".5"', "double", "0.5"],
    ['"9223372036854775808"', "string", '"9223372036854775808"'],
    ['"1e3"', "string", '"1e3"'],
    ['"+1"', "string", '"+1"'],
    ['" 1"', "string", '" 1"'],
    ['"1."', "string", '"1."'],
    ['"-"', "string", '"-"'],
    ['"."', "string", '"."'],
    ['"1.2.3"', "string", '"1.2.3"'],
    ['""', "string", '""'],
    ['"NaN"', "string", '"NaN"'],
    ['"on\\u0041\\/\\n"', "string", '"onA/\\n"'],
    ['"\\ud83d\\ude00"', "string", '"😀"'],
    ['{ "a" : [ 1.0 , 1e3, "7", null, {"__proto__": 1} ] }', "json", '{"a":[1.0,1e3,"7",null,{"__proto__":1}]}'],
    ["[ ]", "json", "[]"],
    ["{ }", "json", "{}"],
  ];
  for (const [input, kind, canonical] of table) {
    test(`${input.slice(0, 40)} is the ${kind} ${canonical.slice(0, 40)}`, () => {
      const value = readValue(input);
      expect(value as string).toBe(canonical);
      expect(kindOf(value)).toBe(kind as ReturnType<typeof kindOf>);
    });
  }
});

describe("readTelemetry() takes the three forms of a payload", () => {
  test("an object of values at server time", () => {
    expect(read('{"t":21.5}')).toEqual([{ tsMs: NOW_MS, values: '{"t":21.5}', keySet: "t" }]);
  });
  test("an object with ts and values in any order, whatever stands beside", () => {
    for (const text of [
      '{"ts":5,"values":{"t":1}}',
      '{"values":{"t":1},"ts":5}',
      '{ "metadata": {"connector":"c"}, "ts": 5.0, "values": { "t": 1 } }',
      '{"\\u0074s":5,"values":{"t":1}}',
    ]) {
      expect(read(text)).toEqual([{ tsMs: 5, values: '{"t":1}', keySet: "t" }]);
      expect(read(text, new KeyShapes())).toEqual(read(text));
    }
  });
  test("an array, mixed, each object with its own time", () => {
    expect(read('[{"a":1},{"ts":5,"values":{"b":2,"a":3}}]')).toEqual([
      { tsMs: NOW_MS, values: '{"a":1}', keySet: "a" },
      { tsMs: 5, values: '{"b":2,"a":3}', keySet: "a\nb" },
    ]);
  });
  test("ts or values alone are data", () => {
    expect(read('{"ts":5,"t":1}')[0]?.values as string).toBe('{"ts":5,"t":1}');
    expect(read('{"values":{"t":1}}')[0]).toEqual({ tsMs: NOW_MS, values: '{"values":{"t":1}}', keySet: "values" });
  });
  test("nothing in it gives no point", () => {
    for (const text of ["[]", "{}", "[{},{}]", '{"a":null}', '{"ts":5,"values":{}}', " [ ] "])
      expect(read(text)).toEqual([]);
  });
  test("null is left out, or an error that names the key", () => {
    expect(read('{"a":null,"b":1}')[0]?.values as string).toBe('{"b":1}');
    const error = errorOf(() => readTelemetry('{"a":null}', { nowMs: 1, nulls: "reject" }));
    expect(error.code).toBe("INVALID_PAYLOAD");
    expect(error.message).toContain('"a"');
  });
  test("the later of two equal keys wins", () => {
    for (const shapes of [undefined, new KeyShapes()]) {
      expect(read('{"a":1,"b":2,"a":3}', shapes)[0]?.values as string).toBe('{"b":2,"a":3}');
    }
  });
  test("keys of Object.prototype are keys like others", () => {
    const values = '{"__proto__":1,"constructor":2,"toString":3}';
    for (const shapes of [undefined, new KeyShapes()]) {
      expect(read(values, shapes)).toEqual([{ tsMs: NOW_MS, values, keySet: "__proto__\nconstructor\ntoString" }]);
    }
    expect(Object.hasOwn(Object.prototype, "1")).toBe(false);
  });
  test("a key of 255 characters passes", () => {
    const key = "k".repeat(255);
    expect(read(`{"${key}":1}`)[0]?.keySet).toBe(key);
  });
});

describe("readTelemetry() refuses", () => {
  const table: readonly [payload: string, expected: string][] = [
    ["", "an object of values"],
    ["1", "an object of values"],
    ['"x"', "an object of values"],
    ["null", "an object of values"],
    ["[1]", "an object of values"],
    ["[[]]", "an object of values"],
    ["[{}", '"," or "]"'],
    ['{"a":1', '"," or "}"'],
    ['{"a":1}}', "the end of the text"],
    ['{"a":1,}', "a key in double quotes"],
    ["{a:1}", "a key in double quotes"],
    ["{'a':1}", "a key in double quotes"],
    ['{"a" 1}', '":"'],
    ['{"a":}', "a value"],
    ['{"a":NaN}', "a value"],
    ['{"a":nul}', "a value"],
    ['{"a":Infinity}', "a value"],
    ['{"a":-Infinity}', "a value"],
    ['{"a":+1}', "a value"],
    ['{"a":.5}', "a value"],
    ['{"a":01}', '"," or "}"'],
    ['{"a":1.}', '"," or "}"'],
    ['{"a":1e}', '"," or "}"'],
    ['{"a":0x10}', '"," or "}"'],
    ['{"a":"x}', "closing quote"],
    ['{"a":"\\', "closing quote"],
    ['{"a":"\\q"}', "valid escapes"],
    ['{"a":"\\u12"}', "valid escapes"],
    ['{"a":"line\nfeed"}', "control character"],
    ['{"a":"\\u0000"}', "without \\u0000"],
    ['{"\\u0000":1}', "without \\u0000"],
    ['{"a":{"b":"\\u0000"}}', "without \\u0000"],
    ['{"a":"\\ud800"}', "half surrogate"],
    ['{"a":"\ud800"}', "half surrogate"],
    ['{"":1}', "Key cannot be blank"],
    [`{"${"k".repeat(256)}":1}`, "a key of 1 to 255"],
    ['{"a\\nb":1}', "without line feed"],
    ['{"ts":"5","values":{"t":1}}', 'a whole number of ms in "ts"'],
    ['{"ts":5.5,"values":{"t":1}}', 'a whole number of ms in "ts"'],
    ['{"ts":null,"values":{"t":1}}', 'a whole number of ms in "ts"'],
    ['{"ts":1700000000000000,"values":{"t":1}}', "between the years"],
    ['{"ts":5,"values":[1]}', 'an object in "values"'],
    ['{"ts":5,"values":7}', 'an object in "values"'],
    ['{"a":1e1001}', "exponent"],
    ['{"a":1e-99999999999999999999}', "exponent"],
    ['{"a":[1e200000]}', "exponent"],
    [`{"a":[1.${"1".repeat(2000)}]}`, "at most 1000 characters"],
    [`{"a":${"[".repeat(65)}${"]".repeat(65)}}`, "levels of nesting"],
    [`{"a":${"[".repeat(65_000)}`, "levels of nesting"],
    ["[".repeat(65_000), "an object of values"],
    ["\ufeff{}", "an object of values"],
  ];
  for (const [payload, expected] of table) {
    test(`${payload.slice(0, 40)}: expected ${expected}`, () => {
      for (const shapes of [undefined, new KeyShapes()]) {
        const error = errorOf(() => read(payload, shapes));
        expect(error.code).toBe("INVALID_PAYLOAD");
        expect(error.message).toContain(expected);
      }
    });
  }
  test("with the position in the text", () => {
    expect(errorOf(() => read('{"a": 1, b}')).message).toBe('Expected a key in double quotes at position 9, got "b"');
  });
});

describe("readAttributes()", () => {
  test("gives each key once, without time", () => {
    expect(readAttributes('{"fw":"1.2","on":true,"fw":"x","n":null}', { nulls: "skip" })).toEqual([
      { key: "on", value: readValue("true") },
      { key: "fw", value: readValue('"x"') },
    ]);
  });
  test("refuses anything but one object", () => {
    for (const text of ["[]", "1", "null", "", '[{"a":1}]']) {
      expect(errorOf(() => readAttributes(text, { nulls: "skip" })).message).toContain("an object of attributes");
    }
  });
  test("knows no ts", () => {
    expect(readAttributes('{"ts":5,"values":{"a":1}}', { nulls: "skip" }).map(({ key }) => key)).toEqual([
      "ts",
      "values",
    ]);
  });
});

describe("textOf()", () => {
  test("is the plain text of a value", () => {
    for (const [value, text] of [
      ["21.0", "21.0"],
      ['"a\\"b"', 'a"b'],
      ["true", "true"],
      ['{"a":1}', '{"a":1}'],
    ] as const) {
      expect(textOf(readValue(value))).toBe(text);
    }
  });
});

// JSON with all ways to write numbers and strings, whitespace, repeated keys and near misses.
const number = fc.oneof(
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,19})?([eE][-+]?[0-9]{1,2})?$/),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
);
const text = fc.oneof(
  fc.string({ unit: "binary" }).map((content) => JSON.stringify(content)),
  fc.stringMatching(/^-?[0-9]{0,4}\.?[0-9]{0,3}$/).map((content) => JSON.stringify(content)),
);
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    number,
    text,
    fc.constantFrom("true", "false", "null"),
    fc.array(tie("json"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
    fc
      .array(fc.tuple(text, tie("json")), { maxLength: 3 })
      .map((members) => `{${members.map(([key, value]) => `${key}: ${value}`).join(" , ")}}`),
  ),
}));
const key = fc.constantFrom('"a"', '"b"', '"temperature"', '"ts"', '"values"', '"\\u0061"', '"é"', '""');
const flat = fc
  .array(fc.tuple(key, fc.oneof(number, text, fc.constantFrom("true", "false", "null"), json)), { maxLength: 4 })
  .map((members) => `{${members.map(([name, value]) => `${name}:${value}`).join(",")}}`);
const point = fc.oneof(
  flat,
  fc.tuple(fc.oneof(fc.nat().map(String), number), flat).map(([ts, values]) => `{"ts":${ts},"values":${values}}`),
);
const payload = fc.oneof(
  point,
  fc.array(point, { maxLength: 3 }).map((points) => `[${points.join(",")}]`),
);
const damaged = fc
  .tuple(payload, fc.nat(), fc.constantFrom("", '"', "{", "}", ",", " ", "0", ".", "e", "\\", "\u0000", "-"))
  .map(([whole, at, put]) => {
    const place = at % (whole.length + 1);
    return whole.slice(0, place) + put + whole.slice(place + 1);
  });

function outcome(work: () => TelemetryReading[]): unknown {
  try {
    return work();
  } catch (thrown) {
    return AppError.from(thrown).message;
  }
}

describe("properties", () => {
  test("KeyShapes reads what readTelemetry() reads", () => {
    const shapes = new KeyShapes();
    let shortcuts = 0;
    fc.assert(
      fc.property(fc.oneof(payload, damaged), (input) => {
        const exact = outcome(() => readTelemetry(input, { nowMs: NOW_MS, nulls: "skip" }));
        const fast = shapes.readTelemetry(input, NOW_MS);
        if (fast === undefined) return;
        shortcuts += 1;
        expect(fast).toEqual(exact as TelemetryReading[]);
      }),
      { numRuns: 20_000 },
    );
    expect(shortcuts).toBeGreaterThan(200);
  });
  test("what is read is valid JSON, and what is not valid JSON is refused", () => {
    fc.assert(
      fc.property(fc.oneof(payload, damaged), (input) => {
        const result = outcome(() => readTelemetry(input, { nowMs: NOW_MS, nulls: "skip" }));
        if (typeof result === "string") return;
        JSON.parse(input);
        for (const { values } of result as TelemetryReading[]) JSON.parse(values);
      }),
      { numRuns: 20_000 },
    );
  });
  test("canonical values are read as they are, and come apart and together again", () => {
    fc.assert(
      fc.property(payload, (input) => {
        const result = outcome(() => readTelemetry(input, { nowMs: NOW_MS, nulls: "skip" }));
        if (typeof result === "string") return;
        for (const { values, keySet } of result as TelemetryReading[]) {
          const members = splitValues(values);
          expect(joinValues(members)).toBe(values);
          expect(keySetOf(members.keys())).toBe(keySet);
          for (const value of members.values()) {
            if (kindOf(value) === "string" || kindOf(value) === "json") continue;
            expect(readValue(value)).toBe(value);
          }
        }
      }),
      { numRuns: 10_000 },
    );
  });
  test("a double comes back as the same double", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const canonical = readValue(JSON.stringify(value));
        expect(Number(textOf(canonical))).toBe(value === 0 ? 0 : value);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe("KeyShapes", () => {
  test("stays bounded and right under ever new shapes", () => {
    const shapes = new KeyShapes();
    for (let round = 0; round < 5000; round += 1) {
      const input = `{"k${round}":1,"l":2}`;
      expect(shapes.readTelemetry(input, 1)?.[0]?.keySet).toBe(keySetOf([`k${round}`, "l"]));
    }
  });
  test("leaves equal hashes apart", () => {
    // "Aa" and "BB" have the same hash for any multiplier 31.
    const shapes = new KeyShapes();
    for (const name of ["Aa", "BB", "Aa", "BB"]) {
      expect(shapes.readTelemetry(`{"${name}":1}`, 1)?.[0]?.keySet).toBe(name);
    }
  });
});
