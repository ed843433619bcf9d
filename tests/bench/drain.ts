import { readEdgeStatus, waitForLink } from "../support/edge-status.ts";
import type { EdgeProcess } from "../support/processes.ts";
import { waitFor } from "../support/wait-for.ts";
import { withBenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const MESSAGES = 300_000;
const MESSAGES_QUICK = 40_000;
const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;
/** The pause between two attempts of the link grows to a minute while the cloud is away. */
const LINK_LOOK = { intervalMs: 5, deadlineMs: 90_000 };
/** Looking is work for the edge: rarely enough not to slow it down, often enough for half a percent. */
const DRAIN_LOOK = { intervalMs: 20, deadlineMs: 120_000 };

/**
 * The cloud is stopped, the backlog is published by MQTT, the cloud is started: from the begin of the session until the
 * cloud has acknowledged the last message, which it does after the commit. Then its rows are counted.
 */
export const drain: Measure = {
  figures: { drain: "msg/s" },
  async runOnce({ quick }) {
    const messages = quick ? MESSAGES_QUICK : MESSAGES;
    return await withBenchSite(CLIENTS, async ({ cloud, devices, edge }) => {
      await cloud.stop();
      const tokens = devices.map(({ token }) => token);
      const port = Number(new URL(edge.addresses.mqtt).port);
      await runMqttLoad({ port, tokens, messagesPerClient: messages / CLIENTS, firstTsMs: FIRST_TS_MS });
      const { backlogItems } = (await readEdgeStatus(edge)).lanes.telemetry;
      if (backlogItems !== messages) throw new Error(`Expected a backlog of ${messages}, got ${backlogItems}`);

      const [durationMs] = await Promise.all([watchDrain(edge), cloud.restart()]);
      const stored = await countTelemetryRows(cloud.dataDir);
      if (stored !== messages) throw new Error(`Published ${messages} messages, the cloud stored ${stored}`);
      return { drain: (messages * 1000) / durationMs };
    });
  },
};

async function watchDrain(edge: EdgeProcess): Promise<number> {
  await waitForLink(edge, LINK_LOOK);
  const startedMs = performance.now();
  const isSent = async (): Promise<boolean> => (await readEdgeStatus(edge)).lanes.telemetry.backlogItems === 0;
  await waitFor("the backlog to be sent", isSent, DRAIN_LOOK);
  return performance.now() - startedMs;
}
