import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createDeviceHttpApi } from "../../edge/devices/http-device-api.ts";
import type { AppError } from "../../shared/core/errors.ts";
import { createSeededRandom, type Random } from "../../shared/core/random.ts";
import { serveHttp } from "../../shared/runtime/http-server.ts";
import { createFakeEdge, DEVICE_B } from "../support/fake-edge.ts";
import { HEAP_GROWTH_BYTES_MAX, measureLiveHeap } from "../support/live-heap.ts";
import { waitFor } from "../support/wait-for.ts";

const REQUESTS = 100_000;
/** Of them, before the heap is measured first. */
const WARM_UP = REQUESTS / 10 + 1;
const SEED = Number(process.env["SKERRY_TEST_SEED"] ?? 1);
/** Refusals that are the sender's fault, or mean "not now"; anything else is a fault of the server. */
const REFUSED = new Set(["INVALID_PAYLOAD", "INVALID_ARGUMENT", "NOT_FOUND", "PAYLOAD_TOO_LARGE", "TOO_MANY_REQUESTS"]);

const PATHS = [
  "telemetry",
  "attributes",
  "attributes?clientKeys=a,b&sharedKeys=",
  "attributes?clientKeys=%00%ff",
  "attributes/updates?timeout=x",
  "attributes/updates?timeout=0",
  "rpc?timeout=-1",
  "rpc/5",
  "rpc/99999999999999999999",
  "claim",
  "firmware?title=a&version=1&size=-1&chunk=x",
  "",
  "telemetry/telemetry",
  "%2e%2e/telemetry",
];
const BODIES: readonly (string | Uint8Array<ArrayBuffer>)[] = [
  '{"t":1}',
  '[{"ts":5,"values":{"a":1.5}},{"b":2}]',
  '{"ts":1e30,"values":{"a":1}}',
  '{"ts":-1,"values":{"a":{}}}',
  "",
  "{",
  "null",
  '{"a":NaN}',
  '{"a":Infinity}',
  '{"a":1e999}',
  `{"a":-${"9".repeat(400)}.${"9".repeat(400)}}`,
  '{"a":1,"a":2,"a":null}',
  '{"":1}',
  `{"${"k".repeat(300)}":1}`,
  '{"a":"\\ud800"}',
  '{"a\\u0000":1}',
  "[".repeat(5000),
  `${'{"a":'.repeat(2000)}1${"}".repeat(2000)}`,
  new Uint8Array([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]),
  new Uint8Array([0xff, 0xfe]),
  '{"secretKey":5,"durationMs":"x"}',
  '{"method":5}',
  '{"deviceName":{},"provisionDeviceKey":[]}',
];

/** An integer in [0, below). */
function pick(random: Random, below: number): number {
  return Math.floor(random.float() * below);
}

function someOf<T>(random: Random, list: readonly T[]): T {
  const item = list[pick(random, list.length)];
  if (item === undefined) throw new Error("Nothing to choose from");
  return item;
}

/** Cut off, with another byte, or longer; or as it is. */
function spoil(random: Random, body: string | Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(typeof body === "string" ? Buffer.from(body) : body);
  switch (pick(random, 4)) {
    case 0:
      return bytes.subarray(0, pick(random, bytes.length + 1));
    case 1:
      if (bytes.length > 0) bytes[pick(random, bytes.length)] = pick(random, 256);
      return bytes;
    case 2:
      return Uint8Array.from([...bytes, ...random.bytes(pick(random, 20))]);
    default:
      return bytes;
  }
}

test(`createDeviceHttpApi() survives ${REQUESTS} malformed requests, and others are served (seed ${SEED})`, async () => {
  const random = createSeededRandom(SEED);
  const edge = createFakeEdge();
  const faults: string[] = [];
  const errorResponse = (error: AppError): Response => {
    if (!REFUSED.has(error.code)) faults.push(`${error.code} ${error.message}`);
    return new Response(null, { status: 400 });
  };
  const api = createDeviceHttpApi({ ...edge, errorResponse });
  const answers = new Map<number, number>();
  let heapBytes = 0;
  let good = 0;
  for (let sent = 0; sent < REQUESTS; sent += 1) {
    const token = someOf(random, ["token-a", "token-a", "token-a", "gateway", "nobody", "%00", "a%2Fb"]);
    const path = pick(random, 20) === 0 ? "/provision" : `/${token}/${someOf(random, PATHS)}`;
    const method = someOf(random, ["POST", "POST", "POST", "POST", "GET", "PUT", "DELETE"]);
    const body = spoil(random, someOf(random, BODIES));
    // Nobody waits for what does not come: that is another test.
    const signal = AbortSignal.abort();
    const init = { method, ...(method === "GET" ? { signal } : { body }) };
    const { status } = await api.request(path, init);
    answers.set(status, (answers.get(status) ?? 0) + 1);
    if (sent === WARM_UP) heapBytes = measureLiveHeap(edge);
    if (sent % 5000 > 0) continue;
    edge.clock.advance(60_000);
    const answer = await api.request("/token-b/telemetry", { method: "POST", body: '{"good":1}' });
    expect(answer.status).toBe(200);
    good += edge.records.filter(({ entityId }) => entityId === DEVICE_B).length;
    edge.records.length = 0;
  }
  expect(faults).toEqual([]);
  expect(good).toBe(REQUESTS / 5000);
  expect(measureLiveHeap(edge) - heapBytes).toBeLessThan(HEAP_GROWTH_BYTES_MAX);
  // The damage is light enough that some of it is taken, and much of it gets far.
  expect(answers.get(200) ?? 0).toBeGreaterThan(REQUESTS / 50);
  expect(answers.get(400) ?? 0).toBeGreaterThan(REQUESTS / 3);
  expect(edge.listeners).toBe(0);
}, 60_000);

test("slow senders and connections that say nothing leave others unaffected", async () => {
  const edge = createFakeEdge();
  const errorResponse = (): Response => new Response(null, { status: 400 });
  const api = createDeviceHttpApi({ ...edge, errorResponse });
  await using server = serveHttp({
    host: "127.0.0.1",
    port: 0,
    fetch: (request) => api.fetch(request),
    idleTimeoutS: 1,
  });
  const post = async (): Promise<number> =>
    (await fetch(`${server.url}/token-b/telemetry`, { method: "POST", body: '{"t":1}' })).status;
  const open = (bytes: string): Socket => {
    const socket = connect({ host: "127.0.0.1", port: server.port });
    socket.on("error", () => undefined).resume();
    if (bytes !== "") socket.write(bytes);
    return socket;
  };
  const head = "POST /token-a/telemetry HTTP/1.1\r\nhost: edge\r\n";
  const sockets = [
    ...Array.from({ length: 1000 }, () => open("")),
    ...Array.from({ length: 300 }, () => open(head)),
    ...Array.from({ length: 300 }, () => open(`${head}content-length: 1000000\r\n\r\n{`)),
    ...Array.from({ length: 300 }, () => open(`${head}transfer-encoding: chunked\r\n\r\nffffffff\r\n`)),
    ...Array.from({ length: 100 }, () => open("\u0000\u0001garbage\r\n\r\n")),
  ];
  for (let round = 0; round < 50; round += 1) expect(await post()).toBe(200);
  // What said something and then fell silent is cut off.
  await waitFor("the senders to be cut off", () => sockets.slice(1600).every((socket) => socket.closed));
  expect(await post()).toBe(200);
  for (const socket of sockets) socket.destroy();
  expect(edge.records.every(({ entityId }) => entityId === DEVICE_B)).toBe(true);
}, 30_000);
