import { afterEach, expect, test } from "bun:test";
import { createDeviceHttpApi } from "../../edge/devices/http-device-api.ts";
import { SourceLimits, type SourceLimitSettings } from "../../edge/devices/source-limits.ts";
import type { AppError } from "../../shared/core/errors.ts";
import { type Log, silentLog } from "../../shared/observe/log.ts";
import { createFakeEdge } from "../support/fake-edge.ts";
import { message, type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";
import { RawMqttClient } from "../support/raw-mqtt-client.ts";

let bed: MqttBed;
let warnings: string[];
afterEach(() => bed.finish());

async function open(settings: SourceLimitSettings): Promise<MqttBed> {
  warnings = [];
  const log: Log = { ...silentLog, warn: (text) => void warnings.push(text) };
  const edge = createFakeEdge();
  edge.sources = new SourceLimits({ clock: edge.clock, log }, settings);
  bed = await openMqttBed({}, edge);
  return bed;
}

async function connack(version: 4 | 5, username: string): Promise<number> {
  const client = bed.keep(await RawMqttClient.login(bed.port, version, { username }));
  const { returnCode, reasonCode } = await client.take("connack");
  client.destroy();
  return (version === 5 ? reasonCode : returnCode) ?? -1;
}

test("an address has as many connections as it may, silent ones too, and more when some are gone", async () => {
  await open({ connectionsMax: 2 });
  const silent = bed.keep(await RawMqttClient.open(bed.port));
  const served = await bed.login(4);
  expect([await connack(5, "token-b"), await connack(4, "token-b")]).toEqual([0x9f, 3]);
  expect(bed.server.counters.connectionsRefused.get("too-many-from-address")).toBe(2);
  expect(warnings).toEqual(["An address has more connections than it may have; further ones are refused"]);
  served.send(message("v2/t", '{"t":1}'));
  await served.take("puback");
  silent.destroy();
  // One after the other, until the listener has seen that the silent one is gone.
  let code = -1;
  for (let attempts = 0; code !== 0 && attempts < 500; attempts++) code = await connack(4, "token-b");
  expect(code).toBe(0);
});

test("an address with far too many connections is not told so any more", async () => {
  await open({ connectionsMax: 2 });
  const silent = await Promise.all(Array.from({ length: 4 }, () => RawMqttClient.open(bed.port)));
  for (const client of silent) bed.keep(client);
  const client = bed.keep(await RawMqttClient.open(bed.port));
  await client.untilClosed();
  expect(silent.filter(({ closed }) => closed)).toEqual([]);
});

test("an address that failed to sign in too often is refused over MQTT and HTTP, until their time is over", async () => {
  await open({ failedLogins: { count: 3, seconds: 60 } });
  const { edge } = bed;
  const errorResponse = (error: AppError): Response => new Response(error.message, { status: 429 });
  const api = createDeviceHttpApi({ ...edge, errorResponse });
  const post = (token: string, remoteAddress: string): Promise<Response> =>
    Promise.resolve(api.request(`/${token}/telemetry`, { method: "POST", body: '{"t":1}' }, { remoteAddress }));
  expect([await connack(5, "nobody"), await connack(4, "nobody")]).toEqual([0x86, 5]);
  expect(await connack(5, "token-a")).toBe(0);
  expect((await post("nobody", "127.0.0.1")).status).toBe(401);
  // Three failures: the device with the right token waits, too.
  expect([await connack(5, "token-a"), await connack(4, "token-a")]).toEqual([0x9f, 3]);
  const refused = await post("token-a", "127.0.0.1");
  expect([refused.status, await refused.text()]).toEqual([
    429,
    "Too many failed attempts to sign in from this address! Wait a minute",
  ]);
  expect((await post("token-a", "192.0.2.1")).status).toBe(200);
  expect(bed.server.counters.connectionsRefused.get("address-blocked")).toBe(2);
  expect(warnings).toEqual(["An address is refused for sign-ins with wrong credentials"]);
  edge.clock.advance(60_000);
  expect([await connack(5, "nobody"), await connack(5, "token-a")]).toEqual([0x86, 0]);
});

test("nothing is limited by address unless somebody says so", async () => {
  await open({});
  for (let count = 0; count < 30; count++) expect(await connack(4, "nobody")).toBe(5);
  expect(await connack(4, "token-a")).toBe(0);
});
