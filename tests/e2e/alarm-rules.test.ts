import { expect, test } from "bun:test";
import type { RestClient } from "../support/rest-client.ts";
import { withTestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

const DURATION_S = 3;

interface AlarmPage {
  readonly data: readonly {
    readonly id: { readonly id: string };
    readonly status: string;
    readonly severity: string;
    readonly startTs: number;
    readonly details: unknown;
  }[];
}

interface Told {
  readonly type: string;
  readonly data: { readonly alarm: { readonly id: string }; readonly originator: { readonly name: string } };
}

function condition(operation: string, limit: number, spec: object) {
  const predicate = { type: "NUMERIC", operation, value: { defaultValue: limit } };
  return { condition: [{ key: { type: "TIME_SERIES", key: "co2" }, valueType: "NUMERIC", predicate }], spec };
}

const RULE = {
  id: "co2",
  alarmType: "Bad air",
  createRules: {
    MAJOR: {
      condition: condition("GREATER", 1_000, {
        type: "DURATION",
        unit: "SECONDS",
        predicate: { defaultValue: DURATION_S },
      }),
      alarmDetails: "CO2 is ${co2} ppm",
    },
  },
  clearRule: { condition: condition("LESS", 800, { type: "SIMPLE" }) },
};

const alarmsOf = async (api: RestClient, deviceId: string): Promise<AlarmPage["data"]> =>
  (await api.request<AlarmPage>("GET", `/api/alarm/DEVICE/${deviceId}?pageSize=10&page=0`)).data;

test("an alarm rule of the cloud is decided by the edge, across a crash in the middle of its duration, and the cloud hears and tells of the same alarm", () =>
  withTestBed(async (bed) => {
    const site = await bed.startSite(await bed.startCloud());
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const told: string[] = [];
    await using receiver = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        const { data, type } = (await request.json()) as Told;
        told.push(`${type} ${data.alarm.id} ${data.originator.name}`);
        return new Response();
      },
    });
    await cloudApi.request("POST", "/api/notification/rule", {
      name: "Tell",
      transitions: ["CREATED", "CLEARED"],
      target: { type: "WEBHOOK", url: `http://127.0.0.1:${receiver.port}/`, secret: "a secret of the receiver" },
    });
    const profile = await cloudApi.request<{ id: object }>("POST", "/api/deviceProfile", {
      name: "office",
      profileData: { alarms: [RULE] },
    });
    const { id, token } = await cloudApi.createDevice("Office");
    const record = await cloudApi.request<object>("GET", `/api/device/${id}`);
    await cloudApi.request("POST", "/api/device", { ...record, deviceProfileId: profile.id });
    await cloudApi.assignDevice(edgeId, id);
    await waitFor("the device to be on the edge", async () => (await edgeApi.getDevice(id)) !== undefined);
    const device = await bed.connectDevice(edge, token);
    const startMs = Date.now();
    await device.sendTelemetry({ ts: startMs, values: { co2: 1_500 } });
    await edge.kill();
    await edge.restart();
    const [raised] = await waitFor("the alarm on the edge", async () => {
      const alarms = await alarmsOf(edgeApi, id);
      return alarms.length > 0 && alarms;
    });
    expect(raised).toMatchObject({
      severity: "MAJOR",
      status: "ACTIVE_UNACK",
      startTs: startMs + DURATION_S * 1_000,
      details: { data: "CO2 is 1500 ppm" },
    });
    const statusInCloud = async () =>
      (await alarmsOf(cloudApi, id)).map((alarm) => `${alarm.id.id} ${alarm.status}`).join();
    await waitFor("the alarm in the cloud", async () => (await statusInCloud()) === `${raised?.id.id} ACTIVE_UNACK`);
    await waitFor("the webhook", () => Promise.resolve(told.length > 0));
    const again = await bed.connectDevice(edge, token);
    await again.sendTelemetry({ co2: 700 });
    await waitFor("it to be cleared", async () => (await statusInCloud()) === `${raised?.id.id} CLEARED_UNACK`);
    await waitFor("the second webhook", () => Promise.resolve(told.length > 1));
    expect(told).toEqual([`alarm.created ${raised?.id.id} Office`, `alarm.cleared ${raised?.id.id} Office`]);
  }));
