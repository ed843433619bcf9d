import { findDatabaseProcesses, findDescendants, findSameProgram, readPssBytes } from "../support/server-processes.ts";
import { withBenchSite } from "./bench-site.ts";
import type { Measure } from "./measure.ts";

const IDLE_MS = 60_000;
const IDLE_QUICK_MS = 5_000;

/**
 * Memory of the edge and of all processes of its PostgreSQL, connected to the cloud, after 60 s in which nothing was asked of it.
 * A page that several processes share counts in parts: another edge on this machine would make this one look smaller, so the
 * run fails when there is one.
 */
export const edgeIdlePss: Measure = {
  figures: { edge_idle_pss: "MB" },
  async runOnce({ quick }) {
    return await withBenchSite(1, async ({ edge }) => {
      await Bun.sleep(quick ? IDLE_QUICK_MS : IDLE_MS);
      const others = findSameProgram(edge.pid);
      if (others.length > 0) throw new Error(`Other edges run on this machine and share memory: ${others.join(", ")}`);
      const pids = new Set([...findDescendants(edge.pid), ...findDatabaseProcesses(edge.dataDir)]);
      const bytes = [...pids].map(readPssBytes).reduce((total, pss) => total + pss, 0);
      return { edge_idle_pss: bytes / 1e6 };
    });
  },
};
