import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { generate, parser } from "mqtt-packet";
import { callHttp } from "../../edge/runtime/http-call.ts";
import { publishMqtt } from "../../edge/runtime/mqtt-call.ts";
import { createUuid } from "../../shared/core/ids.ts";
import type { CallHttp, PublishMqtt } from "../../shared/rules/chain/effects.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";

const never = new AbortController().signal;
const id = createUuid(systemClock, systemRandom);
const message = { id, type: "X", originator: { type: "DEVICE", id }, tsMs: 0, data: "{}", metadata: {}, callers: [] };
const call = { node: { chainId: id, nodeId: id }, message };

describe("callHttp()", () => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === "/silent") return;
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        response.statusCode = request.url === "/refused" ? 409 : 200;
        response.end(
          JSON.stringify({
            method: request.method,
            said: Buffer.concat(chunks).toString(),
            by: request.headers["x-by"],
          }),
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const make = (path: string, more: Partial<CallHttp> = {}) =>
    callHttp(
      {
        kind: "call-http",
        method: "POST",
        url: `${url}${path}`,
        headers: { "X-By": "chain" },
        body: "hello",
        timeoutMs: 5_000,
        answerBytesMax: 1_000,
        call,
        ...more,
      },
      never,
    );

  test("sends the request, and gives the answer with its status", async () => {
    expect(await make("/")).toEqual({
      ok: true,
      body: '{"method":"POST","said":"hello","by":"chain"}',
      metadata: { status: "OK", statusCode: "200", statusReason: "OK" },
    });
  });

  test("takes another status, a long answer, silence and nobody there for failures", async () => {
    expect(await make("/refused")).toMatchObject({
      ok: false,
      reason: `${url} answered with status 409`,
      metadata: { statusCode: "409" },
    });
    expect(await make("/", { answerBytesMax: 10 })).toMatchObject({
      ok: false,
      reason: `The answer of ${url} has more than 10 bytes`,
    });
    expect(await make("/silent", { timeoutMs: 50 })).toMatchObject({
      ok: false,
      reason: `${url} did not answer within 50 ms`,
    });
    expect(await make("/", { url: "http://127.0.0.1:1/" })).toMatchObject({ ok: false });
  });
});

describe("publishMqtt()", () => {
  const sockets = new Set<Socket>();
  const received: unknown[] = [];
  const broker = createTcpServer((socket) => {
    sockets.add(socket);
    const packets = parser();
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => void packets.parse(chunk));
    packets.on("packet", (packet) => {
      if (packet.cmd === "connect") {
        received.push({ clientId: packet.clientId, user: packet.username, password: String(packet.password) });
        const returnCode = packet.username === "stranger" ? 5 : 0;
        socket.write(generate({ cmd: "connack", returnCode, sessionPresent: false }));
      } else if (packet.cmd === "publish") {
        received.push({ topic: packet.topic, payload: String(packet.payload), qos: packet.qos, retain: packet.retain });
        if (packet.topic !== "silent") socket.write(generate({ cmd: "puback", messageId: packet.messageId ?? 0 }));
      }
    });
  });
  let port: number;
  beforeAll(async () => {
    await new Promise<void>((resolve) => broker.listen(0, "127.0.0.1", resolve));
    ({ port } = broker.address() as AddressInfo);
  });
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    broker.close();
  });
  const publish = (more: Partial<PublishMqtt> = {}): Promise<void> =>
    publishMqtt(
      {
        kind: "publish-mqtt",
        host: "127.0.0.1",
        port,
        tls: false,
        clientId: "edge",
        userName: "me",
        password: "word",
        topic: "a/b",
        payload: '{"t":1}',
        retain: true,
        timeoutMs: 5_000,
        call,
        ...more,
      },
      never,
    );

  test("resolves when the broker has the message", async () => {
    await publish();
    expect(received).toEqual([
      { clientId: "edge", user: "me", password: "word" },
      { topic: "a/b", payload: '{"t":1}', qos: 1, retain: true },
    ]);
  });

  test("says why it could not publish", async () => {
    await expect(publish({ userName: "stranger" })).rejects.toThrow("refused the connection with code 5");
    await expect(publish({ topic: "silent", timeoutMs: 50 })).rejects.toThrow(
      "did not acknowledge the message within 50 ms",
    );
    await expect(publish({ port: 1 })).rejects.toThrow("Broker 127.0.0.1:1");
  });
});
