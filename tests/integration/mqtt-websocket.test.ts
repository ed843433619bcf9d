import { afterEach, beforeEach, expect, test } from "bun:test";
import mqtt from "mqtt";
import { generate } from "mqtt-packet";
import { openMqttSocket } from "../../edge/devices/mqtt-websocket.ts";
import { type HttpServer, serveHttp } from "../../shared/runtime/http-server.ts";
import { DEVICE_A, type FakeEdge } from "../support/fake-edge.ts";
import { eventually, message, type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";

const TELEMETRY = "v1/devices/me/telemetry";
const ATTRIBUTES = "v1/devices/me/attributes";
const CONNECT = generate({
  cmd: "connect",
  protocolId: "MQTT",
  protocolVersion: 4,
  clientId: "x",
  clean: true,
  keepalive: 0,
  username: "token-a",
});

let bed: MqttBed;
let edge: FakeEdge;
let http: HttpServer;
let sockets: WebSocket[];

beforeEach(async () => {
  bed = await openMqttBed({ inFlightMax: 5 });
  ({ edge } = bed);
  sockets = [];
  http = serveHttp({
    host: "127.0.0.1",
    port: 0,
    fetch: () => new Response("no such route", { status: 404 }),
    openSocket: (request) => openMqttSocket(request, bed.server.accept),
  });
});
afterEach(async () => {
  for (const socket of sockets) socket.close();
  await bed.finish();
  await http.close(0);
});

const url = (): string => `ws://127.0.0.1:${http.port}/mqtt`;

/** As a browser does. */
async function open(protocols: string | string[] = "mqtt"): Promise<WebSocket> {
  const socket = new WebSocket(url(), protocols);
  sockets.push(socket);
  socket.binaryType = "arraybuffer";
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error("The socket was refused")));
  });
  return socket;
}

test("the stock client publishes, asks and is told over a WebSocket", async () => {
  const client = await mqtt.connectAsync(url(), { username: "token-a", protocolVersion: 5 });
  const received: string[] = [];
  client.on("message", (_topic, payload) => received.push(payload.toString()));
  await client.subscribeAsync(ATTRIBUTES, { qos: 1 });
  await client.publishAsync(TELEMETRY, `{"t":"${"x".repeat(60_000)}"}`, { qos: 1 });
  expect(edge.records.length).toBe(1);
  edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["k"] });
  await eventually(() => received.length === 1);
  expect(received).toEqual(['{"deleted":["k"]}']);
  await client.endAsync();
  await eventually(() => bed.server.sessions === 0);
});

test("packets are found however they are cut into messages", async () => {
  const socket = await open();
  expect(socket.protocol).toBe("mqtt");
  const bytes = Buffer.concat([CONNECT, generate(message(TELEMETRY, '{"t":1}', 7))]);
  for (const byte of bytes) socket.send(new Uint8Array([byte]));
  await eventually(() => edge.records.length === 1);
});

test("more than one connection holds is read later, and far too much ends it", async () => {
  const socket = await open(["other", "mqttv3.1", "mqtt"]);
  expect(socket.protocol).toBe("mqttv3.1");
  edge.hold();
  socket.send(CONNECT);
  const burst = Array.from({ length: 40 }, (_, index) =>
    message(TELEMETRY, `{"ts":${index},"values":{"t":1}}`, index + 1),
  );
  for (const packet of burst) socket.send(generate(packet));
  await eventually(() => bed.server.counters.publishesReceived >= 5);
  edge.release();
  await eventually(() => edge.records.length === 40);
  edge.hold();
  const large = generate(message(TELEMETRY, `{"t":"${"x".repeat(60_000)}"}`, 1));
  for (let sent = 0; sent < 40; sent += 1) socket.send(large);
  await eventually(() => socket.readyState === WebSocket.CLOSED);
  edge.release();
});

test("text, another protocol and another path are refused", async () => {
  const socket = await open();
  const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
  socket.send("hello");
  expect(await closed).toBe(1003);
  await expect(open("other")).rejects.toThrow("refused");
  const answer = await fetch(`http://127.0.0.1:${http.port}/mqtt`);
  expect(answer.status).toBe(404);
});
