import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { waitForDrain, waitForLink } from "../support/edge-status.ts";
import { createPatchedTree, type PatchedTree } from "../support/patched-tree.ts";
import type { EdgeProcess } from "../support/processes.ts";
import type { Page, RestClient } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

// Versions that are not there yet, and those that are no more, are the sources of now with a small difference.

const NEW_MIGRATION = {
  id: "9000_later",
  hash: "later",
  statements: ['alter table "entity" add column added_later text'],
  isCompatible: true,
};

let newer: PatchedTree;
let other: PatchedTree;
let beds: TestBed;

beforeAll(async () => {
  [beds, newer, other] = await Promise.all([
    createTestBed(),
    createPatchedTree([
      { file: "drizzle/edge.gen.ts", find: "\n];", replace: `, ${JSON.stringify(NEW_MIGRATION)}];` },
      { file: "shared/sync/frames.ts", find: "PROTOCOL_MAX = 1;", replace: "PROTOCOL_MAX = 2;" },
    ]),
    // Speaks another version of the protocol too, and has never heard of alarms.
    createPatchedTree([
      { file: "shared/wire/changes-codec.ts", find: "return alarmChangeFrom(kind);", replace: "return null;" },
      { file: "shared/sync/frames.ts", find: "PROTOCOL_MAX = 1;", replace: "PROTOCOL_MAX = 2;" },
    ]),
  ]);
});
afterAll(async () => {
  for (const resource of [newer, other, beds]) await resource[Symbol.asyncDispose]();
});

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body, { shared: beds }));
}

/** The edge of a site in another version: same data, same ports. */
async function exchangeEdge(
  bed: TestBed,
  site: Site,
  from: EdgeProcess,
  tree: PatchedTree | null,
): Promise<EdgeProcess> {
  expect(await from.stop()).toBe(0);
  return await bed.startEdge({
    dataDir: from.dataDir,
    addresses: from.addresses,
    cloudUrl: site.cloud.addresses.rpc,
    edgeKey: site.record.routingKey,
    secret: site.record.secret,
    ...(tree === null ? {} : { program: [process.execPath, `${tree.dir}/edge/main.ts`] }),
  });
}

interface Alarm {
  readonly id: { readonly id: string };
  readonly type: string;
}

const alarmOf = (deviceId: string) => ({
  originator: { entityType: "DEVICE", id: deviceId },
  type: "Too hot",
  severity: "CRITICAL",
});

const alarmsOf = async (api: RestClient, deviceId: string): Promise<readonly string[]> =>
  (await api.request<Page<Alarm>>("GET", `/api/alarm/DEVICE/${deviceId}?pageSize=10&page=0`)).data.map(
    ({ id }) => id.id,
  );

describe("an edge", () => {
  scenario("that is upgraded and rolled back with a backlog loses nothing", async (bed) => {
    const cloud = await bed.startCloud();
    const uplink = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const site = await bed.startSite({ ...cloud, addresses: { ...cloud.addresses, rpc: uplink.url } });
    const device = await site.edgeApi.createDevice("Upgraded");
    const readings = makeReadings(300);
    const publish = async (edge: EdgeProcess, from: number): Promise<void> => {
      await using mqtt = await bed.connectDevice(edge, device.token);
      for (const reading of readings.slice(from, from + 100)) await mqtt.sendTelemetry(reading);
    };
    uplink.setMode("refuse");
    uplink.cut();
    await publish(site.edge, 0);
    const upgraded = await exchangeEdge(bed, site, site.edge, newer);
    await publish(upgraded, 100);
    const rolledBack = await exchangeEdge(bed, site, upgraded, null);
    await publish(rolledBack, 200);
    expect(rolledBack.log()).toContain("A newer version used this database");
    uplink.setMode("pass");
    await waitForDrain(rolledBack);
    await expectHistory(site.cloudApi, device.id, readings);
  });

  scenario("that is older than the cloud takes what it knows, and the rest once it is upgraded", async (bed) => {
    const cloud = await bed.startCloud();
    const old = { program: [process.execPath, `${other.dir}/edge/main.ts`] };
    const site = await bed.startSite(cloud, old);
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const device = await cloudApi.createDevice("Known to both");
    await cloudApi.assignDevice(edgeId, device.id);
    const alarm = await cloudApi.request<Alarm>("POST", "/api/alarm", alarmOf(device.id));
    const refused = await waitFor("the edge to refuse the alarm", async () =>
      (await cloudApi.edgeEvents(edgeId)).find(({ state }) => state === "failed"),
    );
    expect(refused.reason).toContain("of a kind that this version does not know");
    await cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { after: true });
    await waitFor(
      "what comes after it",
      async () => (await edgeApi.readAttributes(device.id, "SHARED_SCOPE"))["after"],
    );
    const upgraded = await exchangeEdge(bed, site, edge, null);
    await waitForLink(upgraded);
    await waitFor("the alarm", async () => (await alarmsOf(edgeApi, device.id)).includes(alarm.id.id));
  });

  scenario("that is newer than the cloud keeps what that does not know until it does", async (bed) => {
    const dataDir = `${await bed.createFolder("cloud")}/data`;
    const cloud = await bed.startCloud({ dataDir, sourceDir: other.dir });
    const { cloudApi, edge, edgeApi } = await bed.startSite(cloud);
    const device = await edgeApi.createDevice("Made on the newer");
    const alarm = await edgeApi.request<Alarm>("POST", "/api/alarm", alarmOf(device.id));
    const parked = async () =>
      (await edgeApi.request<Page<{ readonly code: string }>>("GET", "/api/edge/parked?pageSize=10&page=0")).data;
    await waitFor("the cloud to refuse the alarm", async () => (await parked()).length === 1);
    expect(await parked()).toMatchObject([{ code: "UNSUPPORTED_ITEM" }]);
    await using mqtt = await bed.connectDevice(edge, device.token);
    const readings = makeReadings(20);
    for (const reading of readings) await mqtt.sendTelemetry(reading);
    await expectHistory(cloudApi, device.id, readings);

    expect(await cloud.stop()).toBe(0);
    await bed.startCloud({ dataDir, addresses: cloud.addresses });
    await waitForLink(edge);
    await edgeApi.request("POST", "/api/edge/parked/replay?lane=config");
    await waitFor("the alarm", async () => (await alarmsOf(cloudApi, device.id)).includes(alarm.id.id));
  });
});
