import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import type { QuotaState, SyncFacts, SyncVerdict } from "../../shared/core/sync-states.ts";
import { judgeSync, SENDING_AFTER_MS } from "../../shared/core/sync-states.ts";
import type { EdgeReport, ThinnedKey } from "../../shared/sync/edge-report.ts";
import { backlogAgeMs } from "../../shared/sync/edge-report.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import type { LinkStatus } from "./link.ts";

// Tells how the edge stands with the cloud, in the words of shared/core/sync-states.ts: to /status and /metrics when they ask, to the
// cloud when something changed.

export interface SyncStatus extends SyncVerdict {
  /** Wall time since when the state holds, as far as this process has seen. */
  readonly sinceMs: number;
  /** When everything was last in the cloud, as far as this process has seen. */
  readonly lastInSyncMs: number | null;
  /** When the next session is tried; null while there is one or it is being opened. */
  readonly nextAttemptMs: number | null;
}

export interface SyncMonitor {
  observe(): Promise<SyncStatus>;
  /** The state of the link changed. */
  wake(): void;
  /** Reports to the cloud whenever there is something new, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface Backlog {
  readonly lanes: Readonly<Record<UplinkLane, LaneProgress>>;
  readonly parked: Readonly<Record<UplinkLane, number>>;
}

export interface LaneProgress {
  readonly backlogItems: number;
  readonly backlogBytes: number;
  readonly oldestUnsentMs: number | null;
}

export interface SyncMonitorDeps {
  /** Null: this edge works without a cloud. */
  readonly link: () => LinkStatus | null;
  readonly outbox: () => Promise<Backlog>;
  /** Up to where the outbox is written, known without asking the database. */
  readonly written: () => string;
  readonly isDatabaseReady: () => boolean;
  /** To the cloud, if there is a session. */
  readonly report: (report: EdgeReport) => void;
  readonly clock: Clock;
  /** Keys of which less goes up than is stored. @default none */
  readonly thinned?: () => readonly ThinnedKey[];
  /** @default always ok */
  readonly quota?: () => QuotaState;
}

export interface SyncMonitorOptions {
  /** A larger difference of the clocks is worth a warning. */
  readonly clockSkewMaxMs: number;
}

/** Between two reports, and between two looks at the backlog. */
const INTERVAL_MS = 10_000;
const COUNT_EVERY_MS = 60_000;

export function createSyncMonitor(deps: SyncMonitorDeps, options: SyncMonitorOptions): SyncMonitor {
  return new EdgeSyncMonitor(deps, options);
}

class EdgeSyncMonitor implements SyncMonitor {
  readonly #deps: SyncMonitorDeps;
  readonly #options: SyncMonitorOptions;
  readonly #wakeUp = new WakeUp();
  #since: Pick<SyncStatus, "state" | "sinceMs"> | null = null;
  #lastInSyncMs: number | null = null;
  #reported = { session: null as number | null, text: "" };
  #counted: { readonly atMs: number; readonly keys: readonly ThinnedKey[] } = { atMs: -Infinity, keys: [] };
  /** The last look at the backlog, if nothing waited then. */
  #settled: { readonly written: string; readonly backlog: Backlog } | null = null;

  constructor(deps: SyncMonitorDeps, options: SyncMonitorOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  wake(): void {
    this.#wakeUp.signal();
  }

  async observe(): Promise<SyncStatus> {
    return this.#judge(await this.#readBacklog());
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    for (let isWoken = true; !signal.aborted;) {
      this.#report(await this.#look(isWoken));
      // A link that flaps must not make a report of every change.
      await clock.sleep(1_000, signal).catch(() => undefined);
      const timer = new AbortController();
      const ended = AbortSignal.any([signal, timer.signal]);
      const due = clock.sleep(INTERVAL_MS, ended).then(
        () => false,
        () => false,
      );
      const woken = this.#wakeUp.wait(ended).then(
        () => true,
        () => false,
      );
      isWoken = await Promise.race([due, woken]);
      timer.abort();
    }
  }

  /**
   * Where nothing waited and nothing was written since, nothing waits: an edge that is idle leaves its database alone, whose connections
   * close then. Only a new session may find otherwise, for a cloud that was set back, and it wakes the monitor.
   */
  async #look(isWoken: boolean): Promise<Backlog | null> {
    const written = this.#deps.written();
    if (!isWoken && this.#settled?.written === written && this.#deps.isDatabaseReady()) return this.#settled.backlog;
    const backlog = await this.#readBacklog();
    this.#settled = backlog !== null && isSettled(backlog) ? { written, backlog } : null;
    return backlog;
  }

  #report(backlog: Backlog | null): void {
    const { clock, link, quota, report } = this.#deps;
    const { sinceMs, state } = this.#judge(backlog);
    const current = link();
    if (current?.state !== "live" || backlog === null) return;
    const nowMs = clock.nowMs();
    const news = {
      lanes: UPLINK_LANES.map((lane) => ({ lane, ...waiting(backlog.lanes[lane], nowMs) })),
      parkedItems: parkedIn(backlog),
      quota: quota?.() ?? "ok",
      state,
      ...this.#thinned(),
    };
    const text = JSON.stringify(news);
    if (this.#reported.session === current.session && this.#reported.text === text) return;
    report({ ...news, wallClockMs: nowMs, stateForMs: nowMs - sinceMs });
    this.#reported = { session: current.session, text };
  }

  /** Counted anew once a minute: each count would make a report. */
  #thinned(): Pick<EdgeReport, "thinned"> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#counted.atMs >= COUNT_EVERY_MS)
      this.#counted = { atMs: nowMs, keys: this.#deps.thinned?.() ?? [] };
    const { keys } = this.#counted;
    return keys.length === 0 ? {} : { thinned: keys };
  }

  /** Null: it can't be told now. */
  async #readBacklog(): Promise<Backlog | null> {
    const { isDatabaseReady, outbox } = this.#deps;
    return isDatabaseReady() ? outbox().catch(() => null) : null;
  }

  #judge(backlog: Backlog | null): SyncStatus {
    const { clock, isDatabaseReady, link, quota } = this.#deps;
    const current = link();
    const nowMs = clock.nowMs();
    const verdict = judgeSync({
      side: "edge",
      ...sessionFacts(current),
      isDatabaseDown: !isDatabaseReady(),
      backlogAgeMs: backlog === null ? null : ageOf(backlog, nowMs),
      ackWaitMs: current?.ackWaitMs ?? null,
      parkedItems: backlog === null ? 0 : parkedIn(backlog),
      skewMs: current?.clockSkewMs ?? null,
      skewMsMax: this.#options.clockSkewMaxMs,
      quota: quota?.() ?? "ok",
    });
    const { state } = verdict;
    if (this.#since?.state !== state) this.#since = { state, sinceMs: nowMs };
    if (state === "IN_SYNC") this.#lastInSyncMs = nowMs;
    const { sinceMs } = this.#since;
    return { ...verdict, sinceMs, lastInSyncMs: this.#lastInSyncMs, nextAttemptMs: current?.nextAttemptMs ?? null };
  }
}

function sessionFacts(link: LinkStatus | null): Pick<SyncFacts, "session" | "ended"> {
  if (link === null) return { session: "none" };
  if (link.state === "live") return { session: "live" };
  return link.reason === null ? { session: "connecting" } : { session: "ended", ended: link.reason };
}

function isSettled(backlog: Backlog): boolean {
  return parkedIn(backlog) === 0 && UPLINK_LANES.every((lane) => backlog.lanes[lane].backlogItems === 0);
}

function parkedIn({ parked }: Backlog): number {
  return UPLINK_LANES.reduce((sum, lane) => sum + parked[lane], 0);
}

function ageOf({ lanes }: Backlog, nowMs: number): number | null {
  const waitingLanes = UPLINK_LANES.map((lane) => ({
    lane,
    items: 1,
    bytes: null,
    oldestMs: lanes[lane].oldestUnsentMs,
  }));
  return backlogAgeMs({ wallClockMs: nowMs, lanes: waitingLanes });
}

/** What is always under way while devices send is no backlog: it would make a report every time. */
function waiting({ backlogBytes, backlogItems, oldestUnsentMs }: LaneProgress, nowMs: number) {
  if (oldestUnsentMs === null || nowMs - oldestUnsentMs < SENDING_AFTER_MS)
    return { items: 0, bytes: 0, oldestMs: null };
  return { items: backlogItems, bytes: backlogBytes, oldestMs: oldestUnsentMs };
}
