import { expect } from "bun:test";
import { runMqttLoad } from "../bench/mqtt-load.ts";
import { isConnected, readEdgeStatus, waitForDrain, waitForLink } from "./edge-status.ts";
import type { MqttDevice } from "./mqtt-device.ts";
import type { CloudProcess, EdgeOptions } from "./processes.ts";
import type { RestClient, TestDevice } from "./rest-client.ts";
import { startTcpProxy, type LinkOptions, type TcpProxy } from "./tcp-proxy.ts";
import type { Site, TestBed } from "./test-bed.ts";
import { waitFor } from "./wait-for.ts";

export const FIRST_TS_MS = 1_700_000_000_000;
export const CLIENTS = 4;
/** About 100,000 messages take some seconds. */
export const MODEST_LINK: LinkOptions = { delayMs: 20, bytesPerS: 100_000 };

/** A site behind a link that the test can break, devices with a backlog, and one whose messages are fresh. */
export interface FlowSite extends Site {
  readonly proxy: TcpProxy;
  readonly devices: readonly TestDevice[];
  readonly fresh: TestDevice;
}

export async function startFlowSite(
  bed: TestBed,
  { cloud, ...options }: Partial<EdgeOptions> & { readonly cloud: CloudProcess },
): Promise<FlowSite> {
  const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
  const site = await bed.startSite(cloud, { cloudUrl: proxy.url, ...options });
  const devices: TestDevice[] = [];
  for (let index = 0; index <= CLIENTS; index += 1) {
    devices.push(await site.edgeApi.createDevice(`Device ${index} of ${site.edgeId}`));
  }
  await waitForDrain(site.edge);
  const [fresh, ...others] = devices;
  if (fresh === undefined) throw new Error("Expected a device");
  return { ...site, proxy, devices: others, fresh };
}

export async function breakLink({ edge, proxy }: FlowSite): Promise<void> {
  proxy.setMode("refuse");
  proxy.cut();
  await waitFor("the edge to notice", async () => !(await isConnected(edge)));
}

export async function publishBacklog({ devices, edge }: FlowSite, messages: number): Promise<void> {
  const tokens = devices.map(({ token }) => token);
  const port = Number(new URL(edge.addresses.mqtt).port);
  await runMqttLoad({ port, tokens, messagesPerClient: messages / CLIENTS, firstTsMs: FIRST_TS_MS });
}

export async function mendLink({ edge, proxy }: FlowSite, link: LinkOptions): Promise<void> {
  proxy.setLink(link);
  proxy.setMode("pass");
  await waitForLink(edge, { deadlineMs: 70_000, intervalMs: 5 });
}

export async function backlogOf({ edge }: Site): Promise<number> {
  return (await readEdgeStatus(edge)).lanes.telemetry.backlogItems;
}

export async function isInCloud(api: RestClient, deviceId: string, tsMs: number): Promise<boolean> {
  const path = `/api/plugins/telemetry/DEVICE/${deviceId}/values/timeseries`;
  const range = `startTs=${tsMs}&endTs=${tsMs + 1}&limit=1&agg=NONE`;
  const answer = await api.request<Record<string, unknown[]>>("GET", `${path}?keys=n,temperature&${range}`);
  return Object.values(answer).some((points) => points.length > 0);
}

/** Publishes and waits until the cloud has it. @returns ms from the begin of the publish */
export async function measureLag({ cloudApi, fresh }: FlowSite, mqtt: MqttDevice, number: number): Promise<number> {
  const tsMs = FIRST_TS_MS + number;
  const startedMs = performance.now();
  await mqtt.sendTelemetry({ ts: tsMs, values: { n: number } });
  await waitFor(`message ${number} in the cloud`, () => isInCloud(cloudApi, fresh.id, tsMs), { intervalMs: 5 });
  return performance.now() - startedMs;
}

/** Every message is in the cloud, once. */
export async function expectAllThere(site: FlowSite, messages: number): Promise<void> {
  await waitForDrain(site.edge, { deadlineMs: 60_000 });
  for (const { id } of site.devices) expect(await site.cloudApi.readHistory(id)).toHaveLength(messages / CLIENTS);
}
