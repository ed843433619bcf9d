/** Load over MQTT 3.1.1: raw sockets that send publishes encoded beforehand and count the bytes of PUBACKs. */
import { connect, type Socket } from "node:net";
import type { LoadResult } from "./load-result.ts";

export interface MqttLoadOptions {
  readonly host?: string;
  readonly port: number;
  /** One client each. */
  readonly tokens: readonly string[];
  readonly messagesPerClient: number;
  /** Messages of a client that wait for their PUBACK. @default 200 */
  readonly window?: number;
  /** Messages a second of each client. @default as fast as they are acknowledged */
  readonly perSecond?: number;
  /** Time of the first message; each further one of a client is a ms later. */
  readonly firstTsMs: number;
  /** Payload of a message. @default about 100 bytes with five values */
  readonly payload?: (client: number, tsMs: number) => string;
}

const PUBACK_BYTES = 4;

/** Sends all messages; resolves when each was acknowledged, rejects when a connection is refused or ends early. */
export async function runMqttLoad(options: MqttLoadOptions): Promise<LoadResult> {
  const clients = await Promise.all(options.tokens.map((token, index) => openClient(options, token, index)));
  const startedMs = performance.now();
  await Promise.all(clients.map((client) => client.run()));
  const elapsedMs = performance.now() - startedMs;
  const messages = options.tokens.length * options.messagesPerClient;
  return { messages, elapsedMs, perSecond: (messages * 1000) / elapsedMs };
}

/** About 100 bytes: a time and five values. */
export function defaultPayload(client: number, tsMs: number): string {
  const n = tsMs % 1000;
  return `{"ts":${tsMs},"values":{"temperature":${20 + (n % 100) / 8},"humidity":${n % 100},"co2":${400 + n},"light":${n * 3},"on":${client % 2 === 0}}}`;
}

interface Client {
  run(): Promise<void>;
}

async function openClient(options: MqttLoadOptions, token: string, index: number): Promise<Client> {
  const { host = "127.0.0.1", port, messagesPerClient, window = 200, firstTsMs, payload = defaultPayload } = options;
  const perMs = (options.perSecond ?? Infinity) / 1000;
  const packets: Buffer[] = [];
  for (let sent = 0; sent < messagesPerClient; sent += 1) {
    packets.push(publishPacket(payload(index, firstTsMs + sent), (sent % 65_535) + 1));
  }
  const { bytes, offsets } = joinPackets(packets);
  const socket = await connectSocket(host, port, connectPacket(token, `load-${index}`));
  return {
    run: () =>
      new Promise((resolve, reject) => {
        let sent = 0;
        let acknowledgedBytes = 0;
        const startedMs = performance.now();
        const fill = (): void => {
          const due = perMs === Infinity ? Infinity : Math.floor((performance.now() - startedMs) * perMs);
          const until = Math.min(messagesPerClient, due, Math.floor(acknowledgedBytes / PUBACK_BYTES) + window);
          if (until <= sent) return;
          socket.write(bytes.subarray(offsets[sent], offsets[until]));
          sent = until;
        };
        socket.on("data", (chunk: Buffer) => {
          acknowledgedBytes += chunk.length;
          if (acknowledgedBytes < messagesPerClient * PUBACK_BYTES) {
            fill();
            return;
          }
          resolve();
          socket.destroy();
        });
        const pace = perMs === Infinity ? undefined : setInterval(fill, 1);
        socket.once("error", reject);
        socket.once("close", () => clearInterval(pace));
        socket.once("close", () =>
          reject(
            new Error(
              `Connection ended after ${acknowledgedBytes / PUBACK_BYTES} of ${messagesPerClient} acknowledgements`,
            ),
          ),
        );
        fill();
      }),
  };
}

/** All packets in one buffer, and where each begins; one more offset for the end. */
function joinPackets(packets: readonly Buffer[]): { bytes: Buffer; offsets: Uint32Array } {
  const offsets = new Uint32Array(packets.length + 1);
  let at = 0;
  for (const [index, packet] of packets.entries()) {
    at += packet.length;
    offsets[index + 1] = at;
  }
  return { bytes: Buffer.concat(packets), offsets };
}

/** Resolves when CONNECT was accepted. */
export function connectSocket(host: string, port: number, hello: Buffer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => socket.write(hello));
    socket.once("error", reject);
    socket.once("data", (connack: Buffer) => {
      if (connack.length === 4 && connack[3] === 0) {
        socket.removeListener("error", reject);
        resolve(socket);
      } else {
        reject(new Error(`CONNECT was refused with code ${connack[3]}`));
      }
    });
  });
}

export function connectPacket(token: string, clientId: string): Buffer {
  const content = Buffer.concat([text("MQTT"), Buffer.from([4, 0b1000_0010, 0, 0]), text(clientId), text(token)]);
  return Buffer.concat([Buffer.from([0x10, ...lengthBytes(content.length)]), content]);
}

/** QoS 1 to the telemetry topic. */
export function publishPacket(payload: string, messageId: number): Buffer {
  const content = Buffer.concat([
    text("v1/devices/me/telemetry"),
    Buffer.from([messageId >> 8, messageId & 0xff]),
    Buffer.from(payload),
  ]);
  return Buffer.concat([Buffer.from([0x32, ...lengthBytes(content.length)]), content]);
}

function text(content: string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function lengthBytes(length: number): number[] {
  return length < 128 ? [length] : [(length & 0x7f) | 0x80, ...lengthBytes(length >> 7)];
}
