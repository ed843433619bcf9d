import { describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { readEdgeInfo } from "../support/edge-sync.ts";
import type { EdgeProcess } from "../support/processes.ts";
import type { Reading } from "../support/readings.ts";
import { connectToEdge, type TestDevice } from "../support/rest-client.ts";
import { withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body));
}

/** Of a program that is stopped; owners and modes stay, which PostgreSQL looks at. */
async function copyFolder(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  const copied = Bun.spawn(["cp", "-a", from, to]);
  if ((await copied.exited) !== 0) throw new Error(`Can't copy ${from}`);
}

async function assignDevice({ cloudApi, edgeApi, edgeId }: Site, name: string): Promise<TestDevice> {
  const device = await cloudApi.createDevice(name);
  await cloudApi.assignDevice(edgeId, device.id);
  await waitFor(`${name} to be on the edge`, async () => (await edgeApi.getDevice(device.id)) !== undefined);
  return device;
}

async function publish(
  bed: TestBed,
  edge: EdgeProcess,
  { device, readings }: { readonly device: TestDevice; readonly readings: readonly Reading[] },
): Promise<void> {
  await using mqtt = await bed.connectDevice(edge, device.token);
  await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
}

describe("an edge", () => {
  scenario("whose database was wiped gets everything that is assigned, and the cloud says so", async (bed) => {
    const site = await bed.startSite(await bed.startCloud());
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const device = await assignDevice(site, "Survivor");
    const readings = makeReadings(100);
    await publish(bed, edge, { device, readings: readings.slice(0, 50) });
    await waitForDrain(edge);
    await edge.stop();
    await rm(edge.dataDir, { recursive: true });
    await edge.restart();
    await waitFor("the device to be back", async () => (await edgeApi.getDevice(device.id)) !== undefined);
    expect((await readEdgeInfo(cloudApi, edgeId)).status.notice?.text).toContain("new database");
    await publish(bed, edge, { device, readings: readings.slice(50) });
    await waitForDrain(edge);
    await expectHistory(cloudApi, device.id, readings);
  });

  scenario("that was restored from an older copy goes on without losing anything, on both sides", async (bed) => {
    const site = await bed.startSite(await bed.startCloud());
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const device = await assignDevice(site, "Remembered");
    const leaving = await assignDevice(site, "Leaving");
    const readings = makeReadings(300);
    await publish(bed, edge, { device, readings: readings.slice(0, 100) });
    await waitForDrain(edge);
    await edge.stop();
    const backup = `${edge.dataDir}-backup`;
    await copyFolder(edge.dataDir, backup);

    await edge.restart();
    await waitForLink(edge);
    const born = await edgeApi.createDevice("Born after the copy");
    await publish(bed, edge, { device, readings: readings.slice(100, 150) });
    await waitForDrain(edge);
    await cloudApi.unassignDevice(edgeId, leaving.id);
    await waitFor("the device to leave", async () => (await edgeApi.getDevice(leaving.id)) === undefined);
    await edge.stop();
    await copyFolder(backup, edge.dataDir);
    // Writes on alone until its numbers are past what the cloud has: then they don't tell the two histories apart any more.
    const cloudUrl = "http://127.0.0.1:9";
    const alone = await bed.startEdge({
      dataDir: edge.dataDir,
      cloudUrl,
      edgeKey: "k",
      secret: "s",
      args: ["--insecure"],
    });
    await connectToEdge(alone).createDevice("Made alone");
    await publish(bed, alone, { device, readings: readings.slice(150) });
    await alone.stop();

    await edge.restart();
    await waitForDrain(edge);
    await expectHistory(cloudApi, device.id, readings);
    expect(await cloudApi.findDevice("Made alone")).toBeDefined();
    await waitFor("what was made after the copy", async () => (await edgeApi.getDevice(born.id)) !== undefined);
    await waitFor(
      "what left after the copy to leave again",
      async () => (await edgeApi.getDevice(leaving.id)) === undefined,
    );
    expect((await readEdgeInfo(cloudApi, edgeId)).status.notice?.text).toContain("new database");
    expect(edge.log()).toContain("another history");
  });

  scenario("that was cloned is held by the newer machine alone; the older one and the cloud say why", async (bed) => {
    const cloud = await bed.startCloud();
    const { cloudApi, edge, edgeId, record } = await bed.startSite(cloud);
    await edge.stop();
    const copy = `${edge.dataDir}-clone`;
    await copyFolder(edge.dataDir, copy);
    await edge.restart();
    await waitForLink(edge);
    const access = { cloudUrl: cloud.addresses.rpc, edgeKey: record.routingKey, secret: record.secret };
    const clone = await bed.startEdge({ ...access, dataDir: copy });
    await waitForLink(clone);
    const held = (await readEdgeStatus(clone)).link.session;
    await waitFor("the older machine to be told", async () => {
      const { link } = await readEdgeStatus(edge);
      return link.state === "refused" && link.reason?.code === "IDENTITY_CONFLICT";
    });
    expect((await readEdgeInfo(cloudApi, edgeId)).status.warning).toBe("CLONED");
    expect((await readEdgeStatus(clone)).link).toMatchObject({ state: "live", session: held });

    const born = await connectToEdge(clone).createDevice("Born on the clone");
    await waitForDrain(clone);
    expect(await cloudApi.getDevice(born.id)).toBeDefined();
  });
});

describe("a cloud", () => {
  scenario("that was restored from an older backup hears again what it forgot, and edges go on", async (bed) => {
    const cloud = await bed.startCloud();
    const site = await bed.startSite(cloud);
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const device = await assignDevice(site, "Known");
    const readings = makeReadings(200);
    await publish(bed, edge, { device, readings: readings.slice(0, 100) });
    await waitForDrain(edge);
    await cloud.stop();
    const backup = `${cloud.dataDir}-backup`;
    await copyFolder(cloud.dataDir, backup);

    await cloud.restart();
    await waitForLink(edge);
    const born = await edgeApi.createDevice("Born after the backup");
    await publish(bed, edge, { device, readings: readings.slice(100) });
    const forgotten = await assignDevice(site, "Assigned after the backup");
    await cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { after: 1 });
    await waitFor(
      "the attribute",
      async () => (await edgeApi.readAttributes(device.id, "SHARED_SCOPE"))["after"] === 1,
    );
    await waitForDrain(edge);
    await cloud.stop();
    await copyFolder(backup, cloud.dataDir);
    // People go on before the edge is back: the numbers of its downlinks are given out again.
    const stopped = edge.stop();
    await cloud.restart();
    await stopped;
    await cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit: 1 });
    for (const limit of [2, 3, 4, 5, 6]) await cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit });
    const coming = await cloudApi.createDevice("Made by the restored cloud");
    await cloudApi.assignDevice(edgeId, coming.id);

    await edge.restart();
    await waitForDrain(edge, { deadlineMs: 60_000 });
    await expectHistory(cloudApi, device.id, readings);
    expect((await cloudApi.getDevice(born.id))?.name).toBe("Born after the backup");
    // It was made and assigned in the cloud, which forgot both: the edge tells of it.
    await waitFor("what only the edge knew", async () => (await cloudApi.getDevice(forgotten.id)) !== undefined);
    await waitFor("the new device", async () => (await edgeApi.getDevice(coming.id)) !== undefined);
    await waitFor("the attributes to agree", async () => {
      const values = await edgeApi.readAttributes(device.id, "SHARED_SCOPE");
      return values["limit"] === 6 && !("after" in values);
    });
    expect((await readEdgeInfo(cloudApi, edgeId)).status.notice?.text).toMatch(/backup|older/);
  });
});
