import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { EdgeReport } from "../../shared/sync/edge-report.ts";
import type { SessionReport } from "../store/edge-report-store.ts";

/** Gathers what edges tell of themselves and writes the newest of each, all of them in one statement. */
export interface EdgeReports {
  note(edgeId: Uuid, session: number, report: EdgeReport): void;
  run(signal: AbortSignal): Promise<void>;
}

export interface EdgeReportsDeps {
  readonly save: (reports: readonly SessionReport[]) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

const INTERVAL_MS = 1_000;
/** Edges whose report waits; that of another one is dropped, and its next report comes. */
const WAITING_MAX = 10_000;

export function createEdgeReports({ clock, log, save }: EdgeReportsDeps): EdgeReports {
  let waiting = new Map<Uuid, SessionReport>();
  const write = async (): Promise<void> => {
    if (waiting.size === 0) return;
    const taken = waiting;
    waiting = new Map();
    try {
      await save([...taken.values()]);
    } catch (error) {
      // What came meanwhile is newer.
      waiting = new Map([...taken, ...waiting]);
      throw error;
    }
  };
  return {
    note: (edgeId, session, report) => {
      if (waiting.has(edgeId) || waiting.size < WAITING_MAX) {
        waiting.set(edgeId, { edgeId, session, report, nowMs: clock.nowMs() });
      }
    },
    run: (signal) =>
      repeat(
        write,
        {
          intervalMs: INTERVAL_MS,
          sleep: (delayMs, abort) => clock.sleep(delayMs, abort),
          onError: (error) => log.warn("Reports of edges are not stored yet", { error }),
        },
        signal,
      ),
  };
}
