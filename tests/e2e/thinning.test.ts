import { expect, test } from "bun:test";
import { withNumbers } from "../support/readings.ts";
import { withTestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

const COUNT = 2_500;
const BAND = 100;

interface Backfill {
  readonly id: { readonly id: string };
  readonly state: string;
  readonly records: number;
}

test("a thinned key is whole on the edge and thin in the cloud, until its history is asked for, also of an edge that is off", () =>
  withTestBed(async (bed) => {
    const { cloudApi, edge, edgeApi, edgeId } = await bed.startSite(await bed.startCloud());
    const uplink = { keys: { n: { deadband: { type: "ABSOLUTE", value: BAND } } } };
    const profile = await cloudApi.request<{ id: object }>("POST", "/api/deviceProfile", {
      name: "thinned",
      profileData: { uplink },
    });
    const { id, token } = await cloudApi.createDevice("Meter");
    const record = await cloudApi.request<object>("GET", `/api/device/${id}`);
    await cloudApi.request("POST", "/api/device", { ...record, deviceProfileId: profile.id });
    await cloudApi.assignDevice(edgeId, id);
    await waitFor("the device to be on the edge", async () => (await edgeApi.getDevice(id)) !== undefined);
    const device = await bed.connectDevice(edge, token);
    const readings = makeReadings(COUNT);
    for (let start = 0; start < COUNT; start += 500) await device.sendTelemetry(readings.slice(start, start + 500));
    await expectHistory(edgeApi, id, readings);
    const thin = readings.filter((_, index) => index % (BAND + 1) === 0);
    await expectHistory(cloudApi, id, thin);
    await edge.kill();
    const range = { startTs: readings[0]?.ts, endTs: (readings.at(-1)?.ts ?? 0) + 1 };
    const ask = async (): Promise<Backfill> =>
      cloudApi.request("POST", `/api/edge/${edgeId}/backfill`, { entityId: { entityType: "DEVICE", id }, ...range });
    const asked = await ask();
    expect(asked.state).toBe("QUEUED");
    await edge.restart();
    const done = async ({ id: { id: backfillId } }: Backfill): Promise<Backfill> =>
      waitFor("the history to be sent", async () => {
        const now = await cloudApi.request<Backfill>("GET", `/api/edge/${edgeId}/backfill/${backfillId}`);
        return now.state === "DONE" && now;
      });
    expect(await done(asked)).toMatchObject({ records: COUNT, reason: null });
    await expectHistory(cloudApi, id, readings);
    await done(await ask());
    expect((await cloudApi.readHistory(id)).map(withNumbers)).toEqual(readings);
    const events = await cloudApi.edgeEvents(edgeId);
    expect(events.filter(({ action }) => action === "BACKFILL").map(({ state }) => state)).toEqual([
      "applied",
      "applied",
    ]);
  }));
