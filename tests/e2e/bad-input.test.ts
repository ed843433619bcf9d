import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import type { CloudProcess } from "../support/processes.ts";
import { createTestBed, withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { within } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

let shared: TestBed;
let cloud: CloudProcess;
let site: Site;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
  site = await shared.startSite(cloud);
});
afterAll(async () => await shared[Symbol.asyncDispose]());

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body, { shared }));
}

/** What no protocol begins with, what begins like one and goes on wrong, and what promises more than it sends. */
const GARBAGE: readonly Uint8Array[] = [
  new Uint8Array(4096).fill(0),
  new Uint8Array(4096).fill(0xff),
  Uint8Array.from({ length: 65_536 }, (_, index) => (index * 7919) % 256),
  Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
  Buffer.from("POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{"),
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame of that protocol"),
  Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, 0x4d, 0x51, 0x54, 0x54]),
  Buffer.from([0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 99, 2, 0, 60, 0, 0]),
  Buffer.from([0x30, 0x05, 0, 3, 0x61, 0x2f, 0x62]),
  Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
];

/** Sends and waits for the end of the connection, or ends it: some protocols wait for more. */
async function sendBytes(port: number, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, () => setTimeout(() => socket.destroy(), 50)));
    socket.resume();
    socket.on("error", () => undefined);
    socket.once("close", () => resolve());
  });
}

async function expectBothWell(bed: TestBed): Promise<void> {
  expect(cloud.isRunning && site.edge.isRunning).toBe(true);
  for (const { addresses } of [cloud, site.edge]) {
    expect((await fetch(`${addresses.http}/healthz`)).status).toBe(200);
    expect((await fetch(`${addresses.http}/readyz`)).status).toBe(200);
  }
  const device = await site.edgeApi.createDevice(`Witness ${bed.dir}`);
  const mqtt = await bed.connectDevice(site.edge, device.token);
  const readings = makeReadings(5);
  await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
  await expectHistory(site.cloudApi, device.id, readings);
}

describe("garbage bytes", () => {
  scenario("on each port stop no process and disturb nobody else", async (bed) => {
    const { edge } = site;
    const pids = [cloud.pid, edge.pid];
    const addresses = [edge.addresses.mqtt, edge.addresses.http, cloud.addresses.http, cloud.addresses.rpc];
    for (const address of addresses) {
      const port = Number(new URL(address).port);
      await within(`garbage on ${address}`, 20_000, Promise.all(GARBAGE.map((bytes) => sendBytes(port, bytes))));
    }
    await expectBothWell(bed);
    expect([cloud.pid, edge.pid]).toEqual(pids);
  });
});

describe("device API", () => {
  scenario("answers bad messages over HTTP with the documented status", async (bed) => {
    const device = await site.edgeApi.createDevice("Sloppy");
    const url = (path: string): string => `${site.edge.addresses.http}/api/v1/${path}`;
    const post = async (path: string, body: string): Promise<number> =>
      (await fetch(url(path), { method: "POST", body })).status;
    for (const body of [
      "{",
      "[1]",
      "21",
      '"x"',
      "null",
      '{"ts":"x","values":{"a":1}}',
      '{"ts":1,"values":3}',
      "\u0000",
    ]) {
      expect([body, await post(`${device.token}/telemetry`, body)]).toEqual([body, 400]);
    }
    expect(await post("no-such-token/telemetry", '{"a":1}')).toBe(401);
    expect(await post(`${device.token}/nothing`, "{}")).toBe(404);
    expect(await post(`${device.token}/telemetry`, `{"a":"${"x".repeat(53_000_000)}"}`)).toBe(413);
    expect(await post(`${device.token}/telemetry`, '{"a":1}')).toBe(200);
    await expectBothWell(bed);
  });

  scenario("closes an MQTT connection that sends bad JSON, and serves the next one", async (bed) => {
    const device = await site.edgeApi.createDevice("Broken firmware");
    const mqtt = await bed.connectDevice(site.edge, device.token);
    const closed = new Promise<void>((resolve) => mqtt.client.once("close", () => resolve()));
    mqtt.client.publish("v1/devices/me/telemetry", "{broken", { qos: 1 });
    await within("the connection to be closed", 10_000, closed);
    await mqtt[Symbol.asyncDispose]();
    await expectBothWell(bed);
  });

  scenario("refuses an unknown token and keeps a connection that publishes to an unknown topic", async (bed) => {
    await expect(bed.connectDevice(site.edge, "no-such-token")).rejects.toThrow(/Not authorized/);
    const device = await site.edgeApi.createDevice("Curious");
    const mqtt = await bed.connectDevice(site.edge, device.token);
    await mqtt.publish("v1/somewhere/else", { a: 1 });
    expect(await mqtt.subscribe("some/filter/#")).toBe(128);
    expect(mqtt.isConnected).toBe(true);
    await mqtt.sendTelemetry({ a: 1 });
  });
});

describe("REST API", () => {
  scenario("answers malformed requests with an error object and status 400, 401 or 404", async (bed) => {
    for (const { addresses } of [cloud, site.edge]) {
      const send = async (path: string, init: RequestInit): Promise<number> =>
        (await fetch(`${addresses.http}${path}`, init)).status;
      const json = { "Content-Type": "application/json" };
      expect(await send("/api/auth/login", { method: "POST", headers: json, body: "{" })).toBe(401);
      expect(await send("/api/tenant/devices?pageSize=10&page=0", {})).toBe(401);
      const forged = { "X-Authorization": "Bearer a.b.c" };
      expect(await send("/api/tenant/devices?pageSize=10&page=0", { headers: forged })).toBe(401);
    }
    for (const api of [site.cloudApi, site.edgeApi]) {
      const status = async (method: string, path: string, body?: unknown): Promise<number> =>
        await api.request(method, path, body).then(
          () => 200,
          (error: unknown) => (error as { status: number }).status,
        );
      expect(await status("GET", "/api/device/not-a-uuid")).toBe(400);
      expect(await status("GET", "/api/device/784f394c-42b6-435a-983c-b7beff2784f9")).toBe(404);
      expect(await status("POST", "/api/device", { name: 7 })).toBe(400);
      expect(await status("POST", "/api/device", {})).toBe(400);
      expect(await status("GET", "/api/tenant/devices?pageSize=0&page=0")).toBe(400);
    }
    await expectBothWell(bed);
  });
});
