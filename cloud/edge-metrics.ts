import type { Clock } from "../shared/core/clock.ts";
import { SYNC_STATE_NAMES } from "../shared/core/sync-states.ts";
import type { Metrics } from "../shared/observe/metrics.ts";
import { judgeEdge } from "./api/edge-sync-status.ts";
import type { EdgeStatus } from "./store/edge-store.ts";

export interface EdgeMetricsDeps {
  readonly metrics: Metrics;
  /** Of every edge in the database. */
  readonly readStatuses: () => Promise<readonly EdgeStatus[]>;
  readonly clock: Clock;
}

/** A scrape that comes sooner gets what the last one read: several of them must not load the database. */
const FRESH_MS = 5_000;

/** How many edges are in each state: of all of them, so any one replica tells it. */
export function registerEdgeMetrics({ clock, metrics, readStatuses }: EdgeMetricsDeps): void {
  const edges = metrics.gauge("skerry_edges", ["state"]);
  const databaseUp = metrics.gauge("skerry_database_up");
  let readMs = -Infinity;
  metrics.onRender(async () => {
    if (clock.monotonicMs() - readMs < FRESH_MS) return;
    // A metric that can't be read is left out; the others are wanted just then.
    const statuses = await readStatuses().catch(() => null);
    databaseUp.set(statuses === null ? 0 : 1);
    edges.reset();
    if (statuses === null) return;
    readMs = clock.monotonicMs();
    const counts = new Map<string, number>();
    for (const status of statuses) {
      const { state } = judgeEdge(status, clock.nowMs());
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    for (const state of SYNC_STATE_NAMES) edges.set({ state }, counts.get(state) ?? 0);
  });
}
