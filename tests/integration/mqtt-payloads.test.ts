import { afterEach, beforeEach, expect, test } from "bun:test";
import type { MqttProfile } from "../../edge/devices/payloads.ts";
import { createProtobufCodec } from "../../edge/devices/protobuf/protobuf-codec.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { readValue } from "../../shared/entities/values.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { DEVICE_A } from "../support/fake-edge.ts";
import { eventually, message, type MqttBed, openMqttBed, roundTrip } from "../support/mqtt-bed.ts";

// What device profiles say of MQTT: payloads as protobuf, topics of their own, acknowledgements of what can't be read.

const PROFILE: MqttProfile = {
  telemetryFilter: null,
  attributesFilter: null,
  pushTopic: null,
  isInvalidAcknowledged: false,
  codec: null,
  isJsonTaken: false,
  isJsonSent: false,
};
const PROTOBUF: MqttProfile = { ...PROFILE, codec: createProtobufCodec({}) };

/** temperature 21, by the default schema. */
const READING = Buffer.from("090000000000003540", "hex");
/** firmwareVersion "1.2", by the default schema. */
const CONFIGURATION = Buffer.from("0a03312e32", "hex");
/** limit 30 as it is pushed. */
const PUSHED = "0a0d120b0a056c696d69741001201e";

let bed: MqttBed;
beforeEach(async () => void (bed = await openMqttBed()));
afterEach(() => bed.finish());

function stored(): string[] {
  return bed.edge.records.map(({ values }) => values);
}

function push(limit: number): void {
  const attributes = [{ key: "limit", value: readValue(String(limit)), updatedMs: 1 }];
  bed.edge.emit({ kind: "shared-saved", deviceId: DEVICE_A, attributes });
}

function call(params: string): Promise<unknown> {
  const nowMs = bed.edge.clock.nowMs();
  const form = {
    id: createUuid(bed.edge.clock, systemRandom),
    method: "m",
    params: params as CanonicalJson,
    expirationMs: nowMs + 30_000,
    isPersistent: false,
    retries: 0,
    additionalInfo: null,
  };
  return bed.edge.rpcs.call(newRpc(form, { deviceId: DEVICE_A, isOneway: false, nowMs }));
}

test("plain topics follow the profile, those with p and j don't", async () => {
  bed.edge.profile = PROTOBUF;
  const client = await bed.login(5);
  for (const [id, topic] of ["v1/devices/me/telemetry", "v2/t", "v2/t/p"].entries())
    client.send(message(topic, READING, id + 1));
  client.send(message("v2/t/j", '{"t":1}', 4));
  client.send(message("v2/a/p", CONFIGURATION, 5));
  for (let id = 1; id <= 5; id++) expect(await client.take("puback")).toMatchObject({ messageId: id, reasonCode: 0 });
  expect(stored()).toEqual(['{"temperature":21.0}', '{"temperature":21.0}', '{"temperature":21.0}', '{"t":1}']);
  expect(bed.edge.client.get("firmwareVersion")).toBe(readValue('"1.2"'));
});

test("what is no protobuf is refused, and what is JSON is taken where the profile says so", async () => {
  bed.edge.profile = PROTOBUF;
  const client = await bed.login(5);
  client.send(message("v2/t", '{"t":1}', 1));
  expect(await client.take("puback")).toMatchObject({ reasonCode: 0x99 });
  expect(bed.edge.errors.last(DEVICE_A)?.reason).toContain("Expected a SensorDataReading as protobuf");
  bed.edge.profile = { ...PROTOBUF, isJsonTaken: true };
  client.send(message("v2/t", '{"t":2}', 2), message("v2/t/p", '{"t":3}', 3), message("v2/t", READING, 4));
  expect(await client.take("puback")).toMatchObject({ messageId: 2, reasonCode: 0 });
  expect(await client.take("puback")).toMatchObject({ messageId: 3, reasonCode: 0x99 });
  expect(await client.take("puback")).toMatchObject({ messageId: 4, reasonCode: 0 });
  expect(stored()).toEqual(['{"t":2}', '{"temperature":21.0}']);
});

test("protobuf topics are refused for a device whose profile has JSON", async () => {
  const client = await bed.login(5);
  client.send(message("v2/t/p", READING, 1));
  expect(await client.take("puback")).toMatchObject({ reasonCode: 0x99 });
  expect(bed.edge.errors.last(DEVICE_A)?.reason).toContain("names no protobuf payloads");
});

test("attributes are pushed and answered as protobuf, over v1 as JSON where the profile says so", async () => {
  bed.edge.profile = PROTOBUF;
  bed.edge.shared.set("limit", readValue("30"));
  const client = await bed.login(5);
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "v1/devices/me/attributes", qos: 1 }] });
  await client.take("suback");
  push(30);
  expect((await client.take("publish")).payload.toString("hex")).toBe(PUSHED);
  bed.edge.profile = { ...PROTOBUF, isJsonSent: true };
  push(31);
  expect((await client.take("publish")).payload.toString()).toBe('{"limit":31}');
  client.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "v2/a", qos: 1 }] });
  await client.take("suback");
  push(30);
  expect(await client.take("publish")).toMatchObject({ topic: "v2/a", payload: Buffer.from(PUSHED, "hex") });
  // sharedKeys "limit"
  client.send(message("v2/a/req/p/7", Buffer.from("12056c696d6974", "hex"), 3));
  const answer = await client.take("publish");
  expect(answer).toMatchObject({ topic: "v2/a/res/p/7" });
  expect(answer.payload.toString("hex")).toBe("08071a0d120b0a056c696d69741001201e");
});

test("a change that waited for the device comes as protobuf", async () => {
  bed.edge.profile = PROTOBUF;
  const kept = { clientId: "kept", clean: false };
  const client = await bed.login(4, "token-a", kept);
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "v2/a/p", qos: 1 }] });
  await client.take("suback");
  client.destroy();
  await eventually(() => !bed.server.isConnected(DEVICE_A));
  push(30);
  const again = await bed.login(4, "token-a", kept);
  expect(await again.take("publish")).toMatchObject({ topic: "v2/a/p", payload: Buffer.from(PUSHED, "hex") });
});

test("requests in both directions and their answers are protobuf", async () => {
  bed.edge.profile = PROTOBUF;
  const client = await bed.login(5);
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "v2/r/req/p/+", qos: 1 }] });
  await client.take("suback");
  const outcome = call('{"pin":7}');
  const request = await client.take("publish");
  expect(request.topic).toBe("v2/r/req/p/0");
  expect(request.payload.toString("hex")).toBe(`0a016d10001a09${Buffer.from('{"pin":7}').toString("hex")}`);
  client.send({ cmd: "puback", messageId: request.messageId ?? 0 });
  client.send(message("v2/r/res/p/0", Buffer.from("0a026f6b", "hex"), 2));
  expect(await outcome).toEqual({ kind: "answered", response: '{"payload":"ok"}' });
  const question = Buffer.concat([Buffer.from("0a046563686f1207", "hex"), Buffer.from('{"a":1}')]);
  client.send(message("v2/r/req/p/5", question, 3));
  expect(await client.take("publish")).toMatchObject({
    topic: "v2/r/res/p/5",
    payload: Buffer.concat([Buffer.from("08051207", "hex"), Buffer.from('{"a":1}')]),
  });
});

test("a request that the schema has no place for is not sent, and the reason is there to read", async () => {
  const deviceRpcRequestProtoSchema = 'syntax = "proto3"; message Rpc { string method = 1; int32 params = 2; }';
  bed.edge.profile = { ...PROFILE, codec: createProtobufCodec({ deviceRpcRequestProtoSchema }) };
  const client = await bed.login(4);
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "v2/r/req/+", qos: 1 }] });
  await client.take("suback");
  void call('"much"');
  await eventually(() => bed.edge.errors.last(DEVICE_A)?.reason.includes("The Rpc has no place for it") === true);
  await roundTrip(client);
});

test("devices publish to topics of their profile beside those of everybody, and subscribe to its topic of changes", async () => {
  bed.edge.profile = {
    ...PROFILE,
    telemetryFilter: "plant/+/values",
    attributesFilter: "plant/+",
    pushTopic: "plant/changes",
  };
  const client = await bed.login(5);
  client.send(message("plant/7/values", '{"t":1}', 1), message("plant/7", '{"fw":"1"}', 2));
  client.send(message("v2/t", '{"t":2}', 3), message("other/7", '{"t":3}', 4));
  for (const [messageId, reasonCode] of [
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 0x90],
  ] as const)
    expect(await client.take("puback")).toMatchObject({ messageId, reasonCode });
  expect(stored()).toEqual(['{"t":1}', '{"t":2}']);
  expect([...bed.edge.client.keys()]).toEqual(["fw"]);
  client.send({
    cmd: "subscribe",
    messageId: 5,
    subscriptions: [
      { topic: "plant/changes", qos: 1 },
      { topic: "plant/+", qos: 1 },
    ],
  });
  expect((await client.take("suback")).granted).toEqual([1, 0x8f]);
  push(30);
  expect(await client.take("publish")).toMatchObject({ topic: "plant/changes", payload: Buffer.from('{"limit":30}') });
});

test("of two filters of a profile that match, that of attributes counts", async () => {
  bed.edge.profile = { ...PROFILE, telemetryFilter: "#", attributesFilter: "plant/#" };
  const client = await bed.login(5);
  client.send(message("plant/7/values", '{"fw":"1"}', 1), message("other/7", '{"t":1}', 2));
  for (let id = 1; id <= 2; id++) expect(await client.take("puback")).toMatchObject({ messageId: id, reasonCode: 0 });
  expect(stored()).toEqual(['{"t":1}']);
  expect([...bed.edge.client.keys()]).toEqual(["fw"]);
});

test("what can't be read is acknowledged and left out where the profile says so, of QoS 0 it ends the connection", async () => {
  bed.edge.profile = { ...PROFILE, isInvalidAcknowledged: true };
  const client = await bed.login(4);
  client.send(message("v1/devices/me/telemetry", "{", 1), message("v1/devices/me/telemetry", '{"t":1}', 2));
  expect(await client.take("puback")).toMatchObject({ messageId: 1 });
  expect(await client.take("puback")).toMatchObject({ messageId: 2 });
  expect(stored()).toEqual(['{"t":1}']);
  expect(bed.edge.errors.last(DEVICE_A)?.reason).toContain("The payload is not valid");
  client.send(message("v1/devices/me/telemetry", "{", 0, 0));
  await client.untilClosed();
});
