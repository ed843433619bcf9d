import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { backlogAgeMs } from "../../shared/sync/edge-report.ts";
import type { EdgePosition } from "../store/edge-statistics-store.ts";
import type { EdgeTraffic, Traffic } from "../sync/edge-traffic.ts";
import type { LiveSessions } from "../sync/live-sessions.ts";

export interface EdgeStatisticsDeps {
  readonly live: Pick<LiveSessions, "held">;
  readonly traffic: EdgeTraffic;
  /** One transaction: reads where the edges are, marks their downlinks as counted, saves what `toRecords` makes of it. */
  readonly save: (
    edgeIds: readonly Uuid[],
    toRecords: (positions: readonly EdgePosition[]) => readonly TelemetryRecord[],
  ) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface EdgeStatistics {
  /** Saves a point for each edge that had something to do since the last time. */
  save(): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

const INTERVAL_MS = 60_000;

/**
 * Once a minute the traffic of the edges that this process holds becomes telemetry of the edges themselves, in one write for all of
 * them. The names are those of the REST convention.
 */
export function createEdgeStatistics(deps: EdgeStatisticsDeps): EdgeStatistics {
  const { clock, live, log, save, traffic } = deps;
  /** What was saved last of the backlogs, to tell that nothing happened. */
  let lags = new Map<Uuid, string>();

  const round = async (): Promise<void> => {
    const taken = traffic.take();
    const edgeIds = [...new Set([...taken.keys(), ...live.held().map(({ edgeId }) => edgeId)])].toSorted();
    if (edgeIds.length === 0) return;
    const tsMs = Math.round(clock.nowMs());
    const nextLags = new Map<Uuid, string>();
    const toRecord = (position: EdgePosition): TelemetryRecord[] => {
      const counted = taken.get(position.edgeId);
      const lag = lagOf(position);
      const lagText = JSON.stringify(lag);
      nextLags.set(position.edgeId, lagText);
      const isQuiet = counted === undefined && position.downlinksAdded === 0 && lags.get(position.edgeId) === lagText;
      return isQuiet ? [] : [recordOf(position.edgeId, tsMs, { ...countsOf(position, counted), ...lag })];
    };
    try {
      await save(edgeIds, (positions) => positions.flatMap(toRecord));
      lags = nextLags;
    } catch (error) {
      for (const [edgeId, counts] of taken) traffic.putBack(edgeId, counts);
      throw error;
    }
  };
  return {
    save: round,
    run: (signal) =>
      repeat(
        round,
        {
          intervalMs: INTERVAL_MS,
          sleep: (delayMs, abort) => clock.sleep(delayMs, abort),
          onError: (error) => log.warn("Statistics of edges are not stored yet", { error }),
        },
        signal,
      ),
  };
}

function lagOf({ downlinksWaiting, report }: EdgePosition): Readonly<Record<string, number>> {
  const items = report?.lanes.reduce((sum, lane) => sum + lane.items, 0) ?? 0;
  const ageMs = report === null ? 0 : (backlogAgeMs(report) ?? 0);
  return { downlinkMsgsLag: downlinksWaiting, uplinkLagMs: Math.round(ageMs), uplinkMsgsLag: items };
}

function countsOf({ downlinksAdded }: EdgePosition, counted: Traffic | undefined): Readonly<Record<string, number>> {
  const applied = counted?.uplinkApplied ?? 0;
  const rejected = counted?.uplinkRejected ?? 0;
  const failed = counted?.downlinkFailed ?? 0;
  return {
    downlinkMsgsAdded: downlinksAdded,
    downlinkMsgsPermanentlyFailed: failed,
    downlinkMsgsPushed: Math.max(0, (counted?.downlinkPushed ?? 0) - failed),
    downlinkMsgsTmpFailed: counted?.downlinkUnanswered ?? 0,
    uplinkMsgsApplied: applied,
    uplinkMsgsPushed: applied + rejected,
    uplinkMsgsRejected: rejected,
  };
}

/** Whole numbers under plain names: JSON of these is canonical. */
function recordOf(entityId: Uuid, tsMs: number, values: Readonly<Record<string, number>>): TelemetryRecord {
  const sorted = Object.entries(values).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return {
    entityId,
    tsMs,
    values: JSON.stringify(Object.fromEntries(sorted)) as CanonicalJson,
    keySet: sorted.map(([key]) => key).join("\n"),
  };
}
