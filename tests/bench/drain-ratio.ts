import { withBenchSite } from "./bench-site.ts";
import { drainBacklog } from "./drain.ts";
import type { Measure } from "./measure.ts";

const SMALL = 100_000;
const LARGE = 10_000_000;
const SMALL_QUICK = 20_000;
const LARGE_QUICK = 200_000;
const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;

/** Whether a large backlog drains as fast as a small one: the rate with ten million messages over the rate with 100,000. */
export const drainRatio: Measure = {
  figures: { drain_10m_ratio: "ratio", drain_10m: "msg/s" },
  async runOnce({ quick }) {
    const [small, large] = quick ? [SMALL_QUICK, LARGE_QUICK] : [SMALL, LARGE];
    return await withBenchSite(CLIENTS, async (site) => {
      const smallPerS = await drainBacklog(site, { messages: small, firstTsMs: FIRST_TS_MS });
      const largePerS = await drainBacklog(site, { messages: large, firstTsMs: FIRST_TS_MS + small });
      return { drain_10m_ratio: largePerS / smallPerS, drain_10m: largePerS };
    });
  },
};
