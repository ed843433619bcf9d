import type { Clock } from "../shared/core/clock.ts";
import type { Task } from "../shared/core/lifecycle.ts";
import type { Log } from "../shared/observe/log.ts";
import type { Metrics } from "../shared/observe/metrics.ts";
import type { Queryable } from "../shared/store/unit-of-work.ts";
import { registerEdgeMetrics } from "./edge-metrics.ts";
import { createEdgeReports, type EdgeReports } from "./jobs/edge-reports.ts";
import { createEdgeStatistics } from "./jobs/edge-statistics.ts";
import { saveReports } from "./store/edge-report-store.ts";
import { saveStatistics } from "./store/edge-statistics-store.ts";
import { readAllEdgeStatuses } from "./store/edge-store.ts";
import { createEdgeTraffic, type EdgeTraffic } from "./sync/edge-traffic.ts";
import type { LiveSessions } from "./sync/live-sessions.ts";

export interface WatchDeps {
  readonly db: Queryable;
  readonly live: LiveSessions;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What people see of edges beside their data: states, reports, statistics. */
export interface EdgeWatch {
  readonly traffic: EdgeTraffic;
  readonly reports: EdgeReports;
  readonly tasks: Readonly<Record<string, Task>>;
}

/** Edges that the metrics look at. */
const EDGES_MAX = 100_000;

export function watchEdges({ clock, db, live, log, metrics }: WatchDeps): EdgeWatch {
  const traffic = createEdgeTraffic(metrics);
  const reports = createEdgeReports({ save: (waiting) => saveReports(db, waiting), clock, log });
  const save: Parameters<typeof createEdgeStatistics>[0]["save"] = (edgeIds, toRecords) =>
    saveStatistics(db, edgeIds, toRecords);
  const statistics = createEdgeStatistics({ live, traffic, save, clock, log });
  registerEdgeMetrics({ metrics, readStatuses: () => readAllEdgeStatuses(db, EDGES_MAX), clock });
  return {
    traffic,
    reports,
    tasks: { edgeReports: (signal) => reports.run(signal), edgeStatistics: (signal) => statistics.run(signal) },
  };
}
