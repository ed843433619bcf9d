import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { countTelemetryRows } from "../bench/database.ts";
import { readEdgeStatus, waitForDrain } from "../support/edge-status.ts";
import {
  backlogOf,
  breakLink,
  CLIENTS,
  expectAllThere,
  FIRST_TS_MS,
  isInCloud,
  measureLag,
  mendLink,
  MODEST_LINK,
  publishBacklog,
  startFlowSite,
} from "../support/flow-site.ts";
import type { CloudProcess } from "../support/processes.ts";
import type { LinkOptions } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

const KBIT_50: LinkOptions = { delayMs: 50, bytesPerS: 6_250 };

let shared: TestBed;
let cloud: CloudProcess;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
});
afterAll(async () => await shared[Symbol.asyncDispose]());

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body, { shared }));
}

/** What a slow link takes long for, so that some can run at once. */
function slowScenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test.concurrent(name, async () => await withTestBed(body, { shared }));
}

describe("fresh telemetry", () => {
  slowScenario("waits its turn when the order is oldest-first", async (bed) => {
    const site = await startFlowSite(bed, { cloud, env: { SKERRY_BACKLOG_ORDER: "oldest-first" } });
    await breakLink(site);
    await publishBacklog(site, 40_000);
    const mqtt = await bed.connectDevice(site.edge, site.fresh.token);
    await mendLink(site, MODEST_LINK);
    await measureLag(site, mqtt, 1);
    for (const { id } of site.devices) {
      expect(await isInCloud(site.cloudApi, id, FIRST_TS_MS + 40_000 / CLIENTS - 1)).toBe(true);
    }
    await expectAllThere(site, 40_000);
  });
});

describe("a backlog", () => {
  slowScenario("goes from its newest on when the order is newest-first", async (bed) => {
    const site = await startFlowSite(bed, { cloud, args: ["--backlog-order", "newest-first"] });
    await breakLink(site);
    await publishBacklog(site, 40_000);
    await mendLink(site, MODEST_LINK);
    const [device] = site.devices;
    const isThere = (index: number) => isInCloud(site.cloudApi, device?.id ?? "", FIRST_TS_MS + index);
    await waitFor("the newest message in the cloud", () => isThere(40_000 / CLIENTS - 1));
    expect(await isThere(0)).toBe(false);
    await waitForDrain(site.edge, { deadlineMs: 60_000 });
    await expectAllThere(site, 40_000);
  });

  slowScenario("of large messages drains over 50 kbit/s in one session, and attributes overtake it", async (bed) => {
    const site = await startFlowSite(bed, { cloud });
    const { cloudApi, edge, fresh } = site;
    await breakLink(site);
    const mqtt = await bed.connectDevice(edge, fresh.token);
    // What hardly compresses, in few commits: as one frame a commit would take longer than a peer may be silent.
    const noise = (): string => crypto.getRandomValues(new Uint8Array(600)).toBase64();
    const publish = (tsMs: number) => mqtt.sendTelemetry({ ts: tsMs, values: { n: tsMs, noise: noise() } });
    await Promise.all(Array.from({ length: 200 }, (_, index) => publish(FIRST_TS_MS + index)));
    await mendLink(site, KBIT_50);
    const before = (await readEdgeStatus(edge)).link.session;
    await mqtt.publish("v1/devices/me/attributes", { urgent: true });
    const isUrgentThere = async () => (await cloudApi.readAttributes(fresh.id, "CLIENT_SCOPE"))["urgent"] === true;
    await waitFor("the attribute in the cloud", isUrgentThere, { deadlineMs: 10_000 });
    expect(await backlogOf(site)).toBeGreaterThan(0);
    await waitForDrain(edge, { deadlineMs: 60_000 });
    expect((await readEdgeStatus(edge)).link.session).toBe(before);
    expect(await cloudApi.readHistory(fresh.id)).toHaveLength(200);
  });

  scenario("arrives whole when edge and cloud are killed again and again while it drains", async (bed) => {
    const ownCloud = await bed.startCloud();
    const site = await startFlowSite(bed, { cloud: ownCloud });
    const { edge } = site;
    await breakLink(site);
    await publishBacklog(site, 100_000);
    const mqtt = await bed.connectDevice(edge, site.fresh.token);
    let fresh = 0;
    const publishFresh = async (): Promise<void> => {
      for (let count = 0; count < 20; count += 1, fresh += 1)
        await mqtt.sendTelemetry({ ts: FIRST_TS_MS + fresh, values: { n: fresh } });
    };
    await mendLink(site, MODEST_LINK);
    for (const victim of [edge, ownCloud, edge, ownCloud]) {
      const before = await backlogOf(site);
      await publishFresh();
      await waitFor("the backlog to shrink", async () => (await backlogOf(site)) < before, { deadlineMs: 70_000 });
      await victim.kill();
      await victim.restart();
      await publishFresh();
    }
    expect(await backlogOf(site)).toBeGreaterThan(0);
    site.proxy.setLink({});
    await waitForDrain(edge, { deadlineMs: 70_000 });
    expect(await countTelemetryRows(ownCloud.dataDir)).toBe(100_000 + fresh);
    expect(await countTelemetryRows(edge.dataDir)).toBe(100_000 + fresh);
    expect(await site.cloudApi.readHistory(site.fresh.id)).toHaveLength(fresh);
  });
});
