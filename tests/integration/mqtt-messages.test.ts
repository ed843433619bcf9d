import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Packet } from "mqtt-packet";
import type { MqttServer } from "../../edge/devices/mqtt-server.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { readValue } from "../../shared/entities/values.ts";
import { DEVICE_A, DEVICE_B, type FakeEdge } from "../support/fake-edge.ts";
import { eventually, message, type MqttBed, openMqttBed, roundTrip } from "../support/mqtt-bed.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

const TELEMETRY = "v1/devices/me/telemetry";
const ATTRIBUTES = "v1/devices/me/attributes";
const NOW_MS = 1_700_000_000_000;

let bed: MqttBed;
let edge: FakeEdge;
let server: MqttServer;

beforeEach(async () => {
  bed = await openMqttBed();
  ({ edge, server } = bed);
});
afterEach(() => bed.finish());

describe("telemetry", () => {
  for (const topic of [TELEMETRY, "v2/t", "v2/t/j"]) {
    test(`on ${topic} is stored, then acknowledged`, async () => {
      const client = await bed.login();
      client.send(message(topic, '{"ts":5,"values":{"t":21.0}}', 9));
      expect((await client.take("puback")).messageId).toBe(9);
      expect(edge.records).toEqual([{ entityId: DEVICE_A, tsMs: 5, values: readValue('{"t":21.0}'), keySet: "t" }]);
    });
  }
  test("without ts gets the server's time, and messages of one ms don't overwrite each other", async () => {
    const client = await bed.login();
    client.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, '{"t":2}', 2), message(TELEMETRY, "[{},{}]", 3));
    await client.until(() => client.packets.length === 3);
    expect(edge.records.map(({ tsMs }) => tsMs)).toEqual([NOW_MS, NOW_MS + 1]);
  });
  test("of QoS 0 is stored and not acknowledged", async () => {
    const client = await bed.login();
    client.send(message(TELEMETRY, '{"t":1}', 0, 0));
    await roundTrip(client);
    await eventually(() => edge.records.length === 1);
    expect(client.packets).toEqual([]);
  });
  test("with the retain flag is data like any other", async () => {
    const client = await bed.login();
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
    const client = await bed.login();
    client.send(message(TELEMETRY, '{"ts":5,"values":{"t":1}}', 3, 2));
    await client.take("pubrec");
    client.send({ ...message(TELEMETRY, '{"ts":5,"values":{"t":1}}', 3, 2), dup: true } as Packet);
    await client.take("pubrec");
    client.send({ cmd: "pubrel", messageId: 3 });
    expect((await client.take("pubcomp")).messageId).toBe(3);
    expect(edge.records.length).toBe(1);
  });
  test("in packets that arrive byte by byte", async () => {
    const client = await bed.login();
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
    const client = await bed.login();
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
      const client = await bed.login(version);
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
    const client = await bed.login();
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
    const client = await bed.login();
    client.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, "{", 2), message(TELEMETRY, '{"t":3}', 3));
    await client.untilClosed();
    expect(client.packets.map((packet) => packet.messageId)).toEqual([1]);
    expect(edge.records.length).toBe(1);
  });
  test("is still sent for what is being stored when the server stops", async () => {
    const client = await bed.login(5);
    edge.hold();
    client.send(message(TELEMETRY, '{"t":1}', 1));
    await eventually(() => edge.held === 1);
    bed.stop();
    await eventually(() => !server.isConnected(DEVICE_A));
    edge.release();
    expect((await client.take("puback")).messageId).toBe(1);
    expect((await client.take("disconnect")).reasonCode).toBe(0x8b);
  });
});

describe("bad input", () => {
  test("an unknown topic is acknowledged and ignored", async () => {
    for (const version of [4, 5] as const) {
      const client = await bed.login(version);
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
      const client = await bed.login(4);
      client.send(message(topic, payload, 1));
      await client.untilClosed();
      expect(client.packets).toEqual([]);
      expect(edge.errors.last(DEVICE_A)?.reason).toStartWith("The payload is not valid: Expected");
    });
    test(`${topic} ${shown} is refused with PUBACK 0x99 over MQTT 5`, async () => {
      const client = await bed.login(5);
      client.send(message(topic, payload, 1));
      expect((await client.take("puback")).reasonCode).toBe(0x99);
      await roundTrip(client);
      expect(edge.errors.last(DEVICE_A)?.reason).toStartWith("The payload is not valid: Expected");
    });
  }
  test("of QoS 0 ends the connection", async () => {
    for (const version of [4, 5] as const) {
      const client = await bed.login(version);
      client.send(message(TELEMETRY, "{", 0, 0));
      if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x99);
      await client.untilClosed();
    }
  });
  test("a payload of 65,536 bytes is taken, a bigger one ends the connection", async () => {
    const payload = (bytes: number): string => `{"a":"${"x".repeat(bytes - 8)}"}`;
    for (const version of [4, 5] as const) {
      const client = await bed.login(version);
      client.send(message(TELEMETRY, payload(65_536), 1));
      await client.take("puback");
      client.send(message(TELEMETRY, payload(65_537), 2));
      if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x95);
      await client.untilClosed();
    }
    expect(edge.records.length).toBe(2);
  });
  test("a length of 256 MiB ends the connection before it is sent", async () => {
    const client = await bed.login(5);
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
        const client = await bed.login(version);
        client.sendBytes(Buffer.from(bytes));
        if (version === 5) expect((await client.take("disconnect")).reasonCode).toBe(0x81);
        await client.untilClosed();
      }
    });
  }
  test("a topic alias ends the connection with 0x94", async () => {
    const client = await bed.login(5);
    client.send({ ...message(TELEMETRY, '{"t":1}'), properties: { topicAlias: 1 } } as Packet);
    expect((await client.take("disconnect")).reasonCode).toBe(0x94);
  });
  test("other properties of a publish are taken", async () => {
    const client = await bed.login(5);
    client.send({
      ...message(TELEMETRY, '{"t":1}'),
      properties: { contentType: "application/json", userProperties: { a: "b" } },
    } as Packet);
    expect((await client.take("puback")).reasonCode).toBe(0);
    expect(edge.records.length).toBe(1);
  });
  test("garbage before and after CONNECT leaves other devices unaffected", async () => {
    const random = createSeededRandom(7);
    const steady = await bed.login(4, "token-b");
    for (let round = 0; round < 200; round += 1) {
      const garbage = random.bytes(1 + Math.floor(random.float() * 400));
      const client = round % 2 === 0 ? await RawMqttClient.open(bed.port) : await bed.login(round % 4 === 1 ? 4 : 5);
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
      const client = await bed.login();
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
      const client = await bed.login();
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
    const client = await bed.login();
    client.send(message(ATTRIBUTES, '{"a":5}', 1), message(`${ATTRIBUTES}/request/1`, '{"clientKeys":"a"}', 2));
    expect((await client.take("publish")).payload.toString()).toBe('{"client":{"a":5}}');
  });
  test("are pushed on change in the form subscribed last, deletions too", async () => {
    const client = await bed.login();
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
