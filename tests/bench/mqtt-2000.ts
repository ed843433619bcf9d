import { findDatabaseProcesses, findDescendants, readProcessorMs, readPssBytes } from "../support/server-processes.ts";
import { withBenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import { quantile, type Measure } from "./measure.ts";
import { defaultPayload } from "./mqtt-load.ts";
import { PacedLoad } from "./paced-load.ts";

const DEVICES = 2000;
const DEVICES_QUICK = 50;
/** Connections are opened so many at once. */
const CONNECTING_MAX = 50;
/** Not measured: sessions, caches and compiled code come to rest. */
const WARM_UP_S = 30;
const MEASURED_S = 60;
const QUICK_S = 3;
const FIRST_TS_MS = 1_700_000_000_000;
/** How often the senders look whose turn it is. */
const STEP_MS = 5;

/**
 * 2,000 devices on one edge, each with a connection of its own and a message a second at QoS 1, spread evenly over the second. Processor
 * time (of one core) and memory are those of the edge with all processes of its PostgreSQL, which sends to the cloud meanwhile.
 */
export const mqtt2000: Measure = {
  figures: { mqtt_2000_cpu: "%", mqtt_2000_pss: "MB", mqtt_2000_ack_p99: "ms" },
  runOnce: ({ quick }) =>
    withBenchSite(quick ? DEVICES_QUICK : DEVICES, async ({ devices, edge }) => {
      const port = Number(new URL(edge.addresses.mqtt).port);
      const load = new PacedLoad({ port, perSecond: devices.length, stepMs: STEP_MS });
      for (let at = 0; at < devices.length; at += CONNECTING_MAX) {
        const part = devices.slice(at, at + CONNECTING_MAX).map(({ token }, index) => ({
          token,
          clientId: `device-${at + index}`,
          payload: (number: number) => defaultPayload(at + index, FIRST_TS_MS + number),
        }));
        await load.connect(part);
      }
      load.start();
      await Bun.sleep((quick ? QUICK_S : WARM_UP_S) * 1000);
      load.takeAcknowledged();
      const findPids = (): number[] => [
        ...new Set([...findDescendants(edge.pid), ...findDatabaseProcesses(edge.dataDir)]),
      ];
      const processorMs = (): number => findPids().reduce((sum, pid) => sum + readProcessorMs(pid), 0);
      const startedMs = performance.now();
      const startedProcessorMs = processorMs();
      await Bun.sleep((quick ? QUICK_S : MEASURED_S) * 1000);
      const share = (processorMs() - startedProcessorMs) / (performance.now() - startedMs);
      const pssBytes = findPids().reduce((sum, pid) => sum + readPssBytes(pid), 0);
      const latenciesMs = load.takeAcknowledged().map(({ latencyMs }) => latencyMs);
      const sent = (await load.stop()).reduce((sum, count) => sum + count, 0);
      const stored = await countTelemetryRows(edge.dataDir);
      if (stored !== sent) throw new Error(`Acknowledged ${sent} messages, stored ${stored}`);
      return {
        mqtt_2000_cpu: share * 100,
        mqtt_2000_pss: pssBytes / 1e6,
        mqtt_2000_ack_p99: quantile(latenciesMs, 0.99),
      };
    }),
};
