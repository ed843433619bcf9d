import { expect, test } from "bun:test";
import { createProtobufCodec, type ProtobufSchemas } from "../../edge/devices/protobuf/protobuf-codec.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createSeededRandom } from "../../shared/core/random.ts";

/** Bytes as another implementation writes them, as hexadecimal digits with blanks between the fields. */
function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

function hex(payload: Uint8Array): string {
  return Buffer.from(payload).toString("hex");
}

function telemetry(schema: string, payload: string): string {
  return createProtobufCodec({ deviceTelemetryProtoSchema: schema }).decode("telemetry", bytes(payload));
}

const KINDS = `syntax = "proto3";
package kinds;
enum Mode { OFF = 0; ON = 1; }
message Unused { string name = 1; }
message Reading {
  optional double d = 1;
  optional float f = 2;
  optional int64 big_number = 3;
  optional sint32 s = 4;
  optional uint64 u = 5;
  optional bytes raw = 6;
  optional Mode mode = 7;
  repeated int32 list = 8;
  map<int64, string> names = 9;
  oneof either { string left = 10; bool right = 11; }
  Reading nested = 12;
  optional string renamed = 13 [json_name = "other"];
}`;

test("createProtobufCodec() reads the default schemas when the profile names none", () => {
  const codec = createProtobufCodec({});
  const reading = bytes("09 0000000000003540 1a09 0a03616263 1001 2007");
  expect(codec.decode("telemetry", reading)).toBe(
    '{"temperature":21.0,"innerObject":{"key1":"abc","key2":true,"key4":7}}',
  );
  expect(codec.decode("telemetry", bytes(""))).toBe("{}");
  expect(codec.decode("attributes", bytes("0a03312e32"))).toBe('{"firmwareVersion":"1.2"}');
  expect(codec.decode("rpcAnswer", bytes("0a026f6b"))).toBe('{"payload":"ok"}');
});

test.each([
  ["a whole double with its point", "09 0000000000003540", '"d":21.0'],
  ["a float with its own digits", "15 cdcca841", '"f":21.1'],
  ["a double that is no number as text", "09 000000000000f87f", '"d":"NaN"'],
  ["64 bits with all digits", "18 8180808080808010", '"bigNumber":9007199254740993'],
  ["a negative number", "20 0d", '"s":-7'],
  ["the largest number", "28 ffffffffffffffffff01", '"u":18446744073709551615'],
  ["bytes as base64", "32 026869", '"raw":"aGk="'],
  ["an enum by name", "38 01", '"mode":"ON"'],
  ["an enum that is not known by number", "38 63", '"mode":99'],
  ["one of several", "58 00", '"right":false'],
  ["a field by its other name", "6a 0178", '"other":"x"'],
])("createProtobufCodec() reads %s", (_what, payload, expected) => {
  const members = JSON.stringify(JSON.parse(telemetry(KINDS, payload)));
  expect(telemetry(KINDS, payload)).toContain(expected);
  expect(members).toContain('"list":[]');
});

test("createProtobufCodec() reads lists, maps and messages in messages", () => {
  expect(telemetry(KINDS, "42 03010203 4a 05 0805 120161 62 02 2001")).toBe(
    '{"list":[1,2,3],"names":{"5":"a"},"nested":{"s":-1,"list":[],"names":{}}}',
  );
});

test.each([
  ["int64", "08 ffffffffffffffffff01", "-1"],
  ["uint64", "08 ffffffffffffffffff01", "18446744073709551615"],
  ["sfixed64", "09 feffffffffffffff", "-2"],
  ["fixed64", "09 feffffffffffffff", "18446744073709551614"],
  ["bool", "08 01", "true"],
  ["string", "0a 0161", "a"],
])("createProtobufCodec() reads keys of maps of type %s", (type, key, expected) => {
  const entry = `${key} 10 05`;
  const payload = `0a ${bytes(entry).length.toString(16).padStart(2, "0")} ${entry}`;
  const schema = `syntax = "proto3"; message A { map<${type}, int32> m = 1; }`;
  expect(telemetry(schema, payload)).toBe(`{"m":{"${expected}":5}}`);
});

test("createProtobufCodec() says fields with their default that can't tell whether they are there", () => {
  const schema = 'syntax = "proto3"; message A { int32 count = 1; string name = 2; optional bool on = 3; }';
  expect(telemetry(schema, "")).toBe('{"count":0,"name":""}');
});

test.each([
  ["is cut off", "09 0000"],
  ["is no UTF-8", "1a04 0a02c0af"],
  ["has a length beyond its end", "1aff01"],
  ["is JSON", "7b2274223a317d"],
])("createProtobufCodec() refuses a message that %s", (_what, payload) => {
  expect(() => createProtobufCodec({}).decode("telemetry", bytes(payload))).toThrow("Expected a SensorDataReading");
});

test("createProtobufCodec() refuses a message that few bytes make very long, or very deep", () => {
  const fields = Array.from({ length: 100 }, (_, at) => `string a_rather_long_name_${at} = ${at + 1};`).join(" ");
  const wide = `syntax = "proto3"; message A { message B { ${fields} } repeated B b = 1; }`;
  const payload = "0a00".repeat(30_000);
  expect(() => telemetry(wide, payload)).toThrow("more than 1048576 characters");
  // 5,000 messages, each the only content of the one before.
  let deep = Buffer.alloc(0);
  for (let depth = 0; depth < 5000; depth++) {
    const length = deep.length;
    deep = Buffer.concat([
      Buffer.from([0x62, (length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14]),
      deep,
    ]);
  }
  expect(() => telemetry(KINDS, deep.toString("hex"))).toThrow("Expected a Reading as protobuf");
});

test("createProtobufCodec() reads requests that are the same in each profile", () => {
  const codec = createProtobufCodec({});
  expect(codec.decode("attributeRequest", bytes("0a03612c62"))).toBe('{"clientKeys":"a,b"}');
  expect(codec.decode("attributeRequest", bytes(""))).toBe("{}");
  expect(codec.decode("claim", bytes("0a0173 10e8d403"))).toBe('{"secretKey":"s","durationMs":60008}');
  expect(codec.decode("question", bytes("0a0167 12077b2270223a317d"))).toBe('{"method":"g","params":{"p":1}}');
  expect(codec.decode("question", bytes("0a0167 120161"))).toBe('{"method":"g","params":"a"}');
  expect(codec.decode("question", bytes("0a0167"))).toBe('{"method":"g","params":{}}');
});

test("createProtobufCodec() writes requests by the schema of the profile", () => {
  const request = '{"method":"m","params":{"pin":7,"other":1}}';
  expect(hex(createProtobufCodec({}).encode("rpcRequest", request, 3))).toBe(
    hex(bytes("0a016d 1003 1a13 7b2270696e223a372c226f74686572223a317d")),
  );
  const deviceRpcRequestProtoSchema = `syntax = "proto3";
message Rpc { message Params { int32 pin = 1; } string method = 1; int32 requestId = 2; Params params = 3; }`;
  const codec = createProtobufCodec({ deviceRpcRequestProtoSchema });
  expect(hex(codec.encode("rpcRequest", request, 3))).toBe(hex(bytes("0a016d 1003 1a02 0807")));
  expect(() => codec.encode("rpcRequest", '{"method":"m","params":{"pin":"x"}}', 3)).toThrow("has no place for it");
});

test("createProtobufCodec() writes attributes and answers", () => {
  const codec = createProtobufCodec({});
  const push = '{"b":true,"l":3,"d":1.5,"s":"x","j":[1]}';
  const values =
    "12050a01621801 12070a016c10012003 120e0a0164100229000000000000f83f 12080a01731003320178 120a0a016a10043a035b315d";
  const list = (field: string): string =>
    values
      .split(" ")
      .map((value) => `${field}${(value.length / 2).toString(16).padStart(2, "0")}${value}`)
      .join("");
  expect(hex(codec.encode("attributePush", push, 0))).toBe(list("0a"));
  expect(hex(codec.encode("attributePush", '{"deleted":["a","b"]}', 0))).toBe("120161120162");
  expect(hex(codec.encode("attributeAnswer", `{"client":{"l":3},"shared":${push}}`, 5))).toBe(
    hex(bytes(`0805 1209 12070a016c10012003 ${list("1a")}`)),
  );
  expect(hex(codec.encode("attributeAnswer", "{}", 5))).toBe("0805");
  expect(hex(codec.encode("questionAnswer", '{"a":1}', 5))).toBe(hex(bytes("0805 1207 7b2261223a317d")));
});

test.each<[what: string, schemas: ProtobufSchemas]>([
  ["is no schema", { deviceTelemetryProtoSchema: "mess age" }],
  ["has no message", { deviceTelemetryProtoSchema: 'syntax = "proto3";' }],
  ["names a type that is not there", { deviceTelemetryProtoSchema: 'syntax = "proto3"; message A { B b = 1; }' }],
  ["imports", { deviceTelemetryProtoSchema: 'syntax = "proto3"; import "a.proto"; message A { int32 b = 1; }' }],
  ["is too long", { deviceTelemetryProtoSchema: `syntax = "proto3"; message A {}${" ".repeat(65_536)}` }],
])("createProtobufCodec() names a schema that %s", (_what, schemas) => {
  expect(() => createProtobufCodec(schemas)).toThrow('Expected a schema of protobuf in "deviceTelemetryProtoSchema"');
});

const INPUTS = 100_000;
const SEED = Number(process.env["SKERRY_TEST_SEED"] ?? 1);

test(`createProtobufCodec() survives ${INPUTS} malformed messages (seed ${SEED})`, () => {
  const random = createSeededRandom(SEED);
  const codec = createProtobufCodec({ deviceTelemetryProtoSchema: KINDS });
  const whole = bytes(
    "09 0000000000003540 15 cdcca841 18 8180808080808010 20 0d 32 026869 38 01 42 03010203 4a 05 0805 120161 62 02 2001 6a 0178",
  );
  let refused = 0;
  for (let input = 0; input < INPUTS; input++) {
    const damaged = Buffer.from(whole.subarray(0, Math.ceil(random.float() * whole.length)));
    for (let count = 0; count < 3; count++)
      damaged[Math.floor(random.float() * damaged.length)] = Math.floor(random.float() * 256);
    try {
      JSON.parse(codec.decode("telemetry", damaged));
    } catch (thrown) {
      refused += 1;
      if (AppError.from(thrown).code !== "INVALID_PAYLOAD") throw thrown;
    }
  }
  expect(refused).toBeGreaterThan(INPUTS / 3);
  expect(refused).toBeLessThan(INPUTS);
});
