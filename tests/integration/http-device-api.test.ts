import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Hono } from "hono";
import { createDeviceHttpApi } from "../../edge/devices/http-device-api.ts";
import type { DeviceHttpOptions } from "../../edge/devices/http-routes.ts";
import { AppError, type ErrorCode } from "../../shared/core/errors.ts";
import { readValue } from "../../shared/entities/values.ts";
import { serveHttp } from "../../shared/runtime/http-server.ts";
import { createFakeEdge, DEVICE_A, DEVICE_B, type FakeEdge } from "../support/fake-edge.ts";
import { waitFor } from "../support/wait-for.ts";

const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_PAYLOAD: 400,
  INVALID_ARGUMENT: 400,
  NOT_FOUND: 404,
  PAYLOAD_TOO_LARGE: 413,
  TOO_MANY_REQUESTS: 429,
  DATABASE_UNAVAILABLE: 503,
};
const LONG_POLL = "/token-a/attributes/updates";

let edge: FakeEdge;
let api: Hono;

function start(options: DeviceHttpOptions = {}): void {
  edge = createFakeEdge();
  const errorResponse = (error: AppError): Response =>
    Response.json({ message: error.message }, { status: STATUS[error.code] ?? 500 });
  api = createDeviceHttpApi({ ...edge, errorResponse }, options);
}

beforeEach(() => start());
afterEach(() => expect(edge.listeners).toBe(0));

async function post(
  path: string,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream,
): Promise<{ status: number; text: string }> {
  return read(await api.request(path, { method: "POST", body }));
}

async function get(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  return read(await api.request(path, init));
}

async function read(response: Response): Promise<{ status: number; text: string }> {
  return { status: response.status, text: await response.text() };
}

function eventually(condition: () => boolean): Promise<true> {
  return waitFor("what the test is about", condition, { deadlineMs: 5000, intervalMs: 1 });
}

describe("POST telemetry", () => {
  test("stores and answers an empty 200", async () => {
    expect(await post("/token-a/telemetry", '[{"ts":5,"values":{"t":21.0}},{"n":1}]')).toEqual({
      status: 200,
      text: "",
    });
    expect(edge.records).toEqual([
      { entityId: DEVICE_A, tsMs: 5, values: readValue('{"t":21.0}'), keySet: "t" },
      { entityId: DEVICE_A, tsMs: edge.clock.nowMs(), values: readValue('{"n":1}'), keySet: "n" },
    ]);
  });
  test("of nothing is accepted", async () => {
    expect((await post("/token-a/telemetry", "{}")).status).toBe(200);
    expect(edge.records).toEqual([]);
  });
  test("is not answered before the commit", async () => {
    edge.hold();
    let status = 0;
    const answer = post("/token-a/telemetry", '{"t":1}').then((result) => (status = result.status));
    await eventually(() => edge.held === 1);
    expect(status).toBe(0);
    edge.release();
    expect(await answer).toBe(200);
  });
  test("is an error when nothing was stored", async () => {
    edge.fail(new AppError("DATABASE_UNAVAILABLE", "down"));
    expect((await post("/token-a/telemetry", '{"t":1}')).status).toBe(503);
  });
  test("of messages within one ms keeps each", async () => {
    for (const value of ["1", "2", "3"]) await post("/token-a/telemetry", `{"t":${value}}`);
    expect(new Set(edge.records.map(({ tsMs }) => tsMs)).size).toBe(3);
  });
});

describe("POST attributes", () => {
  test("stores them in the client scope and answers an empty 200", async () => {
    expect(await post("/token-a/attributes", '{"fw":"1.2"}')).toEqual({ status: 200, text: "" });
    expect([...edge.client]).toEqual([["fw", readValue('"1.2"')]]);
  });
});

describe("GET attributes", () => {
  test("answers the groups that were asked for", async () => {
    edge.client.set("a", readValue("1")).set("b", readValue("2"));
    edge.shared.set("c", readValue("3.0"));
    for (const [query, answer] of [
      ["", '{"client":{"a":1,"b":2},"shared":{"c":3.0}}'],
      ["?client_keys=a&shared_keys=c", '{"client":{"a":1,"b":2},"shared":{"c":3.0}}'],
      ["?clientKeys=a,x&sharedKeys=c", '{"client":{"a":1},"shared":{"c":3.0}}'],
      ["?sharedKeys=c", '{"shared":{"c":3.0}}'],
      ["?clientKeys=x", "{}"],
    ] as const) {
      expect(await get(`/token-a/attributes${query}`)).toEqual({ status: 200, text: answer });
    }
  });
});

describe("GET attributes/updates", () => {
  async function waiting(
    query = "",
    init: RequestInit = {},
  ): Promise<{ answer: Promise<{ status: number; text: string }> }> {
    const before = edge.listeners;
    const answer = get(LONG_POLL + query, init);
    await eventually(() => edge.listeners > before);
    return { answer };
  }
  test("answers the next change of the device", async () => {
    const { answer } = await waiting();
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_B, keys: ["other"] });
    edge.emit({
      kind: "shared-saved",
      deviceId: DEVICE_A,
      attributes: [{ key: "limit", value: readValue("3"), updatedMs: 1 }],
    });
    expect(await answer).toEqual({ status: 200, text: '{"limit":3}' });
  });
  test("answers a deletion", async () => {
    const { answer } = await waiting();
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["limit"] });
    expect(await answer).toEqual({ status: 200, text: '{"deleted":["limit"]}' });
  });
  test("answers an empty 408 after the time asked for, or 60 s", async () => {
    for (const [query, timeoutMs] of [
      ["?timeout=20000", 20_000],
      ["", 60_000],
    ] as const) {
      const { answer } = await waiting(query);
      edge.clock.advance(timeoutMs - 1);
      expect(edge.listeners).toBe(1);
      edge.clock.advance(1);
      expect(await answer).toEqual({ status: 408, text: "" });
    }
  });
  test("answers 403 when the device is deleted, and 401 when its token is another one", async () => {
    const { answer: deleted } = await waiting();
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: true });
    expect(await deleted).toEqual({ status: 403, text: "Device was deleted!" });
    const { answer: renewed } = await waiting();
    edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: false });
    expect(await renewed).toEqual({ status: 401, text: "" });
  });
  test("ends when the client goes away", async () => {
    const client = new AbortController();
    const { answer } = await waiting("", { signal: client.signal });
    client.abort();
    expect((await answer).status).toBe(408);
  });
  test("refuses a timeout that is no number", async () => {
    expect((await get(`${LONG_POLL}?timeout=soon`)).status).toBe(400);
  });
  test("refuses more waits than the limit", async () => {
    start({ waitsMax: 1 });
    const { answer } = await waiting();
    expect((await get(LONG_POLL)).status).toBe(429);
    edge.clock.advance(60_000);
    expect((await answer).status).toBe(408);
  });
});

describe("POST claim", () => {
  test("opens a window, of 24 h when the device does not say, with or without a body", async () => {
    for (const body of ['{"secretKey":"s","durationMs":60000}', "{}", ""]) {
      expect(await post("/token-a/claim", body)).toEqual({ status: 200, text: "" });
    }
    const byDefault = { deviceId: DEVICE_A, secretKey: "", durationMs: 86_400_000 };
    expect(edge.claims).toEqual([{ deviceId: DEVICE_A, secretKey: "s", durationMs: 60_000 }, byDefault, byDefault]);
  });
  test("of another shape is answered with 400", async () => {
    for (const body of ["[]", "5", "{", '{"secretKey":5}', '{"durationMs":-1}', '{"durationMs":1e300}']) {
      expect((await post("/token-a/claim", body)).status).toBe(400);
    }
    expect((await post("/nobody/claim", "")).status).toBe(401);
  });
});

describe("POST provision", () => {
  const CREDENTIALS = { credentialsType: "ACCESS_TOKEN", credentialsId: "t", credentialsValue: null } as const;
  test("answers 200 with the status, whatever it is", async () => {
    const failures = { NOT_FOUND: "Provision data was not found!", FAILURE: "Failed to provision device!" };
    for (const [status, errorMsg] of Object.entries(failures)) {
      edge.provisioned = { status: status as keyof typeof failures };
      const answer = await post("/provision", '{"provisionDeviceKey":"k","provisionDeviceSecret":"s"}');
      expect([answer.status, JSON.parse(answer.text)]).toEqual([200, { status, errorMsg }]);
    }
    edge.provisioned = { status: "SUCCESS", credentials: CREDENTIALS };
    expect(JSON.parse((await post("/provision", "{}")).text)).toEqual({
      status: "SUCCESS",
      credentialsType: "ACCESS_TOKEN",
      credentialsValue: "t",
    });
    const [request] = edge.provisionRequests;
    expect(request).toEqual({ deviceName: "", key: "k", secret: "s", isGateway: false, credentials: null });
  });
  test("hands over what the device wants to sign in with, and shows a login as an object", async () => {
    const login = { clientId: "c", userName: "u", password: "p" };
    const credentials = {
      credentialsType: "MQTT_BASIC",
      credentialsId: "",
      credentialsValue: JSON.stringify(login),
    } as const;
    edge.provisioned = { status: "SUCCESS", credentials };
    const wanted = { credentialsType: "MQTT_BASIC", username: "u", password: "p", clientId: "c" };
    const answer = await post("/provision", JSON.stringify({ deviceName: "A", gateway: true, ...wanted }));
    expect(JSON.parse(answer.text)).toMatchObject({ credentialsType: "MQTT_BASIC", credentialsValue: login });
    expect(edge.provisionRequests).toMatchObject([{ deviceName: "A", isGateway: true, credentials }]);
    await post("/provision", '{"credentialsType":"X509_CERTIFICATE","hash":"pem"}');
    await post("/provision", '{"credentialsType":"ACCESS_TOKEN","token":"t"}');
    expect(edge.provisionRequests.slice(1).map((request) => request.credentials)).toEqual([
      { credentialsType: "X509_CERTIFICATE", credentialsId: "", credentialsValue: "pem" },
      CREDENTIALS,
    ]);
  });
  test("of another shape is answered with 400", async () => {
    for (const body of ["", "[]", "{", '{"deviceName":5}', '{"credentialsType":"LWM2M_CREDENTIALS"}']) {
      expect((await post("/provision", body)).status).toBe(400);
    }
  });
});

describe("GET firmware and software", () => {
  const FILE = Uint8Array.from({ length: 2000 }, (_, at) => at % 251);
  async function load(query: string): Promise<{ status: number; bytes: Uint8Array; headers: Headers }> {
    const response = await api.request(`/token-a/${query}`);
    return { status: response.status, bytes: await response.bytes(), headers: response.headers };
  }
  test("answers all of the file with its name", async () => {
    edge.files.set("SOFTWARE", FILE);
    const { bytes, headers, status } = await load("software?title=Pump&version=1.2");
    expect(status).toBe(200);
    expect(bytes).toEqual(FILE);
    expect(headers.get("content-length")).toBe("2000");
    expect(headers.get("x-filename")).toBe("pump%201.bin");
    expect(headers.get("content-disposition")).toBe("attachment;filename=pump%201.bin");
  });
  test("answers one part, the last one as it is, and nothing behind the end", async () => {
    edge.files.set("FIRMWARE", FILE);
    for (const [query, from, to] of [
      ["size=1500", 0, 1500],
      ["size=1500&chunk=1", 1500, 2000],
      ["size=1500&chunk=2", 2000, 2000],
      ["size=0", 0, 0],
    ] as const) {
      const { bytes, status } = await load(`firmware?${query}`);
      expect(status).toBe(200);
      expect(bytes).toEqual(FILE.slice(from, to));
    }
  });
  test("answers 404 without a package, 400 for another one, 401 without a token", async () => {
    expect((await load("firmware")).status).toBe(404);
    edge.files.set("FIRMWARE", FILE);
    for (const query of ["title=Other", "version=1", "size=x", "size=1&chunk=-1"]) {
      expect((await load(`firmware?${query}`)).status).toBe(400);
    }
    expect((await get("/nobody/firmware")).status).toBe(401);
  });
});

describe("bad input", () => {
  test("an unknown token is answered with an empty 401", async () => {
    for (const path of ["/nobody/telemetry", "/nobody/attributes"]) {
      expect(await post(path, '{"a":1}')).toEqual({ status: 401, text: "" });
    }
    expect(await get("/nobody/attributes")).toEqual({ status: 401, text: "" });
    expect(await get("/nobody/attributes/updates")).toEqual({ status: 401, text: "" });
  });
  test("bad JSON or shape is answered with 400 and what was expected", async () => {
    for (const body of ["", "{", "5", "null", "{'a':1}", '{"a":NaN}', new Uint8Array([0x7b, 0xff, 0x7d])]) {
      for (const path of ["/token-a/telemetry", "/token-a/attributes"]) {
        const answer = await post(path, body);
        expect(answer.status).toBe(400);
        expect(answer.text).toContain("Expected");
        expect(edge.errors.last(DEVICE_A)?.reason).toContain("Expected");
      }
    }
  });
  test("a body above the limit is answered with 413, with and without a declared length", async () => {
    start({ bodyBytesMax: 100 });
    const body = `{"a":"${"x".repeat(100)}"}`;
    const bytes = new TextEncoder().encode(body);
    expect(
      (
        await api.request("/token-a/telemetry", {
          method: "POST",
          body,
          headers: { "content-length": `${bytes.length}` },
        })
      ).status,
    ).toBe(413);
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(bytes.subarray(0, 60));
        controller.enqueue(bytes.subarray(60));
        controller.close();
      },
    });
    expect((await post("/token-a/telemetry", stream)).status).toBe(413);
    expect((await post("/token-a/telemetry", '{"a":1}')).status).toBe(200);
  });
  test("an unknown route is answered with 404", async () => {
    for (const path of ["/token-a", "/token-a/nothing", "/token-a/telemetry/x", "/"])
      expect((await get(path)).status).toBe(404);
    expect((await get("/token-a/telemetry")).status).toBe(404);
  });
});

describe("curl", () => {
  const curl = Bun.which("curl");
  // A stock client that is not on every machine; the same requests are tested with fetch above.
  test.skipIf(curl === null)("posts and reads", async () => {
    await using server = serveHttp({ host: "127.0.0.1", port: 0, fetch: (request) => api.fetch(request) });
    const run = async (...args: string[]): Promise<string> => Bun.$`curl -s -w %{http_code} ${args}`.text();
    expect(await run("-d", '{"t":21.5}', `${server.url}/token-a/telemetry`)).toBe("200");
    expect(await run("-H", "Transfer-Encoding: chunked", "-d", '{"fw":"x"}', `${server.url}/token-a/attributes`)).toBe(
      "200",
    );
    expect(await run(`${server.url}/token-a/attributes`)).toBe('{"client":{"fw":"x"}}200');
    expect(await run("-d", "{", `${server.url}/nobody/telemetry`)).toBe("401");
    expect(edge.records.length).toBe(1);
  });
});
