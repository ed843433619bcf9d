import { describe, expect, test } from "bun:test";
import { isConnected, readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { withDatabaseOf } from "../support/program-database.ts";
import type { Reading } from "../support/readings.ts";
import { connectToEdge, type TestDevice } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";
import { Publisher } from "./publisher.ts";

const LINK_DEADLINE_MS = 60_000;

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body));
}

async function assignNewDevice(site: Site, name: string): Promise<TestDevice> {
  const device = await site.cloudApi.createDevice(name);
  await site.cloudApi.assignDevice(site.edgeId, device.id);
  await waitFor(`${name} to be on the edge`, async () => (await site.edgeApi.getDevice(device.id)) !== undefined);
  return device;
}

describe("SIGKILL", () => {
  scenario(
    "of edge, cloud and each database in the middle of publishing loses nothing and doubles nothing",
    async (bed) => {
      const cloud = await bed.startCloud();
      const site = await bed.startSite(cloud);
      const { edge } = site;
      const device = await assignNewDevice(site, "Survivor");
      const publisher = new Publisher(await bed.connectDevice(edge, device.token));
      const publishing = publisher.run();
      await publisher.waitForAcks();

      edge.killDatabase();
      await publisher.waitForAcks();
      cloud.killDatabase();
      await publisher.waitForAcks();
      await edge.killProgram();
      await edge.restart();
      await publisher.waitForAcks();
      await cloud.killProgram();
      await publisher.waitForAcks();
      await cloud.restart();
      await Promise.all([edge.kill(), cloud.kill()]);
      await Promise.all([edge.restart(), cloud.restart()]);
      await publisher.waitForAcks();

      publisher.stop();
      await publishing;
      await waitForDrain(edge, { deadlineMs: LINK_DEADLINE_MS });
      await expectHistory(site.edgeApi, device.id, publisher.acked);
      await expectHistory(site.cloudApi, device.id, publisher.acked);
    },
  );

  scenario("of the database the moment the edge is ready does not end the edge", async (bed) => {
    const edge = await bed.startEdge();
    for (let round = 0; round < 4; round += 1) {
      expect(await edge.stop()).toBe(0);
      await edge.restart();
      edge.killDatabase();
    }
    await waitFor("the database to be back", async () => (await readEdgeStatus(edge)).database.state === "ready");
  });

  scenario("right after a PUBACK finds the message on disk", async (bed) => {
    const edge = await bed.startEdge();
    const api = connectToEdge(edge);
    const device = await api.createDevice("Impatient");
    const acked: Reading[] = [];
    for (const reading of makeReadings(3)) {
      await using mqtt = await bed.connectDevice(edge, device.token);
      await mqtt.sendTelemetry(reading);
      await edge.kill();
      acked.push(reading);
      await edge.restart();
      await expectHistory(api, device.id, acked);
    }
  });
});

describe("outage", () => {
  scenario("assignments, attributes and devices of both sides made during it arrive after it", async (bed) => {
    const cloud = await bed.startCloud();
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const site = await bed.startSite(cloud, { cloudUrl: proxy.url });
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const leaving = await assignNewDevice(site, "Leaving");
    const staying = await assignNewDevice(site, "Staying");
    proxy.setMode("refuse");
    proxy.cut();
    await waitFor("the edge to notice", async () => !(await isConnected(edge)));

    const coming = await cloudApi.createDevice("Coming");
    await cloudApi.assignDevice(edgeId, coming.id);
    await cloudApi.unassignDevice(edgeId, leaving.id);
    await cloudApi.saveAttributes(staying.id, "SHARED_SCOPE", { limit: 7 });
    const events = await cloudApi.edgeEvents(edgeId);
    expect(events.find(({ entityId }) => entityId === coming.id)?.state).toBe("queued");
    const born = await edgeApi.createDevice("Born offline");
    const mqtt = await bed.connectDevice(edge, born.token);
    const readings = makeReadings(200);
    await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
    await expectHistory(edgeApi, born.id, readings);
    const waiting = (await readEdgeStatus(edge)).lanes.telemetry;
    expect(waiting.backlogItems).toBe(200);
    const stored = await withDatabaseOf(
      edge,
      (sql) => sql`select sum(length(payload))::int as bytes from cloud_event where lane = 'telemetry'`,
    );
    expect(stored).toMatchObject([{ bytes: waiting.backlogBytes }]);

    proxy.setMode("pass");
    await waitForLink(edge, { deadlineMs: LINK_DEADLINE_MS });
    await waitFor("the assigned device", async () => (await edgeApi.getDevice(coming.id)) !== undefined);
    await waitFor("the unassigned device to leave", async () => (await edgeApi.getDevice(leaving.id)) === undefined);
    await waitFor("the attribute", async () => {
      const values = await edgeApi.readAttributes(staying.id, "SHARED_SCOPE");
      return values["limit"] === 7;
    });
    expect(await edgeApi.getToken(coming.id)).toBe(coming.token);
    await expectHistory(cloudApi, born.id, readings);
    expect((await cloudApi.getDevice(born.id))?.name).toBe("Born offline");
  });

  scenario("333 messages over links that drop at every twentieth arrive exactly once, in order", async (bed) => {
    const cloud = await bed.startCloud();
    const uplink = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const site = await bed.startSite(cloud, { cloudUrl: uplink.url });
    const device = await assignNewDevice(site, "Flaky");
    const access = bed.use(await startTcpProxy(site.edge.addresses.mqtt));
    const edge = { ...site.edge, addresses: { ...site.edge.addresses, mqtt: `mqtt://127.0.0.1:${access.port}` } };
    const mqtt = await bed.connectDevice(edge, device.token);
    const readings = makeReadings(333);
    for (const [index, reading] of readings.entries()) {
      const acked = mqtt.sendTelemetry(reading);
      // Cut while the message or its acknowledgement is on the way, each link in its turn.
      if (index % 20 === 10) access.cut();
      if (index % 20 === 0) uplink.cut();
      await acked;
    }
    await waitForDrain(site.edge, { deadlineMs: LINK_DEADLINE_MS });
    await expectHistory(site.cloudApi, device.id, readings);
    expect(access.accepted).toBeGreaterThan(10);
  });
});
