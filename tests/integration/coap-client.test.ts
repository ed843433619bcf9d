import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { CoapServer } from "../../edge/devices/coap-server.ts";
import { listenUdp, type UdpSocket } from "../../edge/runtime/udp-socket.ts";
import { readValue } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { createFakeEdge, DEVICE_A, type FakeEdge } from "../support/fake-edge.ts";
import { waitFor } from "../support/wait-for.ts";

// A stock client that is not on every machine (Debian: libcoap3-bin); the same requests are tested without it in coap-server.test.ts.
const CLIENT = Bun.which("coap-client") ?? Bun.which("coap-client-notls");

let edge: FakeEdge;
let server: CoapServer;
let socket: UdpSocket;
beforeAll(async () => {
  socket = await listenUdp({ host: "127.0.0.1", port: 0, receive: (bytes, peer) => server.receive(bytes, peer) });
});
beforeEach(() => {
  edge = createFakeEdge();
  server = new CoapServer({ ...edge, clock: systemClock, random: systemRandom, log: silentLog }, socket.send);
});
afterAll(() => socket[Symbol.asyncDispose]());

const url = (path: string): string => `coap://127.0.0.1:${socket.port}/${path}`;
const run = (...args: readonly string[]): Promise<string> => Bun.$`${CLIENT ?? ""} ${[...args]} 2>&1`.text();

describe.skipIf(CLIENT === null)("coap-client", () => {
  test("posts telemetry, confirmable or not, and reads attributes", async () => {
    await run("-m", "post", "-e", '{"t":21.5}', url("api/v1/token-a/telemetry"));
    await run("-N", "-m", "post", "-e", '{"t":22.5}', url("api/v1/token-a/telemetry"));
    await waitFor("both records", () => edge.records.length === 2);
    await run("-m", "post", "-e", '{"fw":"v1.2"}', url("api/v1/token-a/attributes"));
    expect((await run(url("api/v1/token-a/attributes?clientKeys=fw"))).trim()).toBe('{"client":{"fw":"v1.2"}}');
    expect(await run("-m", "post", "-e", "{}", url("api/v1/nobody/telemetry"))).toContain("4.01");
  });
  test("sends and gets bodies in blocks", async () => {
    const text = "z".repeat(5000);
    await run("-b", "128", "-m", "post", "-e", JSON.stringify({ text }), url("api/v1/token-a/attributes"));
    expect(edge.client.get("text")).toBe(readValue(JSON.stringify(text)));
    for (const size of ["64", "1024"]) {
      const answer = await run("-b", size, url("api/v1/token-a/attributes?clientKeys=text"));
      expect(JSON.parse(answer)).toEqual({ client: { text } });
    }
  });
  test("observes changes until it says that it has enough", async () => {
    const observing = run("-s", "1", url("api/v1/token-a/attributes"));
    await waitFor("the observation", () => server.observers === 1);
    edge.emit({ kind: "shared-deleted", deviceId: DEVICE_A, keys: ["limit"] });
    expect(await observing).toContain('{"deleted":["limit"]}');
    await waitFor("the end", () => server.observers === 0);
  });
});
