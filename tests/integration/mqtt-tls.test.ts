import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import mqtt from "mqtt";
import type { MqttServer } from "../../edge/devices/mqtt-server.ts";
import { listenTcp, type TcpServer } from "../../edge/runtime/tcp-server.ts";
import { DEVICE, LOCALHOST, VALVE, type KeyPair } from "../support/certificates.ts";
import { DEVICE_B, type FakeEdge } from "../support/fake-edge.ts";
import { openMqttBed } from "../support/mqtt-bed.ts";
import { waitFor, within } from "../support/wait-for.ts";

const CERTIFICATE = DEVICE.cert.replaceAll(/-----[A-Z ]+-----|\s/g, "");

let edge: FakeEdge;
let server: MqttServer;
let listener: TcpServer;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  const bed = await openMqttBed();
  ({ edge, server } = bed);
  stack = new AsyncDisposableStack();
  stack.defer(() => bed.finish());
  listener = await listenTcp({ host: "127.0.0.1", port: 0, accept: bed.server.accept, tls: LOCALHOST });
  stack.use(listener);
});
afterEach(() => stack[Symbol.asyncDispose]());

/** The stock client. */
async function connect(options: { readonly username?: string; readonly device?: KeyPair }): Promise<mqtt.MqttClient> {
  const client = mqtt.connect(`mqtts://127.0.0.1:${listener.port}`, {
    ca: LOCALHOST.cert,
    reconnectPeriod: 0,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...options.device,
  });
  stack.defer(() => client.endAsync(true));
  const connected = new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
  await within("the connection", 5_000, connected);
  return client;
}

test("a device signs in over TLS by its token", async () => {
  const client = await connect({ username: "token-a" });
  await client.publishAsync("v1/devices/me/telemetry", '{"t":1}', { qos: 1 });
  expect(edge.records).toHaveLength(1);
});

test("a device signs in by its certificate alone, whoever signed it", async () => {
  edge.devices.set(CERTIFICATE, { deviceId: DEVICE_B, name: "B", isGateway: false });
  const client = await connect({ device: DEVICE });
  await client.publishAsync("v1/devices/me/telemetry", '{"t":1}', { qos: 1 });
  expect(edge.records[0]?.entityId).toBe(DEVICE_B);
});

test("a device shows its certificate first, then those behind it, once each", async () => {
  const shown: (readonly string[])[] = [];
  const accept: MqttServer["accept"] = (stream) => {
    shown.push(stream.peerCertificates);
    return server.accept(stream);
  };
  await using other = await listenTcp({ host: "127.0.0.1", port: 0, accept, tls: LOCALHOST });
  const options = { port: other.port, host: "127.0.0.1", ca: LOCALHOST.cert };
  for (const pair of [VALVE, DEVICE, {}]) {
    const socket = connectTls({ ...options, ...pair });
    const before = shown.length;
    await waitFor("the connection", () => shown.length > before);
    socket.destroy();
  }
  const texts = VALVE.cert.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? [];
  const bare = (pem: string): string => pem.replaceAll(/-----[A-Z ]+-----|\s/g, "");
  expect(shown).toEqual([texts.map(bare), [CERTIFICATE], []]);
});

test("a certificate that no device has, with nothing else, is refused", async () => {
  await expect(connect({ device: DEVICE })).rejects.toThrow("Connection refused");
});

test("a peer that does not speak TLS is cut off, and others are served", async () => {
  const stranger = connectTcp(listener.port, "127.0.0.1");
  let isClosed = false;
  stranger.on("close", () => (isClosed = true)).on("error", () => undefined);
  stranger.resume().write("CONNECT\n\n\n\n");
  await waitFor("the stranger to be cut off", () => isClosed);
  await connect({ username: "token-a" });
});

test("listenTcp() refuses a key that is not the certificate's, and says so", async () => {
  const mixed = { cert: LOCALHOST.cert, key: "no key" };
  const listening = listenTcp({ host: "127.0.0.1", port: 0, accept: () => expect.unreachable(), tls: mixed });
  await expect(listening).rejects.toThrow("tlsCertFile with tlsKeyFile");
});
