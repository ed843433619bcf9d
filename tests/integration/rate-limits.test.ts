import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createDeviceHttpApi } from "../../edge/devices/http-device-api.ts";
import { answerSessionLimits, NO_RATE_TEXTS, parseRateLimit, RateLimits } from "../../edge/devices/rate-limits.ts";
import { createDeviceRegistry } from "../../edge/store/device-directory.ts";
import { openRateSettings } from "../../edge/store/rate-settings.ts";
import { openSite, saveSettings } from "../../edge/store/site-store.ts";
import type { AppError } from "../../shared/core/errors.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { getEntity, replaceEntity } from "../../shared/store/entity-store.ts";
import { createFakeEdge, DEVICE_A, type FakeEdge, GATEWAY } from "../support/fake-edge.ts";
import { eventually, message, type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

const NOBODY = { deviceId: GATEWAY, name: "Nobody", isGateway: false };
const NO_SETTINGS = {
  device: NO_RATE_TEXTS,
  gateway: NO_RATE_TEXTS,
  gatewayDevices: NO_RATE_TEXTS,
  tenant: NO_RATE_TEXTS,
};
const TELEMETRY = "v1/devices/me/telemetry";
const BEHIND = "v1/gateway/telemetry";

describe("over MQTT", () => {
  let bed: MqttBed;
  let edge: FakeEdge;
  beforeEach(async () => {
    bed = await openMqttBed();
    ({ edge } = bed);
  });
  afterEach(() => bed.finish());

  test("a message above the limit is refused with PUBACK 0x97 over MQTT 5, and taken later", async () => {
    edge.limit({ device: { ...NO_RATE_TEXTS, messages: "2:1,3:60" } });
    const client = await bed.login(5);
    const publish = async (id: number): Promise<number> => {
      client.send(message(TELEMETRY, `{"ts":${id},"values":{"t":1}}`, id));
      return (await client.take("puback")).reasonCode ?? 0;
    };
    expect([await publish(1), await publish(2), await publish(3)]).toEqual([0, 0, 0x97]);
    expect(edge.errors.last(DEVICE_A)?.reason).toContain(
      "The limit of 2:1,3:60 (count:seconds) messages of the device",
    );
    edge.clock.advance(1000);
    expect([await publish(4), await publish(5)]).toEqual([0, 0x97]);
    expect(edge.records.map(({ tsMs }) => tsMs)).toEqual([1, 2, 4]);
  });
  test("it ends a connection of 3.1.1, and of QoS 0, with 0x96 over MQTT 5", async () => {
    edge.limit({ device: { ...NO_RATE_TEXTS, messages: "1:60" } });
    const client = await bed.login(4);
    client.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, '{"t":2}', 2));
    await client.untilClosed();
    expect(client.packets.map((packet) => packet.messageId)).toEqual([1]);
    expect(edge.errors.last(DEVICE_A)?.reason).toStartWith("The device sends more than it may: The limit of 1:60");
    const other = await bed.login(5);
    other.send(message(TELEMETRY, '{"t":3}', 0, 0));
    expect((await other.take("disconnect")).reasonCode).toBe(0x96);
    expect(edge.records.length).toBe(1);
  });
  test("telemetry has limits of its own, of messages and of values", async () => {
    edge.limit({ device: { messages: "", telemetryMessages: "2:60", telemetryDataPoints: "3:60" } });
    const client = await bed.login(5);
    const publish = async (topic: string, payload: string): Promise<number> => {
      client.send(message(topic, payload, 1));
      return (await client.take("puback")).reasonCode ?? 0;
    };
    expect(await publish("v1/devices/me/attributes", '{"a":1,"b":2,"c":3,"d":4}')).toBe(0);
    expect(await publish(TELEMETRY, '[{"a":1,"b":2},{"ts":5,"values":{"c":1,"d":2}}]')).toBe(0x97);
    expect(await publish(TELEMETRY, '{"a":1}')).toBe(0);
    expect(await publish(TELEMETRY, '{"a":1}')).toBe(0x97);
    expect(edge.records.length).toBe(1);
  });
  test("all devices behind a gateway share one, beside the gateway's own, and all devices of the edge another", async () => {
    edge.limit({
      gateway: { ...NO_RATE_TEXTS, messages: "1:60" },
      gatewayDevices: { ...NO_RATE_TEXTS, telemetryDataPoints: "2:60" },
      tenant: { ...NO_RATE_TEXTS, messages: "5:60" },
    });
    const gateway = await bed.login(5, "gateway");
    const publish = async (topic: string, payload: string): Promise<number> => {
      gateway.send(message(topic, payload, 1));
      return (await gateway.take("puback")).reasonCode ?? 0;
    };
    expect(await publish(BEHIND, '{"A":[{"t":1}],"B":[{"t":1}]}')).toBe(0);
    expect(await publish(BEHIND, '{"C":[{"t":1}]}')).toBe(0x97);
    expect(edge.records.length).toBe(2);
    expect([await publish(TELEMETRY, '{"t":1}'), await publish(TELEMETRY, '{"t":1}')]).toEqual([0, 0x97]);
    const device = await bed.login(5);
    device.send(message(TELEMETRY, '{"t":1}', 1), message(TELEMETRY, '{"t":1}', 2), message(TELEMETRY, '{"t":1}', 3));
    await device.until(() => device.packets.length === 3);
    expect(edge.errors.last(DEVICE_A)?.reason).toContain("of all devices of the edge");
    expect(edge.errors.last(GATEWAY)?.reason).toContain("of the gateway's own");
  });
  test("a gateway of MQTT 5 is told which devices are dropped for it, once each, until it names them again", async () => {
    edge.limit({ gatewayDevices: { messages: "3:60", telemetryMessages: "", telemetryDataPoints: "2:60" } });
    const gateway = await bed.login(5, "gateway");
    const publish = async (payload: string): Promise<number> => {
      gateway.send(message(BEHIND, payload, 1));
      return (await gateway.take("puback")).reasonCode ?? 0;
    };
    expect(await publish('{"A":[{"t":1}],"B":[{"t":1}]}')).toBe(0);
    expect(await publish('{"A":[{"t":1}],"C":[{"t":1}]}')).toBe(0x97);
    const dropped = await gateway.take("publish");
    expect([dropped.topic, dropped.payload.toString()]).toEqual([
      "v1/gateway/disconnect",
      '{"device":"A","reason":150}',
    ]);
    await eventually(() => edge.told.includes("disconnected A"));
    gateway.send({ cmd: "puback", messageId: dropped.messageId ?? 0 });
    expect([await publish('{"A":[{"t":1}]}'), await publish('{"A":[{"t":1}],"B":[{"t":1}]}')]).toEqual([0x97, 0x97]);
    expect((await gateway.take("publish")).payload.toString()).toBe('{"device":"B","reason":150}');
    edge.clock.advance(60_000);
    expect(await publish('{"A":[{"t":2}]}')).toBe(0);
    expect(edge.told.filter((one) => one === "connected A")).toHaveLength(2);
  });
  test("a gateway of MQTT 5 stays connected when messages of QoS 0 about its devices are too many, not for its own", async () => {
    edge.limit({
      gatewayDevices: { ...NO_RATE_TEXTS, messages: "1:60" },
      gateway: { ...NO_RATE_TEXTS, messages: "1:60" },
    });
    const gateway = await bed.login(5, "gateway");
    gateway.send(message(BEHIND, '{"A":[{"t":1}]}', 0, 0));
    await eventually(() => edge.told.includes("connected A"));
    gateway.send(message(BEHIND, '{"A":[{"t":2}]}', 0, 0));
    expect((await gateway.take("publish")).payload.toString()).toBe('{"device":"A","reason":150}');
    expect(edge.errors.last(GATEWAY)?.reason).toContain("of all devices behind the gateway is reached");
    expect(bed.server.counters.publishesRejected).toBe(1);
    gateway.send(message(TELEMETRY, '{"t":3}', 0, 0), message(TELEMETRY, '{"t":4}', 0, 0));
    expect((await gateway.take("disconnect")).reasonCode).toBe(0x96);
    expect(edge.records.map(({ values }) => String(values))).toEqual(['{"t":1}', '{"t":3}']);
  });
  test("a gateway of MQTT 3.1.1, which could not take it, is cut off and told nothing", async () => {
    edge.limit({ gatewayDevices: { ...NO_RATE_TEXTS, messages: "1:60" } });
    const gateway = await bed.login(4, "gateway");
    gateway.send(message(BEHIND, '{"A":[{"t":1}]}', 1), message(BEHIND, '{"A":[{"t":2}]}', 2));
    await gateway.untilClosed();
    expect(gateway.packets.filter(({ cmd }) => cmd === "publish")).toEqual([]);
  });
});

test("over HTTP it is answered with 429 and the reason", async () => {
  const bed = await openMqttBed();
  bed.edge.limit({ device: { messages: "3:60", telemetryMessages: "1:60", telemetryDataPoints: "" } });
  const errorResponse = ({ code, message: text }: AppError): Response => Response.json({ code, text });
  const api = createDeviceHttpApi({ ...bed.edge, errorResponse });
  const post = async (kind: string): Promise<string> => {
    return (await api.request(`/token-a/${kind}`, { method: "POST", body: '{"t":1}' })).text();
  };
  expect([await post("telemetry"), await post("attributes")]).toEqual(["", ""]);
  expect(await post("telemetry")).toContain("TOO_MANY_REQUESTS");
  expect(await post("attributes")).toContain("The limit of 3:60 (count:seconds) messages of the device is reached");
  expect(bed.edge.records.length).toBe(1);
  await bed.finish();
});

test("answerSessionLimits() tells a device its limits, and a gateway both of its own", async () => {
  const bed = await openMqttBed();
  const { edge } = bed;
  const ask = async (token: string): Promise<unknown> => {
    const device = edge.devices.get(token);
    const question = { method: "getSessionLimits", params: "{}" } as const;
    if (device === undefined) throw new Error("Expected the device");
    return JSON.parse(String(await answerSessionLimits(edge.rates).answer(device, question as never)));
  };
  const head = { maxPayloadSize: 65_536, maxInflightMessages: 100 };
  expect(await ask("token-a")).toEqual({ ...head, rateLimits: NO_RATE_TEXTS });
  const own = { messages: "200:1,6000:60", telemetryMessages: "100:1", telemetryDataPoints: "" };
  edge.limit({ device: own, gatewayDevices: own });
  expect(await ask("token-a")).toEqual({ ...head, rateLimits: own });
  expect(await ask("gateway")).toEqual({ ...head, gatewayRateLimits: own, rateLimits: NO_RATE_TEXTS });
  await bed.finish();
});

test("limits of the tenant hold beside those of the profile, each counted by itself", () => {
  const { clock } = createFakeEdge();
  const limits = (messages: string) => ({ ...NO_SETTINGS, device: { ...NO_RATE_TEXTS, messages } });
  const same = new RateLimits(clock, () => ({ tenant: limits("2:60"), profile: limits("2:60") }));
  expect([1, 2, 3].map(() => same.take(NOBODY, "messages") === undefined)).toEqual([true, true, false]);
  const strict = new RateLimits(clock, () => ({ tenant: limits("1:60"), profile: limits("9:60") }));
  expect([1, 2].map(() => strict.take(NOBODY, "messages") === undefined)).toEqual([true, false]);
  expect(JSON.parse(strict.textOf(NOBODY))).toMatchObject({ rateLimits: { messages: "1:60,9:60" } });
});

test("parseRateLimit() reads counts and seconds, and passes over the rest", () => {
  expect(parseRateLimit("200:1, 6000:60")).toEqual([
    { count: 200, seconds: 1 },
    { count: 6000, seconds: 60 },
  ]);
  for (const text of ["", "x", "0:1", "1:0", "1", "1:", "-1:5", "1.5:1"]) expect(parseRateLimit(text)).toEqual([]);
});

describe("openRateSettings()", () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  beforeAll(async () => {
    postgres = await startTestPostgres();
    database = await postgres.createDatabase("edge");
  });
  afterAll(() => postgres[Symbol.asyncDispose]());

  test("reads them from the profile of a device, and again when that changes", async () => {
    const { db } = database;
    const { tenantId } = await openSite(db);
    const deps = { clock: systemClock, random: systemRandom };
    const { result: record } = await db.transaction((tx) =>
      saveDevice(tx, deps, {
        tenantId,
        input: { name: "A" },
        credentials: { credentialsType: "ACCESS_TOKEN", credentialsId: "limited-token" },
      }),
    );
    const registry = createDeviceRegistry(db);
    const settings = await openRateSettings({ db, log: silentLog });
    registry.watchChanges((changes) => {
      for (const change of changes) settings.note(change);
    });
    const device = await registry.findByAccessToken("limited-token");
    if (device?.profileId === undefined) throw new Error("Expected the device with its profile");
    expect(device.deviceId).toBe(record.id);
    expect(settings.of(device)).toEqual({ tenant: undefined, profile: undefined });
    const profile = await getEntity(db, { type: "DEVICE_PROFILE", id: device.profileId });
    const configuration = {
      type: "DEFAULT",
      transportDeviceMsgRateLimit: "10:1",
      transportGatewayTelemetryDataPointsRateLimit: "5:1",
      transportGatewayDeviceTelemetryMsgRateLimit: "6:1",
      transportTenantMsgRateLimit: 7,
    };
    const body = { ...profile.body, profileData: { configuration } };
    await replaceEntity(db, { ...profile, body });
    registry.publish([{ kind: "entity-removed", entity: { type: "DEVICE_PROFILE", id: profile.id } } as never]);
    await waitFor("the limits", () => settings.of(device).profile);
    expect(settings.of(device).profile).toEqual({
      device: { ...NO_RATE_TEXTS, messages: "10:1" },
      gateway: { ...NO_RATE_TEXTS, telemetryMessages: "6:1" },
      gatewayDevices: { ...NO_RATE_TEXTS, telemetryDataPoints: "5:1" },
      tenant: NO_RATE_TEXTS,
    });
  });

  test("holds what the cloud sets at once, and from the start of an edge without a link", async () => {
    const { db } = database;
    await openSite(db);
    const before = await openRateSettings({ db, log: silentLog });
    const settings = { rateLimits: { transportGatewayDeviceMsgRateLimit: "3:1" } };
    await saveSettings(db, settings);
    before.noteSettings(settings);
    const restarted = await openRateSettings({ db, log: silentLog });
    for (const store of [before, restarted]) expect(store.of(NOBODY).tenant?.gateway.messages).toBe("3:1");
    before.noteSettings({ rateLimits: {} });
    expect(before.of(NOBODY)).toEqual({ tenant: undefined, profile: undefined });
  });
});
