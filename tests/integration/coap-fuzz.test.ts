import { expect, test } from "bun:test";
import {
  decodeMessage,
  encodeMessage,
  METHOD,
  OPTION,
  TYPE,
  type CoapMessage,
} from "../../edge/devices/coap-message.ts";
import { CoapServer } from "../../edge/devices/coap-server.ts";
import { createSeededRandom, type Random } from "../../shared/core/random.ts";
import { type Log, silentLog } from "../../shared/observe/log.ts";
import { requestOf } from "../support/coap-bed.ts";
import { createFakeEdge, DEVICE_A } from "../support/fake-edge.ts";
import { HEAP_GROWTH_BYTES_MAX, measureLiveHeap } from "../support/live-heap.ts";
import { waitFor } from "../support/wait-for.ts";

const DATAGRAMS = 120_000;
/** Of them, before the heap is measured first. */
const WARM_UP = DATAGRAMS / 6;
const SEED = Number(process.env["SKERRY_TEST_SEED"] ?? 1);
const PATHS = ["telemetry", "attributes", "claim", "rpc", "rpc/5", "nothing"].map((last) => `api/v1/token-a/${last}`);
const OTHER_PATHS = ["api/v1/provision", "fw/token-a", "sw/nobody", "api", "", "api/v1/\u0000/telemetry"];
const BODIES = [
  '{"t":1}',
  '[{"ts":5,"values":{"a":1.5}}]',
  "{",
  "[".repeat(500),
  '{"a":1e999}',
  '{"a":NaN}',
  '{"a":1,"a":2}',
  `{"${"k".repeat(300)}":1}`,
  "\ufffd\u0000",
  "9".repeat(400),
];

/** An integer in [0, below). */
function pick(random: Random, below: number): number {
  return Math.floor(random.float() * below);
}

function someOf<T>(random: Random, list: readonly [T, ...T[]] | readonly T[]): T {
  const item = list[pick(random, list.length)];
  if (item === undefined) throw new Error("Nothing to choose from");
  return item;
}

function someMessage(random: Random): Uint8Array {
  const numbers = [...Object.values(OPTION), 3, 9, 35, 65_000];
  const options = Array.from({ length: pick(random, 4) }, () => ({
    number: someOf(random, numbers),
    value: random.bytes(pick(random, 6)),
  }));
  const message: CoapMessage = {
    type: TYPE.confirmable,
    code: 0,
    messageId: 0,
    token: random.bytes(pick(random, 9)),
    options: [],
    payload: new Uint8Array(0),
    ...requestOf(
      { path: someOf(random, [...PATHS, ...OTHER_PATHS]), body: someOf(random, BODIES), options },
      pick(random, 0x10000),
    ),
  };
  const code = pick(random, 4) === 0 ? pick(random, 256) : someOf(random, [METHOD.get, METHOD.post]);
  return encodeMessage({ ...message, code, type: pick(random, 4) as CoapMessage["type"] });
}

/** Cut off, with other bytes, with more of them, or nothing but noise. */
function spoil(random: Random, bytes: Uint8Array): Uint8Array {
  switch (pick(random, 5)) {
    case 0:
      return bytes.subarray(0, pick(random, bytes.length));
    case 1: {
      const changed = Uint8Array.from(bytes);
      for (let flips = 1 + pick(random, 4); flips > 0; flips -= 1)
        changed[pick(random, bytes.length)] = pick(random, 256);
      return changed;
    }
    case 2:
      return Uint8Array.from([...bytes, ...random.bytes(pick(random, 40))]);
    case 3:
      return random.bytes(pick(random, 64));
    default:
      return bytes;
  }
}

test(`malformed datagrams (seed ${SEED}) crash nothing, leave nothing behind, and others are served`, async () => {
  const edge = createFakeEdge();
  const random = createSeededRandom(SEED);
  const errors: unknown[] = [];
  const log: Log = { ...silentLog, error: (...entry: unknown[]) => void errors.push(entry) };
  let sent = 0;
  let last: CoapMessage | null = null;
  const send = (bytes: Uint8Array): void => {
    sent += 1;
    last = decodeMessage(bytes);
    if (last === null) throw new Error("The server sent what is no message");
  };
  const server = new CoapServer({ ...edge, random, log }, send);
  const closing = new AbortController();
  const running = server.run(closing.signal);
  let heapBytes = 0;
  for (let datagram = 0; datagram < DATAGRAMS; datagram += 1) {
    server.receive(spoil(random, someMessage(random)), { address: "192.0.2.1", port: pick(random, 5000) });
    if (datagram === WARM_UP) heapBytes = measureLiveHeap(edge);
    // As between two reads of a socket.
    if (datagram % 64 === 0) await Promise.resolve();
    if (datagram % 5000 === 0) {
      edge.clock.advance(1000);
      edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["x"] });
    }
  }
  const good = requestOf({ method: METHOD.post, path: "api/v1/token-b/telemetry", body: '{"good":1}', token: 99 }, 1);
  const message = { type: TYPE.confirmable, code: 0, messageId: 1, token: new Uint8Array(0), options: [], ...good };
  server.receive(encodeMessage({ payload: new Uint8Array(0), ...message }), { address: "192.0.2.2", port: 1 });
  await waitFor("the answer", () => last?.code === 0x41 && last.token[0] === 99, { deadlineMs: 5000, intervalMs: 1 });
  expect(edge.records.some(({ values }) => values === '{"good":1}')).toBe(true);
  expect(measureLiveHeap(edge) - heapBytes).toBeLessThan(HEAP_GROWTH_BYTES_MAX);
  expect(errors).toEqual([]);
  expect(sent).toBeGreaterThan(DATAGRAMS / 4);
  // Of one device one of each kind: attributes and requests.
  expect(server.observers).toBeLessThanOrEqual(2);
  closing.abort();
  await running;
  expect(server.observers).toBe(0);
  expect(edge.listeners).toBe(0);
});

test("decodeMessage() finds in each message what encodeMessage() was given", () => {
  const random = createSeededRandom(SEED);
  for (let round = 0; round < 2000; round += 1) {
    const options = Array.from({ length: pick(random, 5) }, () => ({
      number: pick(random, 3) === 0 ? pick(random, 60_000) : pick(random, 30),
      value: random.bytes(someOf(random, [0, 1, 12, 13, 14, 268, 269, 300])),
    })).toSorted((left, right) => left.number - right.number);
    const message: CoapMessage = {
      type: pick(random, 4) as CoapMessage["type"],
      code: 1 + pick(random, 255),
      messageId: pick(random, 0x10000),
      token: random.bytes(pick(random, 9)),
      options,
      payload: random.bytes(pick(random, 100)),
    };
    expect(decodeMessage(encodeMessage(message))).toEqual(message);
  }
});

test("decodeMessage() takes no message that was cut off", () => {
  const value = new Uint8Array(20).fill(65);
  const whole = encodeMessage({
    type: TYPE.confirmable,
    code: METHOD.post,
    messageId: 1,
    token: Uint8Array.of(1, 2, 3, 4),
    options: [{ number: OPTION.uriPath, value }],
    payload: new Uint8Array(0),
  });
  expect(decodeMessage(whole)?.options).toEqual([{ number: OPTION.uriPath, value }]);
  for (let length = 0; length < whole.length; length += 1) {
    // Without options at all it is one.
    if (length !== 8) expect(decodeMessage(whole.subarray(0, length))).toBeNull();
  }
  // A marker with nothing behind it, a reserved length, another version.
  for (const bytes of [
    [...whole, 0xff],
    [0x49, 1, 0, 1, ...new Uint8Array(9)],
    [0x80, 1, 0, 1],
    [0x40, 1, 0, 1, 0xf0],
  ]) {
    expect(decodeMessage(Uint8Array.from(bytes))).toBeNull();
  }
});
