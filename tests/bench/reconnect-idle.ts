import { waitForDrain, waitForLink } from "../support/edge-status.ts";
import type { EdgeProcess } from "../support/processes.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import type { Measure } from "./measure.ts";
import { median } from "./measure.ts";

/** A session that held for 10 s is a stable one. */
const STABLE_MS = 11_000;
const CUTS = 5;

/** From the cut of an idle link, with the cloud in reach, until the edge is live again; the median of several cuts. */
export const reconnectIdle: Measure = {
  figures: { reconnect_idle: "ms" },
  async runOnce({ quick }) {
    await using bed = await createTestBed();
    const cloud = await bed.startCloud();
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const { edge } = await bed.startSite(cloud, { cloudUrl: proxy.url });
    await waitForDrain(edge);
    const timesMs: number[] = [];
    for (let cut = 0; cut < (quick ? 1 : CUTS); cut += 1) {
      await Bun.sleep(STABLE_MS);
      const before = countLive(edge);
      const cutMs = performance.now();
      proxy.cut();
      await waitFor("a new session", () => countLive(edge) > before, { intervalMs: 1 });
      timesMs.push(performance.now() - cutMs);
      await waitForLink(edge);
    }
    return { reconnect_idle: median(timesMs) };
  },
};

/** Sessions that became live so far, by the log: asking the edge would slow it down just then. */
function countLive(edge: EdgeProcess): number {
  return edge.log().split('"state":"live"').length - 1;
}
