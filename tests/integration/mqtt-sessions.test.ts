import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Packet } from "mqtt-packet";
import type { MqttServerOptions } from "../../edge/devices/mqtt-server.ts";
import { readValue } from "../../shared/entities/values.ts";
import { DEVICE_A, type FakeEdge } from "../support/fake-edge.ts";
import { eventually, message, type MqttBed, openMqttBed, roundTrip } from "../support/mqtt-bed.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

const ATTRIBUTES = "v1/devices/me/attributes";
const TELEMETRY = "v1/devices/me/telemetry";
const HOUR_MS = 3_600_000;

let bed: MqttBed;
let edge: FakeEdge;

beforeEach(async () => {
  bed = await openMqttBed();
  ({ edge } = bed);
});
afterEach(() => bed.finish());

async function restart(options: MqttServerOptions = {}): Promise<void> {
  await bed.finish();
  bed = await openMqttBed(options, edge);
}

interface Connected {
  readonly client: RawMqttClient;
  readonly isPresent: boolean;
  readonly properties: { readonly sessionExpiryInterval?: number } | undefined;
}

async function connect(version: 4 | 5, more: object = {}): Promise<Connected> {
  const kept = version === 5 ? { clean: false, properties: { sessionExpiryInterval: 600 } } : { clean: false };
  const client = await RawMqttClient.login(bed.port, version, { username: "token-a", ...kept, ...more });
  bed.keep(client);
  const connack = await client.take("connack");
  expect(connack.returnCode ?? connack.reasonCode).toBe(0);
  return { client, isPresent: connack.sessionPresent, properties: connack.properties ?? undefined };
}

async function subscribe(client: RawMqttClient): Promise<void> {
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: ATTRIBUTES, qos: 1 }] });
  await client.take("suback");
}

function change(value: number): void {
  const attributes = [{ key: "limit", value: readValue(String(value)), updatedMs: 1 }];
  edge.emit({ kind: "shared-saved", deviceId: DEVICE_A, attributes });
}

async function leave(client: RawMqttClient, packet: Packet = { cmd: "disconnect" }): Promise<void> {
  client.send(packet);
  await client.untilClosed();
  await eventually(() => !bed.server.isConnected(DEVICE_A));
}

async function nextPush(client: RawMqttClient) {
  const { payload, messageId = 0, dup } = await client.take("publish");
  return { payload: payload.toString(), messageId, dup };
}

describe("a session that is kept", () => {
  for (const version of [4, 5] as const) {
    test(`over MQTT ${version} has its subscriptions and what was pushed meanwhile, also after a restart`, async () => {
      const first = await connect(version);
      expect(first.isPresent).toBe(false);
      await subscribe(first.client);
      await leave(first.client);
      change(1);
      await restart();
      await eventually(() => edge.listeners === 1);
      change(2);
      const second = await connect(version);
      expect(second.isPresent).toBe(true);
      expect((await nextPush(second.client)).payload).toBe('{"limit":1}');
      expect((await nextPush(second.client)).payload).toBe('{"limit":2}');
      change(3);
      expect((await nextPush(second.client)).payload).toBe('{"limit":3}');
    });
  }
  test("repeats what was not acknowledged, marked and with its packet id, until it is", async () => {
    const { client } = await connect(4);
    await subscribe(client);
    change(1);
    change(2);
    const [one, two] = [await nextPush(client), await nextPush(client)];
    client.send({ cmd: "puback", messageId: one.messageId });
    await roundTrip(client);
    client.destroy();
    await eventually(() => !bed.server.isConnected(DEVICE_A));
    const again = await connect(4);
    expect(await nextPush(again.client)).toEqual({ ...two, dup: true });
    again.client.send({ cmd: "puback", messageId: two.messageId });
    await roundTrip(again.client);
    await leave(again.client);
    expect(edge.keptSessions.messages).toEqual([]);
    const last = await connect(4);
    await roundTrip(last.client);
    expect(last.client.packets).toEqual([]);
  });
  test("is forgotten for a clean start, another client id, and a device without access", async () => {
    const { client } = await connect(4);
    await subscribe(client);
    await leave(client);
    expect((await connect(4, { clientId: "other" })).isPresent).toBe(false);
    expect((await connect(4, { clientId: "other" })).isPresent).toBe(true);
    await bed.login(4);
    expect(edge.keptSessions.sessions.size).toBe(0);
    expect((await connect(4)).isPresent).toBe(false);
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: true });
    await eventually(() => edge.keptSessions.sessions.size === 0);
    expect((await connect(4)).isPresent).toBe(false);
  });
  test("ends after its time without a connection", async () => {
    const { client } = await connect(5);
    await leave(client);
    edge.clock.advance(599_000);
    const { client: second, isPresent } = await connect(5);
    expect(isPresent).toBe(true);
    await leave(second);
    edge.clock.advance(601_000);
    await eventually(() => edge.keptSessions.sessions.size === 0);
    expect((await connect(5)).isPresent).toBe(false);
  });
  test("is kept for as long as DISCONNECT says, and a week at most", async () => {
    const long = await connect(5, { properties: { sessionExpiryInterval: 4_294_967_295 } });
    expect(long.properties?.sessionExpiryInterval).toBe(604_800);
    await leave(long.client, { cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
    expect(edge.keptSessions.sessions.size).toBe(0);
    const short = await bed.login(5);
    short.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 5 } });
    expect((await short.take("disconnect")).reasonCode).toBe(0x82);
  });
  test("keeps so many messages, the newest", async () => {
    await restart({ kept: { messagesMax: 2 } });
    const { client } = await connect(4);
    await subscribe(client);
    await leave(client);
    for (const value of [1, 2, 3]) change(value);
    const again = await connect(4);
    expect((await nextPush(again.client)).payload).toBe('{"limit":2}');
    expect((await nextPush(again.client)).payload).toBe('{"limit":3}');
    expect(edge.errors.last(DEVICE_A)?.reason).toContain("the oldest was given up");
  });
  test("remembers messages of QoS 2 that were not released", async () => {
    const { client } = await connect(4);
    client.send(message(TELEMETRY, '{"t":1}', 3, 2));
    await client.take("pubrec");
    client.destroy();
    await eventually(() => !bed.server.isConnected(DEVICE_A));
    await restart();
    const again = await connect(4);
    again.client.send({ ...message(TELEMETRY, '{"t":1}', 3, 2), dup: true } as Packet);
    await again.client.take("pubrec");
    expect(edge.records.length).toBe(1);
  });
  test("gives nothing to a connection without it", async () => {
    const client = await bed.login(4);
    await subscribe(client);
    await leave(client);
    change(1);
    expect(edge.keptSessions.sessions.size + edge.keptSessions.messages.length).toBe(0);
  });
});

describe("a will", () => {
  const will = { topic: TELEMETRY, payload: Buffer.from('{"online":false}'), qos: 1, retain: false } as const;
  const stored = (): string[] => edge.records.map(({ values }) => String(values));

  test("is stored as data when the connection ends without DISCONNECT", async () => {
    const client = await bed.login(4, "token-a", { will });
    client.destroy();
    await eventually(() => stored().includes('{"online":false}'));
    await eventually(() => edge.keptSessions.sessions.size === 0);
  });
  test("is not stored after DISCONNECT, unless that says so", async () => {
    const client = await bed.login(4, "token-a", { will });
    await leave(client);
    await eventually(() => edge.keptSessions.sessions.size === 0);
    expect(stored()).toEqual([]);
    const other = await bed.login(5, "token-a", { will });
    await leave(other, { cmd: "disconnect", reasonCode: 4 });
    await eventually(() => stored().length === 1);
  });
  test("waits for its delay, and a connection within that prevents it", async () => {
    const delayed = { ...will, properties: { willDelayInterval: 30 } };
    const first = await connect(5, { will: delayed });
    first.client.destroy();
    await eventually(() => !bed.server.isConnected(DEVICE_A));
    edge.clock.advance(29_000);
    const second = await connect(5, { will: delayed });
    edge.clock.advance(29_000);
    await roundTrip(second.client);
    expect(stored()).toEqual([]);
    second.client.destroy();
    await eventually(() => !bed.server.isConnected(DEVICE_A));
    edge.clock.advance(31_000);
    await eventually(() => stored().length === 1);
  });
  test("waits no longer than its session", async () => {
    const client = await bed.login(5, "token-a", { will: { ...will, properties: { willDelayInterval: 30 } } });
    client.destroy();
    await eventually(() => stored().length === 1);
  });
  test("of a connection that another one takes over is stored", async () => {
    await bed.login(4, "token-a", { will });
    await bed.login(4);
    await eventually(() => stored().length === 1);
  });
  test("is stored after a restart of the edge, when the device does not come back", async () => {
    await bed.login(4, "token-a", { will });
    await restart();
    await bed.login(4);
    edge.clock.advance(HOUR_MS);
    await eventually(() => edge.keptSessions.sessions.size === 0);
    expect(stored()).toEqual([]);
    await bed.login(4, "token-a", { will });
    await restart();
    await eventually(() => edge.listeners === 1);
    await bed.advanceUntil(() => stored().length === 1);
  });
  test("of a device without access is not stored", async () => {
    const client = await bed.login(4, "token-a", { will });
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: true });
    await client.untilClosed();
    await eventually(() => edge.keptSessions.sessions.size === 0);
    expect(stored()).toEqual([]);
  });
  test("is stored once, also when the stream breaks while what came before is being stored", async () => {
    const client = await bed.login(4, "token-a", { will });
    edge.hold();
    client.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, "{", 2));
    await eventually(() => !bed.server.isConnected(DEVICE_A));
    client.destroy();
    await eventually(() => edge.told.includes("disconnected A") && edge.held === 2);
    const other = await bed.login(4, "token-b");
    edge.release();
    await eventually(() => edge.keptSessions.sessions.size === 0);
    await roundTrip(other);
    expect(stored()).toEqual(['{"t":1}', '{"online":false}']);
  });
  test("that is not valid is noted and done with", async () => {
    for (const [topic, payload, why] of [
      [TELEMETRY, "{", "The will was not taken: Expected"],
      ["some/topic", "{}", "is not served"],
      ["v1/gateway/telemetry", "{}", "may not publish"],
    ] as const) {
      const client = await bed.login(4, "token-a", { will: { ...will, topic, payload: Buffer.from(payload) } });
      client.destroy();
      await eventually(() => edge.errors.last(DEVICE_A)?.reason.includes(why) === true);
      await eventually(() => edge.keptSessions.sessions.size === 0);
    }
  });
});
