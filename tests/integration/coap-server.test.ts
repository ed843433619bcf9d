import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  blockOption,
  METHOD,
  OPTION,
  readBlock,
  readUint,
  TYPE,
  type CoapMessage,
} from "../../edge/devices/coap-message.ts";
import { AppError } from "../../shared/core/errors.ts";
import { readValue } from "../../shared/entities/values.ts";
import { type CoapBed, OBSERVE, OBSERVE_NO_MORE, openCoapBed, requestOf } from "../support/coap-bed.ts";
import { DEVICE_A, DEVICE_B } from "../support/fake-edge.ts";
import { waitFor } from "../support/wait-for.ts";

const TELEMETRY = "api/v1/token-a/telemetry";
const ATTRIBUTES = "api/v1/token-a/attributes";
const { post } = METHOD;

let bed: CoapBed;
beforeEach(() => {
  bed = openCoapBed();
});

/** `2.05 {"a":1}` */
function shown({ code, payload }: CoapMessage): string {
  return `${code >> 5}.${String(code & 31).padStart(2, "0")} ${new TextDecoder().decode(payload)}`.trim();
}
const eventually = (what: string, condition: () => boolean) =>
  waitFor(what, condition, { deadlineMs: 5000, intervalMs: 1 });

describe("POST", () => {
  test("stores telemetry, attributes and a claim, and answers 2.01", async () => {
    expect(shown(await bed.ask({ method: post, path: TELEMETRY, body: '[{"t":21.0}]' }))).toBe("2.01");
    expect(shown(await bed.ask({ method: post, path: ATTRIBUTES, body: '{"fw":"1"}' }))).toBe("2.01");
    expect(shown(await bed.ask({ method: post, path: "api/v1/token-a/claim" }))).toBe("2.01");
    expect(bed.edge.records).toMatchObject([{ entityId: DEVICE_A, values: '{"t":21.0}' }]);
    expect([...bed.edge.client]).toEqual([["fw", readValue('"1"')]]);
    expect(bed.edge.claims).toMatchObject([{ deviceId: DEVICE_A, secretKey: "" }]);
  });
  test("is not answered before the commit, and with 5.03 when nothing was stored", async () => {
    bed.edge.hold();
    const answer = bed.ask({ method: post, path: TELEMETRY, body: '{"t":1}' });
    await eventually("the save", () => bed.edge.held === 1);
    expect(bed.sent).toEqual([]);
    bed.edge.fail(new AppError("DATABASE_UNAVAILABLE", "down"));
    expect(shown(await answer)).toBe("5.03");
  });
  test("that is repeated is answered again and stored once", async () => {
    const request = { method: post, path: TELEMETRY, body: '{"t":1}', messageId: 77 };
    const first = await bed.ask(request);
    expect(await bed.ask(request)).toEqual(first);
    expect(bed.edge.records.length).toBe(1);
    await bed.ask({ ...request, port: 1 });
    expect(bed.edge.records.length).toBe(2);
  });
  test("that is repeated while it is served is acknowledged, and answered by itself later", async () => {
    bed.edge.hold();
    const request = requestOf({ method: post, path: TELEMETRY, body: '{"t":1}' }, 5);
    bed.receive(request);
    await eventually("the save", () => bed.edge.held === 1);
    bed.receive(request);
    expect(await bed.take()).toMatchObject({ type: TYPE.acknowledgement, code: 0, messageId: 5 });
    bed.edge.release();
    const answer = await bed.take();
    expect(answer).toMatchObject({ type: TYPE.confirmable, code: 0x41, token: Uint8Array.of(7) });
    bed.acknowledge(answer);
    expect(bed.edge.records.length).toBe(1);
  });
  test("that needs no acknowledgement is answered alike", async () => {
    const answer = await bed.ask({ method: post, path: TELEMETRY, body: "{}", type: TYPE.nonConfirmable });
    expect(answer).toMatchObject({ type: TYPE.nonConfirmable, code: 0x41 });
  });
  test("makes a device known, and says when it could not", async () => {
    const path = "api/v1/provision";
    expect(shown(await bed.ask({ method: post, path, body: "{}" }))).toStartWith('4.00 {"status":"NOT_FOUND"');
    const credentials = { credentialsType: "ACCESS_TOKEN", credentialsId: "t", credentialsValue: null } as const;
    bed.edge.provisioned = { status: "SUCCESS", credentials };
    const answer = await bed.ask({ method: post, path, body: '{"deviceName":"A"}' });
    expect(shown(answer)).toBe('2.01 {"status":"SUCCESS","credentialsType":"ACCESS_TOKEN","credentialsValue":"t"}');
    expect(readUint(answer, OPTION.contentFormat)).toBe(50);
  });
});

describe("GET attributes", () => {
  test("answers the groups that were asked for, and 4.04 when there is nothing", async () => {
    bed.edge.client.set("a", readValue("1"));
    bed.edge.shared.set("c", readValue("3.0"));
    for (const [query, answer] of [
      ["", '2.05 {"client":{"a":1},"shared":{"c":3.0}}'],
      ["?clientKeys=a", '2.05 {"client":{"a":1}}'],
      ["?clientKeys=x&sharedKeys=y", "4.04"],
    ] as const) {
      expect(shown(await bed.ask({ path: ATTRIBUTES + query }))).toBe(answer);
    }
  });
});

describe("observation", () => {
  afterEach(async () => {
    bed.edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: true });
    expect(bed.edge.listeners).toBe(0);
  });
  const observe = (token = 7, port?: number) =>
    bed.ask({ path: ATTRIBUTES, token, options: [OBSERVE], ...(port === undefined ? {} : { port }) });

  test("answers all shared attributes, then each change, one after the other", async () => {
    bed.edge.shared.set("limit", readValue("1"));
    const first = await observe();
    expect(shown(first)).toBe('2.05 {"limit":1}');
    bed.emitShared(DEVICE_A, "limit", "2");
    bed.emitShared(DEVICE_B, "limit", "9");
    bed.edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["limit"] });
    const second = await bed.take();
    expect(second).toMatchObject({ type: TYPE.confirmable, token: Uint8Array.of(7) });
    expect(shown(second)).toBe('2.05 {"limit":2}');
    // The next one waits for the acknowledgement.
    expect(bed.sent).toEqual([]);
    bed.acknowledge(second);
    const third = await bed.take();
    expect(shown(third)).toBe('2.05 {"deleted":["limit"]}');
    const sequences = [first, second, third].map((message) => readUint(message, OPTION.observe) ?? 0);
    expect(sequences).toEqual(sequences.toSorted((left, right) => left - right));
    expect(new Set(sequences).size).toBe(3);
  });
  test("tells of a change that comes while the first answer is on its way, behind it", async () => {
    bed.edge.delayDirectory(Promise.resolve());
    const first = observe();
    await eventually("the watch", () => bed.edge.listeners === 1);
    bed.emitShared(DEVICE_A, "limit", "2");
    expect(shown(await first)).toBe("2.05 {}");
    expect(shown(await bed.take())).toBe('2.05 {"limit":2}');
  });
  test("repeats news until the device acknowledges them, and gives up at last", async () => {
    await observe();
    bed.emitShared(DEVICE_A, "limit", "2");
    const sent = await bed.take();
    for (let repeat = 1; repeat <= 4; repeat += 1) {
      bed.edge.clock.advance(100_000);
      expect(await bed.take()).toEqual(sent);
    }
    bed.edge.clock.advance(100_000);
    await eventually("the end", () => bed.server.observers === 0);
    expect(bed.sent).toEqual([]);
  });
  test("ends when the device resets its news, or asks for the end", async () => {
    await observe();
    bed.emitShared(DEVICE_A, "limit", "2");
    const { messageId } = await bed.take();
    bed.receive({ type: TYPE.reset, messageId });
    await eventually("the end", () => bed.server.observers === 0);
    await observe();
    expect(bed.server.observers).toBe(1);
    const last = await bed.ask({ path: ATTRIBUTES, options: [OBSERVE_NO_MORE] });
    expect([shown(last), readUint(last, OPTION.observe)]).toEqual(["2.05 {}", undefined]);
    expect(bed.server.observers).toBe(0);
  });
  test("with another token ends the one before with 2.02, and begins anew with the same one", async () => {
    await observe(1);
    await observe(1);
    expect(bed.sent).toEqual([]);
    const ended = await observe(2);
    const begun = await bed.take();
    const byToken = [ended, begun].toSorted((left, right) => (left.token[0] ?? 0) - (right.token[0] ?? 0));
    expect(byToken.map(shown)).toEqual(["2.02", "2.05 {}"]);
    expect(bed.server.observers).toBe(1);
  });
  test("ends with 4.01 when the device's access ends, of changes and of requests", async () => {
    await observe();
    await bed.ask({ path: "api/v1/token-a/rpc", token: 8, options: [OBSERVE] });
    expect(bed.server.observers).toBe(2);
    bed.edge.emit({ kind: "access-ended", deviceId: DEVICE_B, isRemoved: false });
    expect(bed.server.observers).toBe(2);
    bed.edge.emit({ kind: "access-ended", deviceId: DEVICE_A, isRemoved: false });
    const ended = [await bed.take(), await bed.take()];
    expect(ended.map((message) => [shown(message), message.token[0]])).toEqual([
      ["4.01", 7],
      ["4.01", 8],
    ]);
    expect(bed.server.observers).toBe(0);
  });
  test("of a device that does not keep up ends", async () => {
    await observe();
    for (let change = 0; change < 102; change += 1) bed.emitShared(DEVICE_A, "n", String(change));
    expect(bed.server.observers).toBe(0);
  });
  test("beyond the limit is answered once", async () => {
    bed = openCoapBed({ observersMax: 0 });
    const answer = await observe();
    expect([shown(answer), readUint(answer, OPTION.observe)]).toEqual(["2.05 {}", undefined]);
    expect(bed.edge.listeners).toBe(0);
  });
});

describe("rpc", () => {
  test("to a device comes while it observes, and its answer counts", async () => {
    const first = await bed.ask({ path: "api/v1/token-a/rpc", options: [OBSERVE] });
    expect([shown(first), readUint(first, OPTION.observe)]).toEqual(["2.03", 1]);
    const nowMs = bed.edge.clock.nowMs();
    const outcome = bed.edge.rpcs.call({
      id: DEVICE_B,
      deviceId: DEVICE_A,
      method: "setGpio",
      params: readValue('{"pin":7}'),
      isOneway: false,
      isPersistent: false,
      retries: 0,
      additionalInfo: null,
      createdMs: nowMs,
      expirationMs: nowMs + 60_000,
      steps: [],
      response: null,
    });
    const request = await bed.take();
    expect(shown(request)).toMatch(/^2\.05 \{"id":[0-9]+,"method":"setGpio","params":\{"pin":7\}\}$/);
    bed.acknowledge(request);
    const number = /"id":([0-9]+)/.exec(shown(request))?.[1];
    const answered = await bed.ask({ method: post, path: `api/v1/token-a/rpc/${number}`, body: '{"ok":true}' });
    expect(shown(answered)).toBe("2.01");
    expect(JSON.stringify(await outcome)).toContain("ok");
    bed.receive({ messageId: 1 });
    await bed.take();
    await bed.ask({ path: "api/v1/token-a/rpc", options: [OBSERVE_NO_MORE] });
    expect(bed.server.observers).toBe(0);
  });
  test("of a device is answered", async () => {
    const body = '{"method":"echo","params":{"a":1}}';
    expect(shown(await bed.ask({ method: post, path: "api/v1/token-a/rpc", body }))).toStartWith("2.05 ");
    expect(shown(await bed.ask({ method: post, path: "api/v1/token-a/rpc", body: "{" }))).toStartWith("4.00");
    expect(shown(await bed.ask({ method: post, path: "api/v1/token-a/rpc/x", body: "{}" }))).toStartWith("4.00");
  });
});

describe("blocks", () => {
  const block1 = (number: number, hasMore: boolean, size = 16) => blockOption(OPTION.block1, { number, hasMore, size });
  const block2 = (number: number, size = 64) => blockOption(OPTION.block2, { number, hasMore: false, size });
  const body = '{"text":"0123456789012345"}';
  const send = (number: number, hasMore: boolean, text: string) =>
    bed.ask({ method: post, path: ATTRIBUTES, body: text, options: [block1(number, hasMore)] });

  test("of a request are put together", async () => {
    const first = await send(0, true, body.slice(0, 16));
    expect(shown(first)).toBe("2.31");
    expect(readBlock(first, OPTION.block1)).toEqual({ number: 0, hasMore: true, size: 16 });
    expect(shown(await send(1, false, body.slice(16)))).toBe("2.01");
    expect(bed.edge.client.get("text")).toBe(readValue('"0123456789012345"'));
  });
  test("of a request that miss one, or are not full, are refused", async () => {
    expect(shown(await send(1, false, "x"))).toStartWith("4.08");
    await send(0, true, body.slice(0, 16));
    expect(shown(await send(2, false, "x"))).toStartWith("4.08");
    expect(shown(await send(0, true, "x"))).toStartWith("4.00");
  });
  test("above the limit of a body are refused with 4.13", async () => {
    bed = openCoapBed({ bodyBytesMax: 20 });
    await send(0, true, body.slice(0, 16));
    expect(shown(await send(1, false, body.slice(16)))).toStartWith("4.13");
  });
  test("are forgotten when they don't go on", async () => {
    await send(0, true, body.slice(0, 16));
    bed.edge.clock.advance(61_000);
    expect(shown(await send(1, false, body.slice(16)))).toStartWith("4.08");
  });
  test("of a large answer are of one answer, whatever changes meanwhile", async () => {
    const text = "y".repeat(150);
    bed.edge.client.set("text", readValue(JSON.stringify(text)));
    const parts: CoapMessage[] = [];
    for (let number = 0; ; number += 1) {
      const part = await bed.ask({ path: ATTRIBUTES, options: [block2(number)] });
      parts.push(part);
      bed.edge.client.set("text", readValue('"changed"'));
      if (readBlock(part, OPTION.block2)?.hasMore !== true) break;
    }
    const whole = parts.map(({ payload }) => new TextDecoder().decode(payload)).join("");
    expect(JSON.parse(whole)).toEqual({ client: { text } });
    expect(new Set(parts.map((part) => readUint(part, OPTION.etag))).size).toBe(1);
  });
});

describe("GET of a package", () => {
  const file = Uint8Array.from({ length: 2500 }, (_, at) => at % 251);
  async function load(path: string, size = 1024): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let number = 0; ; number += 1) {
      const block = blockOption(OPTION.block2, { number, hasMore: false, size });
      const part = await bed.ask({ path, options: number === 0 ? [] : [block] });
      expect(part.code).toBe(0x45);
      parts.push(part.payload);
      if (readBlock(part, OPTION.block2)?.hasMore !== true) return Buffer.concat(parts);
    }
  }
  test("answers all of it, or one part, in blocks", async () => {
    bed.edge.files.set("FIRMWARE", file);
    expect(Buffer.from(file).equals(await load("fw/token-a"))).toBe(true);
    expect(Buffer.from(file.subarray(1500)).equals(await load("fw/token-a?size=1500&chunk=1"))).toBe(true);
  });
  test("answers 4.04 without one, 4.00 for another one, 4.01 without a token", async () => {
    expect(shown(await bed.ask({ path: "sw/token-a" }))).toStartWith("4.04");
    bed.edge.files.set("SOFTWARE", file);
    expect(shown(await bed.ask({ path: "sw/token-a?version=9" }))).toStartWith("4.00");
    expect(shown(await bed.ask({ path: "sw/nobody" }))).toBe("4.01");
    expect(shown(await bed.ask({ path: "sw" }))).toBe("4.01");
  });
});

describe("bad input", () => {
  test.each([
    [{ path: "api/v1/nobody/telemetry", method: post, body: "{}" }, "4.01"],
    [{ path: "api/v1" }, "4.01"],
    [{ path: "anything" }, "4.01"],
    [{ path: TELEMETRY, method: post, body: "{" }, "4.00"],
    [{ path: TELEMETRY }, "4.00"],
    [{ path: "api/v1/token-a/nothing", method: post, body: "{}" }, "4.00"],
    [{ path: "api/v1/token-a" }, "4.00"],
    [{ path: TELEMETRY, method: 0x03, body: "{}" }, "4.05"],
    [{ path: TELEMETRY, method: post, options: [{ number: 9, value: Uint8Array.of(1) }] }, "4.02"],
    [{ path: TELEMETRY, method: post, options: [{ number: 35, value: Uint8Array.of(1) }] }, "5.05"],
    [{ path: TELEMETRY, method: post, options: [{ number: 27, value: Uint8Array.of(7) }] }, "4.00"],
    [{ path: ATTRIBUTES, options: [{ number: 23, value: Uint8Array.of(0, 0, 0, 0) }] }, "2.05"],
  ])("%j is answered with %s", async (request, expected) => {
    bed.edge.client.set("a", readValue("1"));
    expect(shown(await bed.ask(request))).toStartWith(expected);
  });
  test("a ping is answered with a reset, and so is an answer to nothing", async () => {
    bed.receive({ messageId: 9 });
    expect(await bed.take()).toMatchObject({ type: TYPE.reset, code: 0, messageId: 9 });
    bed.receive({ messageId: 10, code: 0x45 });
    expect(await bed.take()).toMatchObject({ type: TYPE.reset, code: 0, messageId: 10 });
  });
  test("more requests than can be served at once are answered with 5.03", async () => {
    bed = openCoapBed({ requestsMax: 1 });
    bed.edge.hold();
    bed.receive(requestOf({ method: post, path: TELEMETRY, body: '{"t":1}' }, 1));
    const busy = await bed.ask({ method: post, path: TELEMETRY, body: '{"t":2}', messageId: 500 });
    expect([shown(busy), readUint(busy, OPTION.maxAge)]).toEqual(["5.03", 30]);
    bed.edge.release();
    expect(shown(await bed.take())).toBe("2.01");
  });
});
