import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import mqtt from "mqtt";
import type { Packet } from "mqtt-packet";
import { createMqttServer, type MqttServer, type MqttServerOptions } from "../../edge/devices/mqtt-server.ts";
import { listenTcp, type TcpServer } from "../../edge/runtime/tcp-server.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { readValue } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createFakeEdge, DEVICE_A, DEVICE_B, type FakeEdge } from "../support/fake-edge.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";
import { waitFor } from "../support/wait-for.ts";

const TELEMETRY = "v1/devices/me/telemetry";
const ATTRIBUTES = "v1/devices/me/attributes";
const NOW_MS = 1_700_000_000_000;

let edge: FakeEdge;
let server: MqttServer;
let listener: TcpServer;
let stop: AbortController;
let running: Promise<void>;
let clients: RawMqttClient[];

async function start(options: MqttServerOptions = {}): Promise<void> {
  edge = createFakeEdge();
  server = createMqttServer({ ...edge, log: silentLog }, options);
  listener = await listenTcp({ host: "127.0.0.1", port: 0, accept: server.accept });
  stop = new AbortController();
  running = server.run(stop.signal);
  clients = [];
}

async function finish(): Promise<void> {
  edge.release();
  for (const client of clients) client.destroy();
  await listener[Symbol.asyncDispose]();
  stop.abort();
  const ended = running.then(() => true);
  const step = async (): Promise<boolean> => {
    edge.clock.advance(1000);
    await Bun.sleep(1);
    return false;
  };
  for (let round = 0; !(await Promise.race([ended, step()])); round += 1) expect(round).toBeLessThan(1000);
  expect(edge.listeners).toBe(0);
}

beforeEach(() => start());
afterEach(finish);

async function login(version: 3 | 4 | 5 = 4, username = "token-a", more: object = {}): Promise<RawMqttClient> {
  const client = await RawMqttClient.login(listener.port, version, { username, ...more });
  clients.push(client);
  const connack = await client.take("connack");
  expect(connack.returnCode ?? connack.reasonCode).toBe(0);
  return client;
}

function message(topic: string, payload: string | Buffer, messageId = 1, qos: 0 | 1 | 2 = 1): Packet {
  return { cmd: "publish", topic, payload, qos, dup: false, retain: false, ...(qos === 0 ? {} : { messageId }) };
}

/** For what no packet tells. */
function eventually(condition: () => boolean): Promise<true> {
  return waitFor("what the test is about", condition, { deadlineMs: 5000, intervalMs: 1 });
}

/** Moves the clock by tenths of a second, each after what the last one set going. */
function advanceUntil(condition: () => boolean): Promise<true> {
  return eventually(() => {
    if (condition()) return true;
    edge.clock.advance(100);
    return false;
  });
}

/** A round trip: everything sent before was processed. */
async function roundTrip(client: RawMqttClient): Promise<void> {
  client.send({ cmd: "pingreq" });
  await client.take("pingresp");
}

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
        const client = await RawMqttClient.login(listener.port, version, connect);
        clients.push(client);
        const connack = await client.take("connack");
        expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(version === 5 ? v5 : v3);
        expect(connack.sessionPresent).toBe(false);
        if (v3 !== 0) await client.untilClosed();
      });
    }
  }
  test("waits while the database is down, since stock clients take a refusal as final", async () => {
    edge.failDirectory(new AppError("DATABASE_UNAVAILABLE", "down"));
    const opening = RawMqttClient.login(listener.port, 4, { username: "token-a" });
    await eventually(() => edge.lookUps === 1);
    edge.failDirectory(undefined);
    await advanceUntil(() => edge.lookUps === 2);
    const client = await opening;
    clients.push(client);
    expect((await client.take("connack")).returnCode).toBe(0);
  });
  test("is cut off without an answer when the database stays down", async () => {
    edge.failDirectory(new AppError("DATABASE_UNAVAILABLE", "down"));
    const client = await RawMqttClient.open(listener.port);
    client.send({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clientId: "raw", username: "token-a" });
    await advanceUntil(() => client.closed);
    expect(edge.lookUps).toBeGreaterThan(10);
    expect(client.packets).toEqual([]);
  });
  test("is answered with 3 or 0x88 when credentials can't be looked up", async () => {
    edge.failDirectory(new AppError("INTERNAL", "broken"));
    for (const version of [4, 5] as const) {
      const client = await RawMqttClient.login(listener.port, version, { username: "token-a" });
      const connack = await client.take("connack");
      expect(connack.returnCode ?? connack.reasonCode).toBe(version === 5 ? 0x88 : 3);
      await client.untilClosed();
    }
  });
  test("above the number of sessions is answered with 3 or 0x9f", async () => {
    await finish();
    await start({ sessionsMax: 1 });
    await login(4, "token-a");
    for (const version of [4, 5] as const) {
      const client = await RawMqttClient.login(listener.port, version, { username: "token-b" });
      const connack = await client.take("connack");
      expect(connack.returnCode ?? connack.reasonCode).toBe(version === 5 ? 0x9f : 3);
      await client.untilClosed();
    }
  });
  test("of an unknown version is answered with 1", async () => {
    const client = await RawMqttClient.open(listener.port);
    client.sendBytes(Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 9, 2, 0, 0, 0, 0]));
    expect((await client.take("connack")).returnCode).toBe(1);
    await client.untilClosed();
  });
  test("of version 5 learns limits and its client id", async () => {
    const client = await RawMqttClient.login(listener.port, 5, { username: "token-a", clientId: "" });
    clients.push(client);
    const { properties } = await client.take("connack");
    expect(properties?.maximumPacketSize).toBeGreaterThanOrEqual(65_536);
    expect(properties?.receiveMaximum).toBeGreaterThan(0);
    expect(properties?.assignedClientIdentifier).toBe(DEVICE_A);
  });
  test("again on the same connection ends it", async () => {
    for (const version of [4, 5] as const) {
      const client = await login(version);
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
    const silent = await RawMqttClient.open(listener.port);
    await eventually(() => server.counters.connectionsOpened === 1);
    edge.clock.advance(9000);
    await Bun.sleep(5);
    expect(silent.closed).toBe(false);
    edge.clock.advance(2000);
    await silent.untilClosed();
  });
  test("that is preceded by anything else ends the connection", async () => {
    const client = await RawMqttClient.open(listener.port);
    client.send(message(TELEMETRY, '{"a":1}'));
    await client.untilClosed();
    expect(client.packets).toEqual([]);
  });
  test("may be followed by data at once", async () => {
    const client = await RawMqttClient.open(listener.port);
    clients.push(client);
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

describe("telemetry", () => {
  for (const topic of [TELEMETRY, "v2/t", "v2/t/j"]) {
    test(`on ${topic} is stored, then acknowledged`, async () => {
      const client = await login();
      client.send(message(topic, '{"ts":5,"values":{"t":21.0}}', 9));
      expect((await client.take("puback")).messageId).toBe(9);
      expect(edge.records).toEqual([{ entityId: DEVICE_A, tsMs: 5, values: readValue('{"t":21.0}'), keySet: "t" }]);
    });
  }
  test("without ts gets the server's time, and messages of one ms don't overwrite each other", async () => {
    const client = await login();
    client.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, '{"t":2}', 2), message(TELEMETRY, "[{},{}]", 3));
    await client.until(() => client.packets.length === 3);
    expect(edge.records.map(({ tsMs }) => tsMs)).toEqual([NOW_MS, NOW_MS + 1]);
  });
  test("of QoS 0 is stored and not acknowledged", async () => {
    const client = await login();
    client.send(message(TELEMETRY, '{"t":1}', 0, 0));
    await roundTrip(client);
    await eventually(() => edge.records.length === 1);
    expect(client.packets).toEqual([]);
  });
  test("with the retain flag is data like any other", async () => {
    const client = await login();
    client.send({
      cmd: "publish",
      topic: TELEMETRY,
      payload: '{"t":1}',
      qos: 1,
      dup: false,
      retain: true,
      messageId: 1,
    });
    await client.take("puback");
    expect(edge.records.length).toBe(1);
  });
  test("of QoS 2 is stored once, however often it is sent before its release", async () => {
    const client = await login();
    client.send(message(TELEMETRY, '{"ts":5,"values":{"t":1}}', 3, 2));
    await client.take("pubrec");
    client.send({ ...message(TELEMETRY, '{"ts":5,"values":{"t":1}}', 3, 2), dup: true } as Packet);
    await client.take("pubrec");
    client.send({ cmd: "pubrel", messageId: 3 });
    expect((await client.take("pubcomp")).messageId).toBe(3);
    expect(edge.records.length).toBe(1);
  });
  test("in packets that arrive byte by byte", async () => {
    const client = await login();
    const whole = message(TELEMETRY, `{"t":"${"x".repeat(300)}"}`, 4);
    const { generate } = await import("mqtt-packet");
    for (const byte of generate(whole)) {
      client.sendBytes(Buffer.from([byte]));
      await Bun.sleep(0);
    }
    expect((await client.take("puback")).messageId).toBe(4);
  });
});

describe("PUBACK", () => {
  test("does not come before the commit", async () => {
    const client = await login();
    edge.hold();
    client.send(message(TELEMETRY, '{"t":1}', 1));
    await eventually(() => edge.held === 1);
    await roundTrip(client);
    expect(client.packets).toEqual([]);
    edge.release();
    expect((await client.take("puback")).messageId).toBe(1);
  });
  test("does not come at all when the commit fails; the connection ends", async () => {
    for (const version of [4, 5] as const) {
      edge.fail(undefined);
      const client = await login(version);
      edge.hold();
      client.send(message(TELEMETRY, '{"t":1}', 1));
      await eventually(() => edge.held === 1);
      edge.fail(new AppError("DISK_FULL", "full"));
      if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x83);
      await client.untilClosed();
      expect(client.packets).toEqual([]);
      expect(edge.errors.last(DEVICE_A)?.reason).toContain("could not be stored: DISK_FULL");
    }
  });
  test("comes in the order of the messages, whatever was stored first", async () => {
    const client = await login();
    edge.hold();
    client.send(message(TELEMETRY, '{"t":1}', 1));
    await eventually(() => edge.held === 1);
    client.send(message("some/topic", "x", 2));
    await roundTrip(client);
    expect(client.packets).toEqual([]);
    edge.release();
    await client.until(() => client.packets.length === 2);
    expect(client.packets.map((packet) => packet.messageId)).toEqual([1, 2]);
  });
  test("is sent for good messages before a bad one ends the connection", async () => {
    const client = await login();
    client.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, "{", 2), message(TELEMETRY, '{"t":3}', 3));
    await client.untilClosed();
    expect(client.packets.map((packet) => packet.messageId)).toEqual([1]);
    expect(edge.records.length).toBe(1);
  });
  test("is still sent for what is being stored when the server stops", async () => {
    const client = await login(5);
    edge.hold();
    client.send(message(TELEMETRY, '{"t":1}', 1));
    await eventually(() => edge.held === 1);
    stop.abort();
    await eventually(() => !server.isConnected(DEVICE_A));
    edge.release();
    expect((await client.take("puback")).messageId).toBe(1);
    expect((await client.take("disconnect")).reasonCode).toBe(0x8b);
  });
});

describe("bad input", () => {
  test("an unknown topic is acknowledged and ignored", async () => {
    for (const version of [4, 5] as const) {
      const client = await login(version);
      client.send(message("some/topic", "x", 1), message("v1/devices/me/attributes/request/x", "{}", 2));
      const puback = await client.take("puback");
      expect(puback.reasonCode ?? 0).toBe(version === 5 ? 0x90 : 0);
      await roundTrip(client);
      expect(edge.errors.last(DEVICE_A)?.reason).toContain("not served");
    }
    expect(edge.records).toEqual([]);
  });
  for (const [topic, payload] of [
    [TELEMETRY, "{"],
    [TELEMETRY, "5"],
    [TELEMETRY, ""],
    [TELEMETRY, '{"ts":"x","values":{"a":1}}'],
    [TELEMETRY, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    [TELEMETRY, `{"a":${"[".repeat(30_000)}`],
    [ATTRIBUTES, "[]"],
    [ATTRIBUTES, "nope"],
    [`${ATTRIBUTES}/request/1`, "{"],
    [`${ATTRIBUTES}/request/1`, '{"clientKeys":5}'],
  ] as const) {
    const shown = payload.toString().slice(0, 30);
    test(`${topic} ${shown} ends a connection of 3.1.1 without PUBACK`, async () => {
      const client = await login(4);
      client.send(message(topic, payload, 1));
      await client.untilClosed();
      expect(client.packets).toEqual([]);
      expect(edge.errors.last(DEVICE_A)?.reason).toStartWith("The payload is not valid: Expected");
    });
    test(`${topic} ${shown} is refused with PUBACK 0x99 over MQTT 5`, async () => {
      const client = await login(5);
      client.send(message(topic, payload, 1));
      expect((await client.take("puback")).reasonCode).toBe(0x99);
      await roundTrip(client);
      expect(edge.errors.last(DEVICE_A)?.reason).toStartWith("The payload is not valid: Expected");
    });
  }
  test("of QoS 0 ends the connection", async () => {
    for (const version of [4, 5] as const) {
      const client = await login(version);
      client.send(message(TELEMETRY, "{", 0, 0));
      if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x99);
      await client.untilClosed();
    }
  });
  test("a payload of 65,536 bytes is taken, a bigger one ends the connection", async () => {
    const payload = (bytes: number): string => `{"a":"${"x".repeat(bytes - 8)}"}`;
    for (const version of [4, 5] as const) {
      const client = await login(version);
      client.send(message(TELEMETRY, payload(65_536), 1));
      await client.take("puback");
      client.send(message(TELEMETRY, payload(65_537), 2));
      if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x95);
      await client.untilClosed();
    }
    expect(edge.records.length).toBe(2);
  });
  test("a length of 256 MiB ends the connection before it is sent", async () => {
    const client = await login(5);
    client.sendBytes(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f]));
    expect((await client.take("disconnect")).reasonCode).toBe(0x95);
    await client.untilClosed();
  });
  for (const [name, bytes] of [
    ["a length of 5 bytes", [0x32, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ["QoS 3", [0x36, 5, 0, 1, 0x61, 0, 1]],
    ["a topic beyond the packet", [0x32, 4, 0, 9, 0x61, 0x61]],
    ["a topic with a wildcard", [0x32, 6, 0, 1, 0x23, 0, 1, 0]],
    ["packet id 0", [0x32, 6, 0, 1, 0x61, 0, 0, 0]],
    ["SUBSCRIBE without filters", [0x82, 2, 0, 1]],
    ["SUBSCRIBE with wrong flags", [0x80, 6, 0, 1, 0, 1, 0x61, 0]],
    ["PINGREQ with flags", [0xc1, 0]],
  ] as const) {
    test(`${name} ends the connection`, async () => {
      for (const version of [4, 5] as const) {
        const client = await login(version);
        client.sendBytes(Buffer.from(bytes));
        if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x81);
        await client.untilClosed();
      }
    });
  }
  test("a topic alias ends the connection with 0x94", async () => {
    const client = await login(5);
    client.send({ ...message(TELEMETRY, '{"t":1}'), properties: { topicAlias: 1 } } as Packet);
    expect((await client.take("disconnect")).reasonCode).toBe(0x94);
  });
  test("other properties of a publish are taken", async () => {
    const client = await login(5);
    client.send({
      ...message(TELEMETRY, '{"t":1}'),
      properties: { contentType: "application/json", userProperties: { a: "b" } },
    } as Packet);
    expect((await client.take("puback")).reasonCode).toBe(0);
    expect(edge.records.length).toBe(1);
  });
  test("garbage before and after CONNECT leaves other devices unaffected", async () => {
    const random = createSeededRandom(7);
    const steady = await login(4, "token-b");
    for (let round = 0; round < 200; round += 1) {
      const garbage = random.bytes(1 + Math.floor(random.float() * 400));
      const client = round % 2 === 0 ? await RawMqttClient.open(listener.port) : await login(round % 4 === 1 ? 4 : 5);
      client.sendBytes(garbage);
      client.sendBytes(Buffer.from([0xc0, 0]));
      await Bun.sleep(0);
      client.destroy();
    }
    steady.send(message(TELEMETRY, '{"t":1}', 1));
    await steady.take("puback");
    expect(edge.records.filter(({ entityId }) => entityId === DEVICE_B).length).toBe(1);
    await eventually(() => server.sessions === 1);
  });
});

describe("attributes", () => {
  for (const topic of [ATTRIBUTES, "v2/a", "v2/a/j"]) {
    test(`on ${topic} are stored, then acknowledged`, async () => {
      const client = await login();
      client.send(message(topic, '{"fw":"1.2","on":true,"n":21.0}', 1));
      await client.take("puback");
      expect([...edge.client]).toEqual([
        ["fw", readValue('"1.2"')],
        ["on", readValue("true")],
        ["n", readValue("21.0")],
      ]);
    });
  }
  for (const [request, response] of [
    [`${ATTRIBUTES}/request/7`, `${ATTRIBUTES}/response/7`],
    ["v2/a/req/7", "v2/a/res/7"],
    ["v2/a/req/j/7", "v2/a/res/j/7"],
  ] as const) {
    test(`asked for on ${request} are answered on ${response} without a subscription`, async () => {
      edge.client.set("a", readValue("1")).set("x", readValue("2"));
      edge.shared.set("c", readValue("2.0"));
      const client = await login();
      for (const [payload, answer] of [
        ['{"clientKeys":"a,b","sharedKeys":"c"}', '{"client":{"a":1},"shared":{"c":2.0}}'],
        ["{}", '{"client":{"a":1,"x":2},"shared":{"c":2.0}}'],
        ['{"sharedKeys":"c"}', '{"shared":{"c":2.0}}'],
        ['{"clientKeys":"nope"}', "{}"],
      ] as const) {
        client.send(message(request, payload, 3));
        await client.take("puback");
        const publish = await client.take("publish");
        expect([publish.topic, publish.payload.toString(), publish.qos]).toEqual([response, answer, 1]);
        client.send({ cmd: "puback", messageId: publish.messageId ?? 0 });
      }
    });
  }
  test("asked for in the same packet in which they are set are answered as set", async () => {
    const client = await login();
    client.send(message(ATTRIBUTES, '{"a":5}', 1), message(`${ATTRIBUTES}/request/1`, '{"clientKeys":"a"}', 2));
    expect((await client.take("publish")).payload.toString()).toBe('{"client":{"a":5}}');
  });
  test("are pushed on change in the form subscribed last, deletions too", async () => {
    const client = await login();
    const change = (value: string): void =>
      edge.emit({
        kind: "shared-saved",
        deviceId: DEVICE_A,
        attributes: [{ key: "limit", value: readValue(value), updatedMs: 1 }],
      });
    change("0");
    for (const [filter, topic, qos] of [
      [ATTRIBUTES, ATTRIBUTES, 1],
      ["v2/a/j", "v2/a/j", 0],
      ["v2/a", "v2/a", 1],
      ["v1/devices/me/#", ATTRIBUTES, 1],
    ] as const) {
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos }] });
      await client.take("suback");
      change("30");
      const push = await client.take("publish");
      expect([push.topic, push.payload.toString(), push.qos]).toEqual([topic, '{"limit":30}', qos]);
    }
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["limit"] });
    expect((await client.take("publish")).payload.toString()).toBe('{"deleted":["limit"]}');
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_B, keys: ["other"] });
    await roundTrip(client);
    expect(client.packets).toEqual([]);
  });
});

describe("SUBSCRIBE", () => {
  test("grants the known filters with at most QoS 1 and refuses others one by one", async () => {
    for (const version of [4, 5] as const) {
      const client = await login(version);
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
    const first = await login(5);
    const second = await login(4);
    expect((await first.take("disconnect")).reasonCode).toBe(0x8e);
    await first.untilClosed();
    await roundTrip(second);
    expect(server.sessions).toBe(1);
  });
  test("when the access of the device ends", async () => {
    const client = await login(5);
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A });
    expect((await client.take("disconnect")).reasonCode).toBe(0x98);
    await client.untilClosed();
    expect(server.isConnected(DEVICE_A)).toBe(false);
  });
  test("when the access ends while the credentials are being checked", async () => {
    const lookedUp = Promise.withResolvers<void>();
    edge.delayDirectory(lookedUp.promise);
    const client = RawMqttClient.login(listener.port, 4, { username: "token-a" });
    await eventually(() => edge.lookUps === 1);
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A });
    lookedUp.resolve();
    expect((await (await client).take("connack")).returnCode).toBe(5);
    expect(server.isConnected(DEVICE_A)).toBe(false);
  });
  test("one and a half keep-alive times after the last packet", async () => {
    const client = await login(5, "token-a", { keepalive: 10 });
    edge.clock.advance(14_000);
    await roundTrip(client);
    edge.clock.advance(14_000);
    await roundTrip(client);
    edge.clock.advance(16_000);
    expect((await client.take("disconnect")).reasonCode).toBe(0x8d);
    await client.untilClosed();
  });
  test("after 600 s of silence without keep-alive", async () => {
    const client = await login(4);
    edge.clock.advance(599_000);
    await Bun.sleep(5);
    expect(client.closed).toBe(false);
    edge.clock.advance(2000);
    await client.untilClosed();
  });
  test("by DISCONNECT, without an error", async () => {
    const client = await login(4);
    client.send({ cmd: "disconnect" });
    await client.untilClosed();
    expect(edge.errors.last(DEVICE_A)).toBeUndefined();
  });
});

describe("limits", () => {
  test("a connection is not read while too much of it waits for a commit", async () => {
    await finish();
    await start({ inFlightMax: 50 });
    const client = await login();
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
    await finish();
    await start({ outgoingInFlightMax: 2, outgoingQueueMax: 3 });
    const client = await login(5);
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
    const client = await login();
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
    const client = await login(5, "token-a", { properties: { maximumPacketSize: 100 } });
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
    const taken = listenTcp({ host: "127.0.0.1", port: listener.port, accept: server.accept });
    expect(await taken.catch((error: unknown) => AppError.from(error).code)).toBe("ADDRESS_IN_USE");
  });
});

describe("mqtt.js", () => {
  for (const protocolVersion of [3, 4, 5] as const) {
    test(`of version ${protocolVersion} publishes, asks and is told`, async () => {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${listener.port}`, {
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
