import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";
import type { RawMqttClient } from "../support/raw-mqtt-client.ts";

const REQUEST = '{"deviceName":"A","provisionDeviceKey":"k","provisionDeviceSecret":"s"}';
const PUBLISH = { cmd: "publish", dup: false, retain: false } as const;

let bed: MqttBed;
beforeEach(async () => {
  bed = await openMqttBed();
});
afterEach(() => bed.finish());

const ask = (client: RawMqttClient, payload: string) =>
  client.send({ ...PUBLISH, topic: "/provision/request", payload, qos: 1, messageId: 7 });

describe("a connection as provision", () => {
  test("makes a device known, by user name, with or without a subscription", async () => {
    const credentials = { credentialsType: "ACCESS_TOKEN", credentialsId: "t", credentialsValue: null } as const;
    bed.edge.provisioned = { status: "SUCCESS", credentials };
    for (const version of [4, 5] as const) {
      const client = await bed.login(version, "provision");
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "/provision/response", qos: 0 }] });
      expect((await client.take("suback")).granted).toEqual([0]);
      ask(client, REQUEST);
      expect((await client.take("puback")).messageId).toBe(7);
      const { payload, qos, topic } = await client.take("publish");
      expect([topic, qos]).toEqual(["/provision/response", 0]);
      expect(JSON.parse(payload.toString())).toEqual({
        status: "SUCCESS",
        credentialsType: "ACCESS_TOKEN",
        credentialsValue: "t",
      });
    }
    expect(bed.edge.provisionRequests).toMatchObject([{ deviceName: "A", key: "k", secret: "s" }, {}]);
    expect(bed.server.sessions).toBe(0);
  });
  test("answers why it was not done, and by client id alone too", async () => {
    const client = await bed.login(4, undefined, { username: undefined, clientId: "provision" });
    ask(client, REQUEST);
    const { payload } = await client.take("publish");
    expect(JSON.parse(payload.toString())).toMatchObject({ status: "NOT_FOUND" });
  });
  test("may subscribe to nothing else, and ends with a message of another kind", async () => {
    for (const version of [4, 5] as const) {
      const client = await bed.login(version, "provision");
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "v1/devices/me/attributes", qos: 1 }] });
      expect((await client.take("suback")).granted[0]).toBeGreaterThanOrEqual(0x80);
      client.send({ ...PUBLISH, topic: "v1/devices/me/telemetry", payload: '{"t":1}', qos: 1, messageId: 2 });
      const { reasonCode = 0 } = await client.take("puback");
      expect(reasonCode).toBe(version === 5 ? 0x90 : 0);
      await client.untilClosed();
    }
    expect(bed.edge.records).toEqual([]);
  });
  test("ends after 60 s", async () => {
    const client = await bed.login(4, "provision", { keepalive: 0 });
    await bed.advanceUntil(() => client.closed);
    expect(bed.edge.clock.monotonicMs()).toBeGreaterThan(60_000);
    expect(bed.edge.clock.monotonicMs()).toBeLessThan(65_000);
  });
  test("is none with a password: that is a device's", async () => {
    const client = await bed.login(5, "provision", { password: Buffer.from("x") }).catch(() => null);
    expect(client).toBeNull();
  });
});
