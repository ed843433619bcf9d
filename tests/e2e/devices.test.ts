import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import mqtt, { type IConnackPacket, type MqttClient } from "mqtt";
import { waitForDrain } from "../support/edge-status.ts";
import type { CloudProcess } from "../support/processes.ts";
import { OCCUPANCY_PATH, readReadings, WEATHER_PATH } from "../support/readings.ts";
import { RestError, type TestDevice } from "../support/rest-client.ts";
import { createTestBed, withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
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

/** A device of the cloud that has arrived on the edge. */
async function assignNewDevice(name: string): Promise<TestDevice> {
  const device = await site.cloudApi.createDevice(name);
  await assign(device);
  return device;
}

async function assign({ id, name }: TestDevice): Promise<void> {
  await site.cloudApi.assignDevice(site.edgeId, id);
  await waitFor(`${name} to be on the edge`, async () => (await site.edgeApi.getDevice(id)) !== undefined);
}

describe("telemetry", () => {
  scenario("MQTT at QoS 1 carries real readings of two devices through the edge into the cloud", async (bed) => {
    const readings = (await readReadings(existsSync(OCCUPANCY_PATH) ? OCCUPANCY_PATH : WEATHER_PATH)).slice(0, 1000);
    for (const name of ["Office", "Corridor"]) {
      const device = await assignNewDevice(name);
      const mqtt = await bed.connectDevice(site.edge, device.token);
      await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
      await expectHistory(site.edgeApi, device.id, readings);
      await expectHistory(site.cloudApi, device.id, readings);
    }
    await waitForDrain(site.edge);
  });

  scenario("the order of publishing decides which value of one moment stays, on both sides", async (bed) => {
    const device = await assignNewDevice("Counter");
    const mqtt = await bed.connectDevice(site.edge, device.token);
    const ts = 1_700_000_000_000;
    const counts = Array.from({ length: 400 }, (_, n) => n);
    await Promise.all(counts.map((n) => mqtt.sendTelemetry({ ts, values: { n } })));
    await waitForDrain(site.edge);
    await expectHistory(site.edgeApi, device.id, [{ ts, values: { n: 399 } }]);
    await expectHistory(site.cloudApi, device.id, [{ ts, values: { n: 399 } }]);
  });

  scenario("HTTP takes the same messages as MQTT", async () => {
    const device = await assignNewDevice("Meter");
    const readings = makeReadings(20);
    const post = async (body: unknown): Promise<number> => {
      const url = `${site.edge.addresses.http}/api/v1/${device.token}/telemetry`;
      return (await fetch(url, { method: "POST", body: JSON.stringify(body) })).status;
    };
    const statuses = await Promise.all(readings.map((reading) => post(reading)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    await expectHistory(site.cloudApi, device.id, readings);
  });
});

test("a stock client speaks protobuf, as the profile from the cloud says", async () => {
  const deviceTelemetryProtoSchema =
    'syntax = "proto3"; package a; message Reading { int64 ts = 1; Values values = 2; message Values { optional double t = 1; } }';
  const device = await site.cloudApi.createMqttDevice("Protobuf", {
    deviceTelemetryTopic: "plant/+/values",
    transportPayloadTypeConfiguration: { transportPayloadType: "PROTOBUF", deviceTelemetryProtoSchema },
  });
  await assign(device);
  const client = await mqtt.connectAsync(site.edge.addresses.mqtt, { username: device.token });
  try {
    const pushed = new Promise<Buffer>((resolve) => client.once("message", (_topic, payload) => resolve(payload)));
    await client.subscribeAsync("v1/devices/me/attributes", { qos: 1 });
    // 1700000000000 and 21.
    await client.publishAsync("plant/7/values", Buffer.from("0880d095ffbc311209090000000000003540", "hex"), { qos: 1 });
    await expectHistory(site.cloudApi, device.id, [{ ts: 1_700_000_000_000, values: { t: 21 } }]);
    await site.cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit: 30 });
    expect((await pushed).toString("hex")).toBe("0a0d120b0a056c696d69741001201e");
  } finally {
    await client.endAsync();
  }
});

describe("attributes", () => {
  scenario("a shared attribute set in the cloud is pushed to the connected MQTT device", async (bed) => {
    const device = await assignNewDevice("Valve");
    const mqtt = await bed.connectDevice(site.edge, device.token);
    expect(await mqtt.subscribe("v1/devices/me/attributes")).toBe(1);
    await site.cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit: 30 });
    expect(await mqtt.waitForMessage("v1/devices/me/attributes")).toEqual({ limit: 30 });
    expect(await site.edgeApi.readAttributes(device.id, "SHARED_SCOPE")).toEqual({ limit: 30 });
  });

  scenario("a client attribute of the device arrives in the cloud", async (bed) => {
    const device = await assignNewDevice("Pump");
    const mqtt = await bed.connectDevice(site.edge, device.token);
    await mqtt.publish("v1/devices/me/attributes", { fw: "v1.2", on: true, hours: 40 });
    const arrived = async (): Promise<boolean> =>
      Bun.deepEquals(await site.cloudApi.readAttributes(device.id, "CLIENT_SCOPE"), {
        fw: "v1.2",
        on: true,
        hours: 40,
      });
    await waitFor("the client attributes in the cloud", arrived);
  });

  scenario("a device asks for its attributes and gets both scopes", async (bed) => {
    const device = await assignNewDevice("Thermostat");
    await site.cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { target: 21.5 });
    await waitFor("the shared attribute on the edge", async () => {
      const values = await site.edgeApi.readAttributes(device.id, "SHARED_SCOPE");
      return values["target"] === 21.5;
    });
    const mqtt = await bed.connectDevice(site.edge, device.token);
    await mqtt.subscribe("v1/devices/me/attributes/response/+");
    await mqtt.publish("v1/devices/me/attributes", { fw: "v2.0" });
    await mqtt.publish("v1/devices/me/attributes/request/7", { clientKeys: "fw", sharedKeys: "target" });
    const answer = await mqtt.waitForMessage("v1/devices/me/attributes/response/7");
    expect(answer).toEqual({ client: { fw: "v2.0" }, shared: { target: 21.5 } });
  });
});

describe("alarms", () => {
  scenario("live on both sides under one id, whoever made them and whatever is done to them where", async () => {
    const device = await assignNewDevice("Boiler");
    const originator = { entityType: "DEVICE", id: device.id };
    const alarm = { originator, type: "Too hot", severity: "MAJOR" };
    const { id } = await site.edgeApi.request<{ id: { id: string } }>("POST", "/api/alarm", alarm);
    const path = `/api/alarm/${id.id}`;
    const inState = (api: Site["edgeApi"], status: string) => async (): Promise<boolean> => {
      const found = await api.request<{ data: { id: { id: string }; status: string }[] }>(
        "GET",
        `/api/alarm/DEVICE/${device.id}?pageSize=10&page=0`,
      );
      return found.data.some((one) => one.id.id === id.id && one.status === status);
    };
    await waitFor("the alarm in the cloud", inState(site.cloudApi, "ACTIVE_UNACK"));
    await site.cloudApi.request("POST", `${path}/ack`);
    await site.cloudApi.request("POST", `${path}/comment`, { comment: { text: "On my way" } });
    await waitFor("the acknowledgement on the edge", inState(site.edgeApi, "ACTIVE_ACK"));
    await site.edgeApi.request("POST", `${path}/clear`);
    await waitFor("the end in the cloud", inState(site.cloudApi, "CLEARED_ACK"));
    const texts = async (): Promise<boolean> => {
      const list = await site.edgeApi.request<{ data: { name: string }[] }>(
        "GET",
        `${path}/comment?pageSize=10&page=0`,
      );
      return list.data.some(({ name }) => name === "On my way");
    };
    await waitFor("the comment on the edge", texts);
    await site.edgeApi.request("DELETE", path);
    await waitFor("the alarm to leave the cloud", async () => !(await inState(site.cloudApi, "CLEARED_ACK")()));
    expect((await site.edgeApi.cloudEvents()).map(({ type, action }) => `${type} ${action}`)).toContain(
      "ALARM ALARM_CLEAR",
    );
  });
});

describe("assignment", () => {
  scenario("unassigning a device from a connected edge removes it there and ends its connection", async (bed) => {
    const device = await assignNewDevice("Visitor");
    const mqtt = await bed.connectDevice(site.edge, device.token);
    const closed = new Promise<void>((resolve) => mqtt.client.once("close", () => resolve()));
    await site.cloudApi.unassignDevice(site.edgeId, device.id);
    await waitFor("the device to leave the edge", async () => (await site.edgeApi.getDevice(device.id)) === undefined);
    await closed;
    await expect(bed.connectDevice(site.edge, device.token)).rejects.toThrow();
    expect(await site.cloudApi.getDevice(device.id)).toMatchObject({ name: "Visitor" });
  });

  scenario("a device created on the edge appears in the cloud with the same id, assigned to the edge", async (bed) => {
    const device = await site.edgeApi.createDevice("Born on the edge");
    const inCloud = await waitFor("the device in the cloud", () => site.cloudApi.getDevice(device.id));
    expect(inCloud.name).toBe("Born on the edge");
    expect((await site.cloudApi.assignedDevices(site.edgeId)).map(({ id }) => id.id)).toContain(device.id);
    expect(await site.cloudApi.getToken(device.id)).toBe(device.token);
    const mqtt = await bed.connectDevice(site.edge, device.token);
    const readings = makeReadings(10);
    await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
    await expectHistory(site.cloudApi, device.id, readings);
  });

  scenario("a device deleted in the cloud leaves the edge", async () => {
    const device = await assignNewDevice("Scrapped");
    await site.cloudApi.deleteDevice(device.id);
    await waitFor("the device to leave the edge", async () => (await site.edgeApi.getDevice(device.id)) === undefined);
  });

  scenario("events of both directions end in the state that says they are through", async () => {
    const device = await site.edgeApi.createDevice("Documented");
    await waitForDrain(site.edge);
    const uplinks = await site.edgeApi.cloudEvents();
    expect(uplinks.filter(({ entityId }) => entityId === device.id).map(({ state }) => state)).toContain("transferred");
    const assigned = await assignNewDevice("Documented as well");
    const isApplied = async (): Promise<boolean> =>
      (await site.cloudApi.edgeEvents(site.edgeId))
        .filter(({ entityId }) => entityId === assigned.id)
        .some(({ state }) => state === "applied");
    await waitFor("the downlink to be applied", isApplied);
  });
});

describe("sign-in", () => {
  scenario("both sides refuse a wrong password and an unknown route with the documented errors", async () => {
    for (const api of [site.cloudApi, site.edgeApi]) {
      const answer = await fetch(`${api.baseUrl}/api/auth/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ username: "admin@skerry.local", password: "wrong" }),
      });
      expect(answer.status).toBe(401);
      expect(await answer.json()).toMatchObject({
        status: 401,
        errorCode: 10,
        message: "Invalid username or password",
      });
      const missing = await api.request("GET", "/api/nothing/here").catch((error: unknown) => error);
      expect(missing instanceof RestError ? missing.status : missing).toBe(404);
    }
  });
});

describe("a gateway", () => {
  scenario("makes the devices behind it, which appear in the cloud with their data and their relation", async (bed) => {
    const { id } = await site.cloudApi.request<{ readonly id: { readonly id: string } }>("POST", "/api/device", {
      name: "Gateway",
      additionalInfo: { gateway: true },
    });
    await site.cloudApi.assignDevice(site.edgeId, id.id);
    await waitFor("the gateway to be on the edge", async () => (await site.edgeApi.getDevice(id.id)) !== undefined);
    const mqtt = await bed.connectDevice(site.edge, await site.cloudApi.getToken(id.id));
    const readings = makeReadings(10);
    await mqtt.publish("v1/gateway/connect", { device: "Behind", type: "meter" });
    await mqtt.publish("v1/gateway/telemetry", { Behind: readings });
    const device = await waitFor("the device in the cloud", () => site.cloudApi.findDevice("Behind"));
    await expectHistory(site.cloudApi, device.id, readings);
    const created = `/api/relations?fromId=${id.id}&fromType=DEVICE&relationType=Created`;
    const relations = await waitFor("the relation in the cloud", async () => {
      const found = await site.cloudApi.request<readonly { readonly to: { readonly id: string } }[]>("GET", created);
      return found.length > 0 ? found : undefined;
    });
    expect(relations.map(({ to }) => to.id)).toEqual([device.id]);
  });
});

// Last, since it kills the edge that all share.
scenario("a session over MQTT survives SIGKILL of the edge, and the cloud sees that its device was there", async () => {
  const device = await assignNewDevice("Sleeper");
  const received = Promise.withResolvers<string>();
  const connect = async (): Promise<{ client: MqttClient; isPresent: boolean }> => {
    const options = { username: device.token, clientId: "sleeper", clean: false };
    const client = mqtt.connect(site.edge.addresses.mqtt, options);
    client.on("message", (_topic, payload) => received.resolve(payload.toString()));
    const { sessionPresent } = await new Promise<IConnackPacket>((resolve, reject) => {
      client.once("connect", resolve);
      client.once("error", reject);
    });
    return { client, isPresent: sessionPresent };
  };
  const first = await connect();
  expect(first.isPresent).toBe(false);
  await first.client.subscribeAsync("v1/devices/me/attributes", { qos: 1 });
  await waitFor("the device to be active in the cloud", async () => {
    const { active } = await site.cloudApi.readAttributes(device.id, "SERVER_SCOPE");
    return active === true;
  });
  first.client.publish("v1/devices/me/telemetry", "{", { qos: 0 });
  await waitFor("the reason in the cloud why the connection was closed", async () => {
    const { lastError } = await site.cloudApi.readAttributes(device.id, "SERVER_SCOPE");
    return String(lastError).startsWith("The payload is not valid");
  });
  await first.client.endAsync();
  await site.cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit: 30 });
  await waitFor("the change on the edge", async () => {
    const { limit } = await site.edgeApi.readAttributes(device.id, "SHARED_SCOPE");
    return limit === 30;
  });
  await waitFor("the disconnect in the cloud", async () => {
    const { lastDisconnectTime } = await site.cloudApi.readAttributes(device.id, "SERVER_SCOPE");
    return typeof lastDisconnectTime === "number";
  });
  await site.edge.kill();
  await site.edge.restart();
  const second = await connect();
  expect(second.isPresent).toBe(true);
  expect(await received.promise).toBe('{"limit":30}');
  await second.client.endAsync();
});
