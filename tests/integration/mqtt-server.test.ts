import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import mqtt from "mqtt";
import type { MqttServer, MqttServerOptions } from "../../edge/devices/mqtt-server.ts";
import { listenTcp } from "../../edge/runtime/tcp-server.ts";
import { AppError } from "../../shared/core/errors.ts";
import { DEVICE_A, type FakeEdge } from "../support/fake-edge.ts";
import { eventually, message, type MqttBed, openMqttBed, roundTrip } from "../support/mqtt-bed.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

const TELEMETRY = "v1/devices/me/telemetry";
const ATTRIBUTES = "v1/devices/me/attributes";

let bed: MqttBed;
let edge: FakeEdge;
let server: MqttServer;

async function start(options: MqttServerOptions = {}): Promise<void> {
  bed = await openMqttBed(options);
  ({ edge, server } = bed);
}

async function restart(options: MqttServerOptions): Promise<void> {
  await bed.finish();
  await start(options);
}

beforeEach(() => start());
afterEach(() => bed.finish());

describe("CONNECT", () => {
  const cases: readonly [
    name: string,
    connect: { readonly username?: string; readonly clientId?: string; readonly password?: Buffer },
    v3: number,
    v5: number,
  ][] = [
    ["a token", { username: "token-a" }, 0, 0],
    [
      "a token with any password and an empty client id",
      { username: "token-a", password: Buffer.from("x"), clientId: "" },
      0,
      0,
    ],
    ["an unknown token", { username: "nobody" }, 5, 0x86],
    ["a client id alone", { clientId: "me" }, 2, 0x85],
    ["nothing at all", { clientId: "" }, 5, 0x87],
  ];
  for (const [name, connect, v3, v5] of cases) {
    // The client's library sends no empty client id over 3.1, which forbids it.
    for (const version of connect.clientId === "" ? ([4, 5] as const) : ([3, 4, 5] as const)) {
      test(`of version ${version} with ${name} is answered with ${version === 5 ? v5 : v3}`, async () => {
        const client = await RawMqttClient.login(bed.port, version, connect);
        bed.keep(client);
        const connack = await client.take("connack");
        expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(version === 5 ? v5 : v3);
        expect(connack.sessionPresent).toBe(false);
        if (v3 !== 0) await client.untilClosed();
      });
    }
  }
  test("waits while the database is down, since stock clients take a refusal as final", async () => {
    edge.failDirectory(new AppError("DATABASE_UNAVAILABLE", "down"));
    const opening = RawMqttClient.login(bed.port, 4, { username: "token-a" });
    await eventually(() => edge.lookUps === 1);
    edge.failDirectory(undefined);
    await bed.advanceUntil(() => edge.lookUps === 2);
    const client = await opening;
    bed.keep(client);
    expect((await client.take("connack")).returnCode).toBe(0);
  });
  test("is cut off without an answer when the database stays down", async () => {
    edge.failDirectory(new AppError("DATABASE_UNAVAILABLE", "down"));
    const client = await RawMqttClient.open(bed.port);
    client.send({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clientId: "raw", username: "token-a" });
    await bed.advanceUntil(() => client.closed);
    expect(edge.lookUps).toBeGreaterThan(10);
    expect(client.packets).toEqual([]);
  });
  test("is answered with 3 or 0x88 when credentials can't be looked up", async () => {
    edge.failDirectory(new AppError("INTERNAL", "broken"));
    for (const version of [4, 5] as const) {
      const client = await RawMqttClient.login(bed.port, version, { username: "token-a" });
      const connack = await client.take("connack");
      expect(connack.returnCode ?? connack.reasonCode).toBe(version === 5 ? 0x88 : 3);
      await client.untilClosed();
    }
  });
  test("above the number of sessions is answered with 3 or 0x9f", async () => {
    await restart({ sessionsMax: 1 });
    await bed.login(4, "token-a");
    for (const version of [4, 5] as const) {
      const client = await RawMqttClient.login(bed.port, version, { username: "token-b" });
      const connack = await client.take("connack");
      expect(connack.returnCode ?? connack.reasonCode).toBe(version === 5 ? 0x9f : 3);
      await client.untilClosed();
    }
  });
  test("of an unknown version is answered with 1", async () => {
    const client = await RawMqttClient.open(bed.port);
    client.sendBytes(Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 9, 2, 0, 0, 0, 0]));
    expect((await client.take("connack")).returnCode).toBe(1);
    await client.untilClosed();
  });
  test("of version 5 learns limits and its client id", async () => {
    const client = await RawMqttClient.login(bed.port, 5, { username: "token-a", clientId: "" });
    bed.keep(client);
    const { properties } = await client.take("connack");
    expect(properties?.maximumPacketSize).toBeGreaterThanOrEqual(65_536);
    expect(properties?.receiveMaximum).toBeGreaterThan(0);
    expect(properties?.assignedClientIdentifier).toBe(DEVICE_A);
  });
  test("again on the same connection ends it", async () => {
    for (const version of [4, 5] as const) {
      const client = await bed.login(version);
      client.send({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: version,
        clientId: "x",
        clean: true,
        keepalive: 0,
      });
      if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x82);
      await client.untilClosed();
    }
  });
  test("that does not come ends the connection after 10 s", async () => {
    const silent = await RawMqttClient.open(bed.port);
    await eventually(() => server.counters.connectionsOpened === 1);
    edge.clock.advance(9000);
    await Bun.sleep(5);
    expect(silent.closed).toBe(false);
    edge.clock.advance(2000);
    await silent.untilClosed();
  });
  test("that is preceded by anything else ends the connection", async () => {
    const client = await RawMqttClient.open(bed.port);
    client.send(message(TELEMETRY, '{"a":1}'));
    await client.untilClosed();
    expect(client.packets).toEqual([]);
  });
  test("may be followed by data at once", async () => {
    const client = await RawMqttClient.open(bed.port);
    bed.keep(client);
    client.send(
      {
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clientId: "x",
        clean: true,
        keepalive: 0,
        username: "token-a",
      },
      message(TELEMETRY, '{"a":1}', 7),
    );
    expect((await client.take("puback")).messageId).toBe(7);
  });
});

describe("SUBSCRIBE", () => {
  test("grants the known filters with at most QoS 1 and refuses others one by one", async () => {
    for (const version of [4, 5] as const) {
      const client = await bed.login(version);
      const refused = version === 5 ? 0x8f : 0x80;
      const topics: readonly [topic: string, qos: 0 | 1 | 2, code: number][] = [
        [ATTRIBUTES, 0, 0],
        [`${ATTRIBUTES}/response/+`, 1, 1],
        ["v1/devices/me/rpc/request/+", 2, 1],
        ["v1/devices/me/rpc/response/+", 1, 1],
        ["v2/a/j", 1, 1],
        ["v2/a/res/j/+", 1, 1],
        ["v2/fw/response/+", 1, 1],
        ["v2/fw/response/+/chunk/+", 1, 1],
        ["v1/devices/me/#", 2, 1],
        ["#", 1, refused],
        [TELEMETRY, 1, refused],
        ["v1/devices/+/attributes", 1, refused],
        ["$share/g/v2/a", 1, refused],
      ];
      client.send({ cmd: "subscribe", messageId: 5, subscriptions: topics.map(([topic, qos]) => ({ topic, qos })) });
      const suback = await client.take("suback");
      expect([suback.messageId, suback.granted]).toEqual([5, topics.map(([, , code]) => code)]);
      client.send({ cmd: "unsubscribe", messageId: 6, unsubscriptions: [ATTRIBUTES, "some/topic"] });
      const unsuback = await client.take("unsuback");
      expect(unsuback.messageId).toBe(6);
      if (version === 5) expect(unsuback.granted).toEqual([0, 0x11]);
    }
  });
});

describe("a connection ends", () => {
  test("when the device connects again", async () => {
    const first = await bed.login(5);
    const second = await bed.login(4);
    expect((await first.take("disconnect")).reasonCode).toBe(0x8e);
    await first.untilClosed();
    await roundTrip(second);
    expect(server.sessions).toBe(1);
  });
  test("when the access of the device ends", async () => {
    const client = await bed.login(5);
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: true });
    expect((await client.take("disconnect")).reasonCode).toBe(0x98);
    await client.untilClosed();
    expect(server.isConnected(DEVICE_A)).toBe(false);
  });
  test("when the access ends while the credentials are being checked", async () => {
    const lookedUp = Promise.withResolvers<void>();
    edge.delayDirectory(lookedUp.promise);
    const client = RawMqttClient.login(bed.port, 4, { username: "token-a" });
    await eventually(() => edge.lookUps === 1);
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: true });
    lookedUp.resolve();
    expect((await (await client).take("connack")).returnCode).toBe(5);
    expect(server.isConnected(DEVICE_A)).toBe(false);
  });
  test("one and a half keep-alive times after the last packet", async () => {
    const client = await bed.login(5, "token-a", { keepalive: 10 });
    edge.clock.advance(14_000);
    await roundTrip(client);
    edge.clock.advance(14_000);
    await roundTrip(client);
    edge.clock.advance(16_000);
    expect((await client.take("disconnect")).reasonCode).toBe(0x8d);
    await client.untilClosed();
  });
  test("after 600 s of silence without keep-alive", async () => {
    const client = await bed.login(4);
    edge.clock.advance(599_000);
    await Bun.sleep(5);
    expect(client.closed).toBe(false);
    edge.clock.advance(2000);
    await client.untilClosed();
  });
  test("by DISCONNECT, without an error", async () => {
    const client = await bed.login(4);
    client.send({ cmd: "disconnect" });
    await client.untilClosed();
    expect(edge.errors.last(DEVICE_A)).toBeUndefined();
  });
});

describe("limits", () => {
  test("a connection is not read while too much of it waits for a commit", async () => {
    await restart({ inFlightMax: 50 });
    const client = await bed.login();
    edge.hold();
    const burst = Array.from({ length: 20_000 }, (_, index) =>
      message(TELEMETRY, `{"ts":${index + 1},"values":{"t":"${"x".repeat(200)}"}}`, index + 1),
    );
    client.send(...burst);
    await eventually(() => edge.held > 0);
    await Bun.sleep(50);
    const { publishesReceived } = server.counters;
    expect(publishesReceived).toBeLessThan(5000);
    edge.release();
    await client.until(() => client.packets.length === 20_000);
    expect(client.packets.map((packet) => packet.messageId)).toEqual(burst.map((packet) => packet.messageId));
    expect(edge.records.length).toBe(20_000);
  });
  test("messages to a device wait for its PUBACKs, and too many end the connection", async () => {
    await restart({ outgoingInFlightMax: 2, outgoingQueueMax: 3 });
    const client = await bed.login(5);
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: ATTRIBUTES, qos: 1 }] });
    await client.take("suback");
    const change = (): void => edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["k"] });
    for (let round = 0; round < 5; round += 1) change();
    await roundTrip(client);
    expect(client.packets.length).toBe(2);
    const first = await client.take("publish");
    client.send({ cmd: "puback", messageId: first.messageId ?? 0 });
    await client.until(() => client.packets.length === 2);
    change();
    change();
    expect((await client.take("disconnect")).reasonCode).toBe(0x97);
  });
  test("a device that does not read what it is sent is cut off", async () => {
    const client = await bed.login();
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: ATTRIBUTES, qos: 0 }] });
    await client.take("suback");
    client.pause();
    for (let round = 0; round < 2000 && server.isConnected(DEVICE_A); round += 1) {
      edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["k".repeat(60_000)] });
      if (round % 20 === 0) await Bun.sleep(0);
    }
    expect(server.isConnected(DEVICE_A)).toBe(false);
    expect(edge.errors.last(DEVICE_A)?.reason).toContain("does not take the messages");
  });
  test("a device of version 5 gets no packet above the size that it takes", async () => {
    const client = await bed.login(5, "token-a", { properties: { maximumPacketSize: 100 } });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: ATTRIBUTES, qos: 1 }] });
    await client.take("suback");
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["k".repeat(100)] });
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["k"] });
    expect((await client.take("publish")).payload.toString()).toBe('{"deleted":["k"]}');
    expect(server.counters.messagesDropped).toBe(1);
  });
  test("sockets above the maximum are closed at once", async () => {
    await using small = await listenTcp({ host: "127.0.0.1", port: 0, socketsMax: 1, accept: server.accept });
    const first = await RawMqttClient.open(small.port);
    const second = await RawMqttClient.open(small.port);
    await second.untilClosed();
    expect(first.closed).toBe(false);
    first.destroy();
  });
  test("listenTcp() says that the port is taken", async () => {
    const taken = listenTcp({ host: "127.0.0.1", port: bed.port, accept: server.accept });
    expect(await taken.catch((error: unknown) => AppError.from(error).code)).toBe("ADDRESS_IN_USE");
  });
});

describe("mqtt.js", () => {
  for (const protocolVersion of [3, 4, 5] as const) {
    test(`of version ${protocolVersion} publishes, asks and is told`, async () => {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${bed.port}`, {
        username: "token-a",
        protocolVersion,
        ...(protocolVersion === 3 ? { protocolId: "MQIsdp" } : {}),
      });
      const received = new Map<string, string>();
      client.on("message", (topic, payload) => received.set(topic, payload.toString()));
      await client.subscribeAsync([ATTRIBUTES, `${ATTRIBUTES}/response/+`], { qos: 1 });
      await client.publishAsync(TELEMETRY, '[{"temperature": 41.9}]', { qos: 1 });
      await client.publishAsync(TELEMETRY, '{"n":1}', { qos: 2 });
      await client.publishAsync(ATTRIBUTES, '{"fw":"1"}', { qos: 1 });
      await client.publishAsync(`${ATTRIBUTES}/request/1`, "{}", { qos: 1 });
      edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["k"] });
      await eventually(() => received.size === 2);
      expect(received.get(`${ATTRIBUTES}/response/1`)).toBe('{"client":{"fw":1}}');
      expect(received.get(ATTRIBUTES)).toBe('{"deleted":["k"]}');
      expect(edge.records.map(({ values }) => String(values))).toEqual(['{"temperature":41.9}', '{"n":1}']);
      await client.endAsync();
    });
  }
});
