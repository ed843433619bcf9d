import type { Uuid } from "../../shared/core/ids.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";

/** Items of one edge that went through this process, since they were taken last. */
export interface Traffic {
  readonly uplinkApplied: number;
  readonly uplinkRejected: number;
  /** Downlinks that the edge has answered, those that it refused included; but what it refuses may be said again, and late. */
  readonly downlinkPushed: number;
  /** Downlinks that the edge refused for good. */
  readonly downlinkFailed: number;
  /** Downlinks that were on their way when their session ended; they are sent again. */
  readonly downlinkUnanswered: number;
}

/** Counts per edge for the statistics, and in total for the metrics: a label per edge would be too many of them. */
export interface EdgeTraffic {
  add(edgeId: Uuid, traffic: Partial<Traffic>): void;
  /** What was counted since the last time; the counts begin anew. */
  take(): ReadonlyMap<Uuid, Traffic>;
  /** What was taken and could not be used. */
  putBack(edgeId: Uuid, traffic: Traffic): void;
}

/** Counts of more edges than this between two takes are dropped from the statistics; the totals hold them. */
const EDGES_MAX = 100_000;
const NOTHING: Traffic = {
  uplinkApplied: 0,
  uplinkRejected: 0,
  downlinkPushed: 0,
  downlinkFailed: 0,
  downlinkUnanswered: 0,
};

export function createEdgeTraffic(metrics: Pick<Metrics, "counter">): EdgeTraffic {
  const uplinks = metrics.counter("skerry_uplinks_total", ["result"]);
  const downlinks = metrics.counter("skerry_downlinks_total", ["result"]);
  let counts = new Map<Uuid, Traffic>();
  const count = (edgeId: Uuid, added: Traffic): void => {
    const before = counts.get(edgeId);
    if (before === undefined && counts.size >= EDGES_MAX) return;
    counts.set(edgeId, before === undefined ? added : sum(before, added));
  };
  return {
    add: (edgeId, traffic) => {
      const added = { ...NOTHING, ...traffic };
      uplinks.inc({ result: "applied" }, added.uplinkApplied);
      uplinks.inc({ result: "rejected" }, added.uplinkRejected);
      downlinks.inc({ result: "applied" }, Math.max(0, added.downlinkPushed - added.downlinkFailed));
      downlinks.inc({ result: "rejected" }, added.downlinkFailed);
      downlinks.inc({ result: "unanswered" }, added.downlinkUnanswered);
      count(edgeId, added);
    },
    putBack: count,
    take: () => {
      const taken = counts;
      counts = new Map();
      return taken;
    },
  };
}

function sum(one: Traffic, other: Traffic): Traffic {
  return {
    uplinkApplied: one.uplinkApplied + other.uplinkApplied,
    uplinkRejected: one.uplinkRejected + other.uplinkRejected,
    downlinkPushed: one.downlinkPushed + other.downlinkPushed,
    downlinkFailed: one.downlinkFailed + other.downlinkFailed,
    downlinkUnanswered: one.downlinkUnanswered + other.downlinkUnanswered,
  };
}
