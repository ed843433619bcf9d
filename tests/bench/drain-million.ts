import { connectToCloud, type TestDevice } from "../support/rest-client.ts";
import { readPeakRssBytes, resetPeakRss } from "../support/server-processes.ts";
import { waitFor } from "../support/wait-for.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import { publishBacklog, watchDrain } from "./drain.ts";
import { quantile, type Measure } from "./measure.ts";

const MESSAGES = 1_000_000;
const MESSAGES_QUICK = 80_000;
const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;
/** Between two fresh messages. */
const PAUSE_MS = 50;
/** Fresh messages that are on their way count as none of the backlog. */
const FRESH_MAX = 50;

/**
 * A million messages wait, the cloud comes back: how fast they drain, what the edge program needs for it at most, and how long a
 * message that is published meanwhile takes from there to a reader in the cloud.
 */
export const drainMillion: Measure = {
  figures: { drain_1m: "msg/s", drain_1m_edge_rss: "MB", live_lag_p99: "ms" },
  async runOnce({ quick }) {
    const messages = quick ? MESSAGES_QUICK : MESSAGES;
    return await withBenchSite(CLIENTS + 1, async (site) => {
      const { cloud, edge } = site;
      const [fresh, ...devices] = site.devices;
      if (fresh === undefined) throw new Error("Expected a device");
      await publishBacklog({ ...site, devices }, { messages, firstTsMs: FIRST_TS_MS });
      resetPeakRss(edge.pid);
      const lags = new FreshMessages(site, fresh);
      const draining = Promise.all([watchDrain(edge, FRESH_MAX), cloud.restart()]);
      await waitFor("the edge to send", async () => (await countTelemetryRows(cloud.dataDir)) > 0, {
        deadlineMs: 90_000,
      });
      const measuring = lags.run();
      const [durationMs] = await draining;
      const rssBytes = readPeakRssBytes(edge.pid);
      const measured = await lags.stop(measuring);
      const stored = await countTelemetryRows(cloud.dataDir);
      const expected = messages + measured.length;
      if (stored !== expected) throw new Error(`Published ${expected} messages, the cloud stored ${stored}`);
      return {
        drain_1m: (messages * 1000) / durationMs,
        drain_1m_edge_rss: rssBytes / 1e6,
        live_lag_p99: quantile(measured, 0.99),
      };
    });
  },
};

/** One message after the other, each from its publish until the cloud shows it. */
class FreshMessages {
  readonly #site: BenchSite;
  readonly #device: TestDevice;
  readonly #lagsMs: number[] = [];
  #isStopped = false;

  constructor(site: BenchSite, device: TestDevice) {
    this.#site = site;
    this.#device = device;
  }

  async run(): Promise<void> {
    const { bed, cloud, edge } = this.#site;
    const api = connectToCloud(cloud);
    await using mqtt = await bed.connectDevice(edge, this.#device.token);
    const path = `/api/plugins/telemetry/DEVICE/${this.#device.id}/values/timeseries?keys=n&useStrictDataTypes=true`;
    for (let n = 0; !this.#isStopped; n += 1) {
      const startedMs = performance.now();
      await mqtt.sendTelemetry({ ts: FIRST_TS_MS + n, values: { n } });
      const isThere = async (): Promise<boolean> => {
        const { n: points } = await api.request<{ readonly n?: readonly { readonly value: number }[] }>("GET", path);
        return points?.[0]?.value === n;
      };
      await waitFor(`fresh message ${n} in the cloud`, isThere, { intervalMs: 10 });
      this.#lagsMs.push(performance.now() - startedMs);
      await Bun.sleep(PAUSE_MS);
    }
  }

  /** @returns the lag of each message, ms */
  async stop(running: Promise<void>): Promise<readonly number[]> {
    this.#isStopped = true;
    await running;
    return this.#lagsMs;
  }
}
