import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { generate, parser, type Packet } from "mqtt-packet";
import { AppError } from "../../shared/core/errors.ts";
import type { PublishMqtt } from "../../shared/rules/chain/effects.ts";

const KEEPALIVE_S = 60;
const MESSAGE_ID = 1;

/**
 * Publishes one message at QoS 1, over a connection of its own.
 *
 * @throws AppError NO_ROUTE when the broker can't be reached, refuses, or does not acknowledge in time
 */
export async function publishMqtt(publication: PublishMqtt, signal: AbortSignal): Promise<void> {
  const { host, port, timeoutMs, tls } = publication;
  const { promise, reject, resolve } = Promise.withResolvers<void>();
  const socket: Socket = tls ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
  const fail = (why: string): void => reject(new AppError("NO_ROUTE", `Broker ${host}:${port} ${why}`));
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const onLimit = (): void => fail(`did not acknowledge the message within ${timeoutMs} ms`);
  limit.addEventListener("abort", onLimit, { once: true });
  const packets = parser();
  packets.on("packet", (packet) => handle(packet, { socket, publication, resolve, fail }));
  packets.on("error", (error: Error) => fail(`does not speak MQTT: ${error.message}`));
  socket.on("error", (error) => fail(`can't be reached: ${error.message}`));
  socket.on("close", () => fail("closed the connection"));
  socket.on("data", (chunk: Buffer) => packets.parse(chunk));
  socket.once(tls ? "secureConnect" : "connect", () => socket.write(generate(connectPacket(publication))));
  try {
    await promise;
    socket.end(generate({ cmd: "disconnect" }));
  } finally {
    limit.removeEventListener("abort", onLimit);
    socket.destroySoon();
  }
}

interface Publishing {
  readonly socket: Socket;
  readonly publication: PublishMqtt;
  readonly resolve: () => void;
  readonly fail: (why: string) => void;
}

function handle(packet: Packet, { fail, publication, resolve, socket }: Publishing): void {
  if (packet.cmd === "connack") {
    if (packet.returnCode !== 0) {
      fail(`refused the connection with code ${packet.returnCode}`);
      return;
    }
    const { payload, retain, topic } = publication;
    socket.write(generate({ cmd: "publish", messageId: MESSAGE_ID, qos: 1, dup: false, topic, payload, retain }));
  } else if (packet.cmd === "puback" && packet.messageId === MESSAGE_ID) {
    resolve();
  }
}

function connectPacket({ clientId, password, userName }: PublishMqtt): Packet {
  return {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clean: true,
    keepalive: KEEPALIVE_S,
    clientId: clientId ?? "",
    ...(userName === null ? {} : { username: userName }),
    ...(password === null ? {} : { password: Buffer.from(password) }),
  };
}
