import { readEdgeStatus, waitForLink } from "../support/edge-status.ts";
import type { EdgeProcess } from "../support/processes.ts";
import { waitFor } from "../support/wait-for.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const MESSAGES = 300_000;
const MESSAGES_QUICK = 40_000;
const CLIENTS = 8;
/** The load is encoded before it is sent: this much at once. */
const MESSAGES_PER_LOAD = 400_000;
const FIRST_TS_MS = 1_700_000_000_000;
/** The pause between two attempts of the link grows to a minute while the cloud is away. */
const LINK_LOOK = { intervalMs: 5, deadlineMs: 90_000 };
/** Looking is work for the edge: rarely enough not to slow it down, often enough for half a percent. */
const DRAIN_LOOK = { intervalMs: 20, deadlineMs: 600_000 };

/**
 * The cloud is stopped, the backlog is published by MQTT, the cloud is started: from the begin of the session until the
 * cloud has acknowledged the last message, which it does after the commit. Then its rows are counted.
 */
export const drain: Measure = {
  figures: { drain: "msg/s" },
  async runOnce({ quick }) {
    const messages = quick ? MESSAGES_QUICK : MESSAGES;
    return await withBenchSite(CLIENTS, async (site) => ({
      drain: await drainBacklog(site, { messages, firstTsMs: FIRST_TS_MS }),
    }));
  },
};

export interface Backlog {
  /** A multiple of the number of devices. */
  readonly messages: number;
  /** Of the first message of each device; each further one is a ms later. */
  readonly firstTsMs: number;
}

/** @returns messages per second */
export async function drainBacklog(site: BenchSite, backlog: Backlog): Promise<number> {
  const { cloud, edge } = site;
  const before = await countTelemetryRows(cloud.dataDir);
  await publishBacklog(site, backlog);
  const [durationMs] = await Promise.all([watchDrain(edge), cloud.restart()]);
  const stored = (await countTelemetryRows(cloud.dataDir)) - before;
  if (stored !== backlog.messages)
    throw new Error(`Published ${backlog.messages} messages, the cloud stored ${stored}`);
  return (backlog.messages * 1000) / durationMs;
}

/** Stops the cloud and leaves the messages with the edge. */
export async function publishBacklog(site: BenchSite, { messages, firstTsMs }: Backlog): Promise<void> {
  const { cloud, devices, edge } = site;
  await cloud.stop();
  const tokens = devices.map(({ token }) => token);
  const port = Number(new URL(edge.addresses.mqtt).port);
  for (let sent = 0; sent < messages; sent += MESSAGES_PER_LOAD) {
    const messagesPerClient = Math.min(MESSAGES_PER_LOAD, messages - sent) / devices.length;
    await runMqttLoad({ port, tokens, messagesPerClient, firstTsMs: firstTsMs + sent / devices.length });
  }
  const { backlogItems } = (await readEdgeStatus(edge)).lanes.telemetry;
  if (backlogItems !== messages) throw new Error(`Expected a backlog of ${messages}, got ${backlogItems}`);
}

/** @param leftItems what may be left of the backlog at the end. @returns ms */
export async function watchDrain(edge: EdgeProcess, leftItems = 0): Promise<number> {
  await waitForLink(edge, LINK_LOOK);
  const startedMs = performance.now();
  const isSent = async (): Promise<boolean> => (await readEdgeStatus(edge)).lanes.telemetry.backlogItems <= leftItems;
  await waitFor("the backlog to be sent", isSent, DRAIN_LOOK);
  return performance.now() - startedMs;
}
