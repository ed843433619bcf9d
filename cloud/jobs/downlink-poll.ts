import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { LiveSessions } from "../sync/live-sessions.ts";

const INTERVAL_MS = 1_000;

export interface DownlinkPollDeps {
  readonly live: Pick<LiveSessions, "edgeIds" | "wake">;
  /** Which of these edges have downlinks that they did not acknowledge. */
  readonly findWaiting: (edgeIds: readonly Uuid[]) => Promise<readonly Uuid[]>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Wakes sessions whose downlinks were committed without a word to this process: by another replica, or just before a crash. */
export function pollDownlinks({ live, findWaiting, clock, log }: DownlinkPollDeps, signal: AbortSignal): Promise<void> {
  const round = async (): Promise<void> => {
    const edgeIds = live.edgeIds();
    if (edgeIds.length > 0) live.wake(await findWaiting(edgeIds));
  };
  const onError = (error: unknown): void => log.warn("Downlinks can't be looked for; it is tried again", { error });
  return repeat(
    round,
    { intervalMs: INTERVAL_MS, sleep: (delayMs, abort) => clock.sleep(delayMs, abort), onError },
    signal,
  );
}
