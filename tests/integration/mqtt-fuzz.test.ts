import { expect, test } from "bun:test";
import { generate, type IConnectPacket, type Packet } from "mqtt-packet";
import type { ByteStream } from "../../edge/devices/byte-stream.ts";
import { createMqttServer, type MqttServer } from "../../edge/devices/mqtt-server.ts";
import { createSeededRandom, type Random } from "../../shared/core/random.ts";
import { type Log, silentLog } from "../../shared/observe/log.ts";
import { createFakeEdge } from "../support/fake-edge.ts";

const CONNECTIONS = 10_000;
const SEED = Number(process.env["SKERRY_TEST_SEED"] ?? 1);

type Version = 3 | 4 | 5;

/** An integer in [0, below). */
function pick(random: Random, below: number): number {
  return Math.floor(random.float() * below);
}

function someConnect(random: Random, version: Version): Buffer {
  const packet: IConnectPacket = {
    cmd: "connect",
    protocolId: version === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: version,
    clientId: "a",
    clean: true,
    keepalive: 0,
    username: pick(random, 2) === 0 ? "token-a" : "token-b",
    ...(pick(random, 3) === 0 ? { will: { topic: "w", payload: Buffer.from("x"), qos: 1, retain: false } } : {}),
    ...(version === 5 && pick(random, 2) === 0 ? { properties: { receiveMaximum: 5, maximumPacketSize: 50 } } : {}),
  };
  return generate(packet);
}

function somePacket(random: Random, version: Version): Buffer {
  const properties = version === 5 ? { properties: { contentType: "x", userProperties: { a: "b" } } } : {};
  const publish = { cmd: "publish", dup: false, retain: false } as const;
  const packets: Packet[] = [
    {
      ...publish,
      topic: "v1/devices/me/telemetry",
      payload: '{"ts":5,"values":{"a":1.5,"b":"x"}}',
      qos: 1,
      messageId: 5,
    },
    {
      ...publish,
      ...properties,
      topic: "v1/devices/me/attributes/request/1",
      payload: '{"clientKeys":"a"}',
      qos: 2,
      messageId: 6,
    },
    { cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "v1/devices/me/attributes", qos: 1 }] },
    { cmd: "unsubscribe", messageId: 3, unsubscriptions: ["v1/devices/me/attributes"] },
    { cmd: "pubrel", messageId: 6 },
    { cmd: "puback", messageId: 6 },
    { cmd: "pingreq" },
    { cmd: "disconnect" },
  ];
  return generate(packets[pick(random, packets.length)] ?? { cmd: "pingreq" }, { protocolVersion: version });
}

/** Bytes changed, cut off or added. */
function damage(random: Random, whole: Buffer): Buffer {
  const bytes = Buffer.from(whole);
  switch (pick(random, 4)) {
    case 0:
      bytes[pick(random, bytes.length)] = pick(random, 256);
      return bytes;
    case 1:
      return bytes.subarray(0, pick(random, bytes.length));
    case 2:
      return Buffer.concat([bytes, random.bytes(pick(random, 10))]);
    default: {
      const at = pick(random, bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(random, 8));
      return bytes;
    }
  }
}

/** One connection that sends `bytes` in pieces; what it gets back is thrown away. */
async function connectAndSend(server: MqttServer, random: Random, bytes: Buffer): Promise<void> {
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    queueMicrotask(() => handler.onClose());
  };
  const ignore = (): void => undefined;
  const stream: ByteStream = {
    source: "fuzz",
    peerCertificate: null,
    queuedBytes: 0,
    write: ignore,
    pause: ignore,
    resume: ignore,
    end: close,
    destroy: close,
  };
  const handler = server.accept(stream);
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + pick(random, 80);
    handler.onData(bytes.subarray(at, end));
    at = end;
    if (pick(random, 2) === 0) await Promise.resolve();
  }
  await Bun.sleep(0);
  close();
}

test(`createMqttServer() survives ${CONNECTIONS} connections of damaged packets (seed ${SEED})`, async () => {
  const random = createSeededRandom(SEED);
  const faults: string[] = [];
  const log: Log = { ...silentLog, error: (message) => void faults.push(message) };
  const server = createMqttServer({ ...createFakeEdge(), log });
  const stop = new AbortController();
  const running = server.run(stop.signal);
  for (let round = 0; round < CONNECTIONS; round += 1) {
    const version = ([3, 4, 5] as const)[pick(random, 3)] ?? 4;
    const hello = someConnect(random, version);
    const parts = [pick(random, 8) === 0 ? damage(random, hello) : hello];
    for (let count = 0; count <= pick(random, 3); count += 1) {
      const whole = somePacket(random, version);
      parts.push(pick(random, 3) === 0 ? whole : damage(random, whole));
    }
    await connectAndSend(server, random, Buffer.concat(parts));
  }
  stop.abort();
  await running;
  expect(faults).toEqual([]);
  expect(server.sessions).toBe(0);
  expect(server.counters.connectionsOpened).toBe(CONNECTIONS);
  // The damage is light enough that much of it gets far.
  expect(server.counters.publishesAcknowledged).toBeGreaterThan(CONNECTIONS / 10);
}, 60_000);
