import { afterEach, beforeEach, expect, test } from "bun:test";
import { generate, type IConnectPacket, type Packet, parser } from "mqtt-packet";
import type { ByteStream, ByteStreamHandler } from "../../edge/devices/byte-stream.ts";
import { createMqttServer, type MqttServer } from "../../edge/devices/mqtt-server.ts";
import { createProtobufCodec } from "../../edge/devices/protobuf/protobuf-codec.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom, type Random } from "../../shared/core/random.ts";
import { type Log, silentLog } from "../../shared/observe/log.ts";
import { createFakeEdge, DEVICE_A, DEVICE_B, type FakeEdge } from "../support/fake-edge.ts";
import { HEAP_GROWTH_BYTES_MAX, measureLiveHeap } from "../support/live-heap.ts";
import { eventually } from "../support/mqtt-bed.ts";

/** Packets that are damaged, or valid with a payload that is not. */
const INPUTS = 100_000;
/** Of them, before the heap is measured first. */
const WARM_UP = INPUTS / 10;
const SEED = Number(process.env["SKERRY_TEST_SEED"] ?? 1);

const TOPICS = [
  "v1/devices/me/telemetry",
  "v1/devices/me/attributes",
  "v1/devices/me/attributes/request/1",
  "v1/devices/me/rpc/response/1",
  "v1/devices/me/rpc/request/1",
  "v1/devices/me/claim",
  "v1/gateway/telemetry",
  "v1/gateway/attributes",
  "v1/gateway/connect",
  "v1/gateway/rpc",
  "v2/fw/request/1/chunk/0",
  "v2/t/j",
  "v2/t/p",
  "v2/a/p",
  "v2/a/req/p/1",
  "v2/r/res/p/1",
  "v2/r/req/p/1",
  "plant/1/values",
  "v1/devices/me",
  "$SYS/x",
];
const PAYLOADS = [
  "{",
  "",
  "null",
  "NaN",
  '{"a":NaN}',
  '{"a":1e999}',
  `{"a":${"9".repeat(400)}}`,
  '{"a":-0,"a":1,"a":2}',
  '{"":1}',
  `{"${"k".repeat(300)}":1}`,
  '{"a":"\\ud800"}',
  "[".repeat(3000),
  `{"a":${'{"a":'.repeat(1000)}1${"}".repeat(1000)}}`,
  '{"ts":9e15,"values":{"a":1}}',
  '{"ts":1,"values":[]}',
  '{"A":[{"ts":"x"}],"B":5}',
  '{"device":{}}',
  '{"a":1}\u0000',
  Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]),
  Buffer.from([0xff, 0xfe, 0x00]),
  // Protobuf: whole, then cut off, wrong UTF-8, a group, a message in a message.
  Buffer.from("09000000000000354010011a050a03616263", "hex"),
  Buffer.from("0900000000", "hex"),
  Buffer.from("0a02c0af", "hex"),
  Buffer.from("7b7b7b7b", "hex"),
  Buffer.from("1aff7f1aff7f1aff7f", "hex"),
];

/** No damage makes it of another one. */
const STEADY_TOKEN = "steady-0123456789";

type Version = 3 | 4 | 5;

/** An integer in [0, below). */
function pick(random: Random, below: number): number {
  return Math.floor(random.float() * below);
}

function someOf<T>(random: Random, list: readonly T[]): T {
  const item = list[pick(random, list.length)];
  if (item === undefined) throw new Error("Nothing to choose from");
  return item;
}

function someConnect(random: Random, version: Version): Buffer {
  const will = { topic: someOf(random, TOPICS), payload: Buffer.from("x"), qos: 1, retain: false } as const;
  const packet: IConnectPacket = {
    cmd: "connect",
    protocolId: version === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: version,
    clientId: "a",
    clean: pick(random, 4) > 0,
    keepalive: 0,
    username: someOf(random, ["token-a", "token-a", "gateway"]),
    ...(pick(random, 5) === 0 ? { will } : {}),
    ...(version === 5 && pick(random, 2) === 0 ? { properties: { receiveMaximum: 5, maximumPacketSize: 50 } } : {}),
  };
  return generate(packet);
}

function somePacket(random: Random, version: Version): Buffer {
  const properties = version === 5 ? { properties: { contentType: "x", userProperties: { a: "b" } } } : {};
  const publish = { cmd: "publish", dup: false, retain: false } as const;
  const topic = someOf(random, TOPICS);
  const packets: Packet[] = [
    { ...publish, topic, payload: '{"ts":5,"values":{"a":1.5,"b":"x"}}', qos: 1, messageId: 5 },
    { ...publish, ...properties, topic, payload: '{"clientKeys":"a"}', qos: 2, messageId: 6 },
    { ...publish, topic, payload: someOf(random, PAYLOADS), qos: 1, messageId: 7 },
    { cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "v1/devices/me/#", qos: 1 }] },
    { cmd: "unsubscribe", messageId: 3, unsubscriptions: ["v1/devices/me/#"] },
    { cmd: "pubrel", messageId: 6 },
    { cmd: "puback", messageId: 6 },
    { cmd: "pingreq" },
    { cmd: "disconnect" },
  ];
  return generate(someOf(random, packets), { protocolVersion: version });
}

/** Bytes changed, cut off or added, or nothing but noise. */
function damage(random: Random, whole: Buffer): Buffer {
  const bytes = Buffer.from(whole);
  switch (pick(random, 6)) {
    case 0:
      bytes[pick(random, bytes.length)] = pick(random, 256);
      return bytes;
    case 1:
      return bytes.subarray(0, pick(random, bytes.length));
    case 2:
      return Buffer.concat([bytes, random.bytes(pick(random, 10))]);
    case 3:
      // The length says something else than what follows.
      bytes[1] = pick(random, 256);
      return bytes;
    case 4:
      return Buffer.from(random.bytes(1 + pick(random, 30)));
    default: {
      const at = pick(random, bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(random, 8));
      return bytes;
    }
  }
}

interface FakeClient {
  readonly handler: ByteStreamHandler;
  readonly isOpen: () => boolean;
  readonly close: () => void;
}

/** A connection without a socket. */
function openClient(onBytes: (bytes: Uint8Array) => void = () => undefined): FakeClient {
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    queueMicrotask(() => handler.onClose());
  };
  const ignore = (): void => undefined;
  const stream: ByteStream = {
    source: "fuzz",
    peerCertificates: [],
    queuedBytes: 0,
    write: (bytes) => onBytes(bytes),
    pause: ignore,
    resume: ignore,
    end: close,
    destroy: close,
  };
  const handler = server.accept(stream);
  return { handler, isOpen: () => isOpen, close };
}

/** One connection that sends `bytes` in pieces; what it gets back is thrown away. */
async function connectAndSend(random: Random, bytes: Buffer): Promise<void> {
  const client = openClient();
  for (let at = 0; at < bytes.length && client.isOpen();) {
    const end = at + 1 + pick(random, 200);
    client.handler.onData(bytes.subarray(at, end));
    at = end;
    if (pick(random, 3) === 0) await Promise.resolve();
  }
  // Most wait for what comes of it, some are gone at once.
  if (pick(random, 8) > 0) await new Promise((resolve) => setImmediate(resolve));
  client.close();
}

/** A device that behaves: each of its messages has to be acknowledged, whatever the others do. */
class SteadyDevice {
  acknowledged = 0;
  readonly #client: FakeClient;

  constructor() {
    const reader = parser({ protocolVersion: 4 });
    reader.on("packet", ({ cmd }) => {
      if (cmd === "puback") this.acknowledged += 1;
    });
    this.#client = openClient((bytes) => void reader.parse(Buffer.from(bytes)));
    const hello = { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clientId: "b", clean: true } as const;
    this.#client.handler.onData(generate({ ...hello, keepalive: 0, username: STEADY_TOKEN }));
  }

  async publish(count: number): Promise<void> {
    const before = this.acknowledged;
    const message = { cmd: "publish", topic: "v2/t", qos: 1, dup: false, retain: false } as const;
    for (let sent = 1; sent <= count; sent += 1) {
      this.#client.handler.onData(generate({ ...message, payload: `{"t":${sent}}`, messageId: sent }));
    }
    await eventually(() => this.acknowledged === before + count);
  }

  close(): void {
    this.#client.close();
  }
}

let edge: FakeEdge;
let server: MqttServer;
let faults: string[];
let stop: AbortController;
let running: Promise<void>;

beforeEach(() => {
  edge = createFakeEdge();
  edge.devices.delete("token-b");
  edge.devices.set(STEADY_TOKEN, { deviceId: DEVICE_B, name: "Steady", isGateway: false });
  faults = [];
  const log: Log = { ...silentLog, error: (message) => void faults.push(message) };
  const ofA = {
    telemetryFilter: "plant/+/#",
    attributesFilter: null,
    pushTopic: null,
    isInvalidAcknowledged: false,
    codec: createProtobufCodec({}),
    isJsonTaken: true,
    isJsonSent: false,
  };
  const profiles = { of: ({ deviceId }: { deviceId: Uuid }) => (deviceId === DEVICE_A ? ofA : undefined) };
  server = createMqttServer({ ...edge, profiles, log });
  stop = new AbortController();
  running = server.run(stop.signal);
});
afterEach(async () => {
  // Ends only when every connection is gone.
  stop.abort();
  let isOver = false;
  void running.then(() => (isOver = true));
  await eventually(() => {
    edge.clock.advance(1000);
    return isOver;
  });
  expect(faults).toEqual([]);
  expect(server.sessions).toBe(0);
});

test(`createMqttServer() survives ${INPUTS} malformed packets, and others are served (seed ${SEED})`, async () => {
  const random = createSeededRandom(SEED);
  const steady = new SteadyDevice();
  let inputs = 0;
  let heapBytes = 0;
  for (let round = 0; inputs < INPUTS; round += 1) {
    const version = someOf(random, [3, 4, 5] as const);
    const hello = someConnect(random, version);
    const parts = [pick(random, 8) === 0 ? damage(random, hello) : hello];
    for (let count = pick(random, 5); count >= 0; count -= 1) {
      const whole = somePacket(random, version);
      const isWhole = pick(random, 4) === 0;
      parts.push(isWhole ? whole : damage(random, whole));
      if (!isWhole) inputs += 1;
    }
    await connectAndSend(random, Buffer.concat(parts));
    if (round % 2000 === 0) await steady.publish(10);
    // From here on everything that is kept has been met.
    if (heapBytes === 0 && inputs >= WARM_UP) heapBytes = measureLiveHeap(edge);
  }
  await steady.publish(100);
  expect(measureLiveHeap(edge) - heapBytes).toBeLessThan(HEAP_GROWTH_BYTES_MAX);
  steady.close();
  // The damage is light enough that much of it gets far.
  const { publishesAcknowledged, publishesReceived, publishesRejected } = server.counters;
  expect(publishesReceived).toBeGreaterThan(INPUTS / 10);
  expect(publishesRejected).toBeGreaterThan(INPUTS / 50);
  expect(publishesAcknowledged).toBeGreaterThan(INPUTS / 50);
}, 60_000);

test("connections that say nothing, or next to nothing, are cut off, and others are served", async () => {
  const steady = new SteadyDevice();
  await steady.publish(1);
  const silent = Array.from({ length: 4000 }, () => openClient());
  const slow = Array.from({ length: 500 }, () => openClient());
  const hello = Buffer.concat([Buffer.from([0x10, 0xff, 0x7f]), Buffer.alloc(100)]);
  for (let second = 0; second < 12; second += 1) {
    for (const client of slow) if (client.isOpen()) client.handler.onData(hello.subarray(second, second + 1));
    edge.clock.advance(1000);
    await Bun.sleep(0);
    await steady.publish(5);
  }
  expect([...silent, ...slow].filter((client) => client.isOpen()).length).toBe(0);
  steady.close();
});

test("devices that send a packet byte by byte for minutes don't hold up others, nor take more than its size", async () => {
  const steady = new SteadyDevice();
  const connect = { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clientId: "a", clean: true } as const;
  const client = openClient();
  client.handler.onData(generate({ ...connect, keepalive: 60, username: "token-a" }));
  await eventually(() => server.sessions === 2);
  const payload = `{"ts":5,"values":{"t":"${"x".repeat(300)}"}}`;
  const whole = generate({ cmd: "publish", topic: "v2/t", payload, qos: 1, messageId: 1, dup: false, retain: false });
  for (const byte of whole.subarray(0, 80)) {
    client.handler.onData(new Uint8Array([byte]));
    edge.clock.advance(1000);
    await steady.publish(1);
  }
  edge.clock.advance(20_000);
  await eventually(() => !client.isOpen());
  expect(edge.errors.last(DEVICE_A)?.reason).toContain("keep-alive");
  steady.close();
});
