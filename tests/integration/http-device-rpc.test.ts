import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Hono } from "hono";
import { createDeviceHttpApi } from "../../edge/devices/http-device-api.ts";
import type { AppError } from "../../shared/core/errors.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import type { CallOutcome } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { createFakeEdge, DEVICE_A, type FakeEdge } from "../support/fake-edge.ts";
import { waitFor } from "../support/wait-for.ts";

let edge: FakeEdge;
let api: Hono;
const open: Promise<unknown>[] = [];

beforeEach(() => {
  edge = createFakeEdge();
  const errorResponse = (error: AppError): Response =>
    new Response(error.message, {
      status: error.code === "PAYLOAD_TOO_LARGE" ? 413 : error.code === "TOO_MANY_REQUESTS" ? 429 : 400,
    });
  api = createDeviceHttpApi({ ...edge, errorResponse });
});
afterEach(async () => {
  edge.clock.advance(200_000);
  await Promise.all(open.splice(0));
});

function call(isOneway = false): Promise<CallOutcome> {
  const nowMs = edge.clock.nowMs();
  const params = '{"pin":7}' as CanonicalJson;
  const input = {
    method: "m",
    params,
    isPersistent: false,
    expirationMs: nowMs + 10_000,
    retries: 0,
    additionalInfo: null,
  };
  const record = newRpc(
    { ...input, id: createUuid(edge.clock, systemRandom) },
    { deviceId: DEVICE_A, isOneway, nowMs },
  );
  const outcome = edge.rpcs.call(record);
  open.push(outcome);
  return outcome;
}

async function read(asked: Response | Promise<Response>): Promise<{ status: number; text: string }> {
  const response = await asked;
  return { status: response.status, text: await response.text() };
}
const poll = (query = ""): Promise<{ status: number; text: string }> => read(api.request(`/token-a/rpc${query}`));
const post = (path: string, body: string): Promise<{ status: number; text: string }> =>
  read(api.request(path, { method: "POST", body }));

/** Moves the clock by a second whenever nothing else is to be done, until the answer is there. */
async function later<T>(asking: Promise<T>): Promise<{ answer: T; afterMs: number }> {
  const startMs = edge.clock.nowMs();
  let answered: { answer: T; afterMs: number } | undefined;
  void asking.then((answer) => (answered = { answer, afterMs: edge.clock.nowMs() - startMs }));
  let looks = 0;
  return waitFor(
    "the answer",
    () => {
      looks += 1;
      // The first looks let the request come in.
      if (answered === undefined && looks > 3) edge.clock.advance(1_000);
      return answered;
    },
    { intervalMs: 1 },
  );
}

describe("GET rpc", () => {
  test("waits for the next request, and the answer goes to who asked", async () => {
    const polling = poll();
    const calling = call();
    expect(await polling).toEqual({ status: 200, text: '{"id":0,"method":"m","params":{"pin":7}}' });
    expect(await post("/token-a/rpc/0", '{"on": true}')).toEqual({ status: 200, text: "" });
    expect(await calling).toEqual({ kind: "answered", response: '{"on":true}' as CanonicalJson });
  });

  test("gives one request to each poll, in order", async () => {
    const calls = [call(true), call(true)];
    expect(JSON.parse((await poll()).text)).toMatchObject({ id: 0 });
    expect(JSON.parse((await poll()).text)).toMatchObject({ id: 1 });
    expect(await Promise.all(calls)).toEqual([{ kind: "delivered" }, { kind: "delivered" }]);
  });

  test("is answered with 408 after its time, and takes nothing then", async () => {
    expect(await later(poll("?timeout=1000"))).toEqual({ answer: { status: 408, text: "" }, afterMs: 1_000 });
    const calling = call();
    edge.clock.advance(10_000);
    expect(await calling).toEqual({ kind: "no-connection" });
  });

  test("gets nothing any more when the device is deleted or its token is another one", async () => {
    for (const [isRemoved, answer] of [
      [true, { status: 403, text: "Device was deleted!" }],
      [false, { status: 401, text: "" }],
    ] as const) {
      const polling = poll();
      await waitFor("the poll", () => edge.listeners === 1);
      edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved });
      expect(await polling).toEqual(answer);
      const calling = call();
      edge.clock.advance(10_000);
      expect(await calling).toEqual({ kind: "no-connection" });
    }
  });

  test("needs a token", async () => {
    expect((await read(api.request("/nobody/rpc"))).status).toBe(401);
  });
});

describe("POST rpc/{id}", () => {
  test("of a number that nobody knows is passed over", async () => {
    expect(await post("/token-a/rpc/77", "{}")).toEqual({ status: 200, text: "" });
    expect((await post("/token-a/rpc/x", "{}")).status).toBe(400);
  });

  test("above the limit of an answer is refused", async () => {
    expect((await post("/token-a/rpc/0", `"${"x".repeat(65_536)}"`)).status).toBe(413);
  });
});

describe("POST rpc", () => {
  test("is answered by whoever takes it", async () => {
    expect(await post("/token-a/rpc", '{"method":"echo","params":{"a": 1.0}}')).toEqual({
      status: 200,
      text: '{"a":1.0}',
    });
  });

  test("is answered after 60 s when nobody does", async () => {
    const asking = post("/token-a/rpc", '{"method":"getTime"}');
    expect(await later(asking)).toEqual({ answer: { status: 200, text: '{"error":"timeout"}' }, afterMs: 60_000 });
  });

  test.each(["", "[]", '{"params":{}}', '{"method":7}'])("refuses %p", async (body) => {
    expect((await post("/token-a/rpc", body)).status).toBe(400);
  });

  test("refuses more than ten of one device at once", async () => {
    const asking = Array.from({ length: 11 }, () => post("/token-a/rpc", '{"method":"getTime"}'));
    open.push(...asking);
    // The others wait.
    expect((await Promise.race(asking)).status).toBe(429);
  });
});
