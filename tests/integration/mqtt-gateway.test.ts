import { afterEach, beforeEach, expect, test } from "bun:test";
import type { MqttServer } from "../../edge/devices/mqtt-server.ts";
import { readValue } from "../../shared/entities/values.ts";
import { GATEWAY, type FakeEdge } from "../support/fake-edge.ts";
import { type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";
import type { RawMqttClient } from "../support/raw-mqtt-client.ts";
import { waitFor } from "../support/wait-for.ts";

let bed: MqttBed;
let edge: FakeEdge;
let server: MqttServer;

beforeEach(async () => {
  bed = await openMqttBed();
  ({ edge, server } = bed);
});
afterEach(() => bed.finish());

function login(username = "gateway", version: 4 | 5 = 4): Promise<RawMqttClient> {
  return bed.login(version, username);
}

/** Publishes at QoS 1. @returns the reason of the acknowledgement */
async function publish(client: RawMqttClient, topic: string, payload: string): Promise<number> {
  client.send({
    cmd: "publish",
    topic: `v1/gateway/${topic}`,
    payload,
    qos: 1,
    dup: false,
    retain: false,
    messageId: 1,
  });
  return (await client.take("puback")).reasonCode ?? 0;
}

async function subscribe(client: RawMqttClient, topic: string): Promise<void> {
  client.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic, qos: 1 }] });
  expect((await client.take("suback")).granted).toEqual([1]);
}

async function nextMessage(client: RawMqttClient): Promise<{ readonly topic: string; readonly content: unknown }> {
  const { topic, payload } = await client.take("publish");
  return { topic, content: JSON.parse(String(payload)) };
}

function idOf(name: string): string | undefined {
  return edge.behind.get(name)?.deviceId;
}

test("a gateway's telemetry is stored for each device that it names, which is made when it is new", async () => {
  const client = await login();
  const points = { A: [{ ts: 1_700_000_000_000, values: { t: 42 } }, { t: 43 }], B: [{ t: 1 }], skipped: { t: 2 } };
  expect(await publish(client, "telemetry", JSON.stringify(points))).toBe(0);
  expect([...edge.behind.keys()]).toEqual(["A", "B"]);
  const stored = edge.records.map(({ entityId, values }) => [entityId, values]);
  expect(stored as unknown[]).toEqual([
    [idOf("A"), '{"t":42}'],
    [idOf("A"), '{"t":43}'],
    [idOf("B"), '{"t":1}'],
  ]);
  expect(edge.records[0]?.tsMs).toBe(1_700_000_000_000);
});

test("points of one device without a time, sent in a burst, do not overwrite each other", async () => {
  const client = await login();
  for (let n = 0; n < 3; n += 1) await publish(client, "telemetry", `{"A":[{"n":${n}}]}`);
  expect(new Set(edge.records.map(({ tsMs }) => tsMs)).size).toBe(3);
});

test("a message of a gateway is acknowledged after its devices and data are committed", async () => {
  const client = await login();
  edge.hold();
  client.send({
    cmd: "publish",
    topic: "v1/gateway/attributes",
    payload: '{"A":{"serial":"x"}}',
    qos: 1,
    dup: false,
    retain: false,
    messageId: 9,
  });
  client.send({ cmd: "pingreq" });
  await client.take("pingresp");
  expect(client.packets).toEqual([]);
  edge.release();
  expect((await client.take("puback")).messageId).toBe(9);
  expect(edge.client.get("serial") as unknown).toBe('"x"');
});

test("a gateway is told of changes of its devices from the moment it names them until it disconnects them", async () => {
  const client = await login();
  await subscribe(client, "v1/gateway/attributes");
  await publish(client, "connect", '{"device":"A","type":"thermostat"}');
  const deviceId = edge.behind.get("A")?.deviceId;
  if (deviceId === undefined) throw new Error("Expected the device");
  expect(server.isConnected(deviceId)).toBe(true);
  edge.emit({ kind: "shared-saved", deviceId, attributes: [{ key: "limit", value: readValue("3"), updatedMs: 1 }] });
  expect(await nextMessage(client)).toEqual({
    topic: "v1/gateway/attributes",
    content: { device: "A", data: { limit: 3 } },
  });
  edge.emit({ kind: "shared-deleted", deviceId, keys: ["limit"] });
  expect((await nextMessage(client)).content).toEqual({ device: "A", data: { deleted: ["limit"] } });
  await publish(client, "disconnect", '{"device":"A"}');
  expect(server.isConnected(deviceId)).toBe(false);
});

test("a device is served by the gateway that spoke for it last, and by none when that one is gone", async () => {
  const first = await login();
  await publish(first, "connect", '{"device":"A"}');
  const deviceId = edge.behind.get("A")?.deviceId;
  if (deviceId === undefined) throw new Error("Expected the device");
  first.destroy();
  await waitFor("the device to be gone", () => !server.isConnected(deviceId));
  const second = await login();
  await publish(second, "connect", '{"device":"A"}');
  expect(server.isConnected(deviceId)).toBe(true);
});

test("a gateway reads attributes of its devices, one key and several", async () => {
  const client = await login();
  await subscribe(client, "v1/gateway/attributes/response");
  edge.shared.set("x", readValue("5"));
  edge.shared.set("y", readValue("6"));
  await publish(client, "attributes/request", '{"id":1,"device":"A","client":false,"key":"x"}');
  expect(await nextMessage(client)).toEqual({
    topic: "v1/gateway/attributes/response",
    content: { id: 1, device: "A", value: 5 },
  });
  await publish(client, "attributes/request", '{"id":2,"device":"A","client":false,"keys":["x","y","z"]}');
  expect((await nextMessage(client)).content).toEqual({ id: 2, device: "A", values: { x: 5, y: 6 } });
});

test("a device that is no gateway is refused, acknowledged and told why in its last error", async () => {
  const client = await login("token-a", 5);
  expect(await publish(client, "telemetry", '{"A":[{"t":1}]}')).toBe(0x87);
  expect(edge.records).toEqual([]);
  const [device] = edge.devices.values();
  expect(edge.errors.last(device?.deviceId ?? GATEWAY)?.reason).toContain("for gateways");
});

for (const [topic, payload] of [
  ["telemetry", "[]"],
  ["telemetry", '{"A":[5]}'],
  ["telemetry", '{"":[{"t":1}]}'],
  ["attributes", '{"A":{"":1}}'],
  ["connect", "{}"],
  ["connect", '{"device":5}'],
  ["attributes/request", '{"id":"a","device":"A","key":"x"}'],
  ["attributes/request", '{"id":1,"device":"A"}'],
  ["attributes/request", '{"id":1,"device":"A","keys":[5]}'],
] as const) {
  test(`${topic} with ${payload} is a bad payload and stores nothing`, async () => {
    const client = await login("gateway", 5);
    expect(await publish(client, topic, payload)).toBe(0x99);
    expect(edge.records).toEqual([]);
    expect(edge.behind.size).toBe(0);
  });
}

test("activity is told of a gateway and of the devices behind it, to the end of the connection", async () => {
  const client = await login();
  await publish(client, "connect", '{"device":"A"}');
  await publish(client, "telemetry", '{"A":[{"t":1}],"B":[{"t":1}]}');
  await publish(client, "disconnect", '{"device":"A"}');
  client.destroy();
  await waitFor("the gateway to be gone", () => edge.told.includes("disconnected Gateway"));
  expect(edge.told.filter((told) => !told.startsWith("heard"))).toEqual([
    "connected Gateway",
    "connected A",
    "connected B",
    "disconnected A",
    "disconnected B",
    "disconnected Gateway",
  ]);
  expect(edge.told).toContain("heard B");
});
