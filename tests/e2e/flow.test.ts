import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { countTelemetryRows } from "../bench/database.ts";
import { quantile } from "../bench/measure.ts";
import { runMqttLoad } from "../bench/mqtt-load.ts";
import { isConnected, readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import type { MqttDevice } from "../support/mqtt-device.ts";
import type { CloudProcess, EdgeOptions } from "../support/processes.ts";
import type { RestClient, TestDevice } from "../support/rest-client.ts";
import { startTcpProxy, type LinkOptions, type TcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

const FIRST_TS_MS = 1_700_000_000_000;
const CLIENTS = 4;
/** About 100,000 messages take some seconds. */
const MODEST_LINK: LinkOptions = { delayMs: 20, bytesPerS: 100_000 };
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

/** A site behind a link that the test can break, devices with a backlog, and one whose messages are fresh. */
interface FlowSite extends Site {
  readonly proxy: TcpProxy;
  readonly devices: readonly TestDevice[];
  readonly fresh: TestDevice;
}

async function startFlowSite(
  bed: TestBed,
  { ownCloud = cloud, ...options }: Partial<EdgeOptions> & { readonly ownCloud?: CloudProcess } = {},
): Promise<FlowSite> {
  const proxy = bed.use(await startTcpProxy(ownCloud.addresses.rpc));
  const site = await bed.startSite(ownCloud, { cloudUrl: proxy.url, ...options });
  const devices: TestDevice[] = [];
  for (let index = 0; index <= CLIENTS; index += 1) {
    devices.push(await site.edgeApi.createDevice(`Device ${index} of ${site.edgeId}`));
  }
  await waitForDrain(site.edge);
  const [fresh, ...others] = devices;
  if (fresh === undefined) throw new Error("Expected a device");
  return { ...site, proxy, devices: others, fresh };
}

async function breakLink({ edge, proxy }: FlowSite): Promise<void> {
  proxy.setMode("refuse");
  proxy.cut();
  await waitFor("the edge to notice", async () => !(await isConnected(edge)));
}

async function publishBacklog({ devices, edge }: FlowSite, messages: number): Promise<void> {
  const tokens = devices.map(({ token }) => token);
  const port = Number(new URL(edge.addresses.mqtt).port);
  await runMqttLoad({ port, tokens, messagesPerClient: messages / CLIENTS, firstTsMs: FIRST_TS_MS });
}

async function mendLink({ edge, proxy }: FlowSite, link: LinkOptions): Promise<void> {
  proxy.setLink(link);
  proxy.setMode("pass");
  await waitForLink(edge, { deadlineMs: 70_000, intervalMs: 5 });
}

async function backlogOf({ edge }: Site): Promise<number> {
  return (await readEdgeStatus(edge)).lanes.telemetry.backlogItems;
}

async function isInCloud(api: RestClient, deviceId: string, tsMs: number): Promise<boolean> {
  const path = `/api/plugins/telemetry/DEVICE/${deviceId}/values/timeseries`;
  const range = `startTs=${tsMs}&endTs=${tsMs + 1}&limit=1&agg=NONE`;
  const answer = await api.request<Record<string, unknown[]>>("GET", `${path}?keys=n,temperature&${range}`);
  return Object.values(answer).some((points) => points.length > 0);
}

/** Publishes and waits until the cloud has it. @returns ms from the begin of the publish */
async function measureLag({ cloudApi, fresh }: FlowSite, mqtt: MqttDevice, number: number): Promise<number> {
  const tsMs = FIRST_TS_MS + number;
  const startedMs = performance.now();
  await mqtt.sendTelemetry({ ts: tsMs, values: { n: number } });
  await waitFor(`message ${number} in the cloud`, () => isInCloud(cloudApi, fresh.id, tsMs), { intervalMs: 5 });
  return performance.now() - startedMs;
}

describe("fresh telemetry", () => {
  scenario("is in the cloud within a second while a backlog of 100,000 messages drains", async (bed) => {
    const site = await startFlowSite(bed);
    await breakLink(site);
    await publishBacklog(site, 100_000);
    const mqtt = await bed.connectDevice(site.edge, site.fresh.token);
    await mendLink(site, MODEST_LINK);
    const lags: number[] = [];
    let left = await backlogOf(site);
    expect(left).toBe(100_000);
    // The last fresh one may be in the cloud already and still wait for its ack.
    while (left > 1) {
      lags.push(await measureLag(site, mqtt, lags.length));
      left = await backlogOf(site);
    }
    expect(lags.length).toBeGreaterThan(3);
    expect(quantile(lags, 0.99)).toBeLessThan(1_000);
    await expectAllThere(site, 100_000);
  });

  slowScenario("waits its turn when the order is oldest-first", async (bed) => {
    const site = await startFlowSite(bed, { env: { SKERRY_BACKLOG_ORDER: "oldest-first" } });
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
    const site = await startFlowSite(bed, { args: ["--backlog-order", "newest-first"] });
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
    const site = await startFlowSite(bed);
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
    const site = await startFlowSite(bed, { ownCloud });
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

async function expectAllThere(site: FlowSite, messages: number): Promise<void> {
  await waitForDrain(site.edge, { deadlineMs: 60_000 });
  for (const { id } of site.devices) expect(await site.cloudApi.readHistory(id)).toHaveLength(messages / CLIENTS);
}
