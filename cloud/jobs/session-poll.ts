import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";
import type { SentDownlinks, SessionNews, SessionRef } from "../store/session-news.ts";
import type { LiveSessions } from "../sync/live-sessions.ts";

export interface SessionPollDeps {
  readonly live: Pick<LiveSessions, "held" | "sentSeq" | "wake" | "end">;
  /** Of these sessions: those that are not the newest of their edge, and those with downlinks that were not acknowledged. */
  readonly findNews: (held: readonly SessionRef[]) => Promise<readonly SessionNews[]>;
  readonly noteSent: (sent: readonly SentDownlinks[]) => Promise<void>;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "counter">;
  readonly log: Log;
}

export interface SessionPoll {
  /** Looks now, as when words of other replicas may have been missed. */
  look(): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

const INTERVAL_MS = 1_000;

/**
 * Stands behind every hint that a session may miss: wakes it for downlinks that were committed without a word to this process, ends it
 * when a newer one took over elsewhere or its edge is gone. Keeps how far downlinks are that take longer than a look.
 */
export function createSessionPoll(deps: SessionPollDeps): SessionPoll {
  const { clock, log } = deps;
  const look = (): Promise<void> =>
    lookAtSessions(deps).catch((error: unknown) =>
      log.warn("Sessions can't be looked at in the database; it is tried again", { error }),
    );
  return {
    look,
    run: (signal) =>
      repeat(
        look,
        { intervalMs: INTERVAL_MS, sleep: (delayMs, abort) => clock.sleep(delayMs, abort), onError: () => undefined },
        signal,
      ),
  };
}

async function lookAtSessions({ live, findNews, noteSent, metrics }: SessionPollDeps): Promise<void> {
  const held = new Map(live.held().map((edge) => [edge.edgeId, edge.session]));
  if (held.size === 0) return;
  const behind: Uuid[] = [];
  const sent: SentDownlinks[] = [];
  const refs = [...held].map(([edgeId, session]) => ({ edgeId, session }));
  for (const { edgeId, session, downlinkLast, downlinkSent, isLoadWanted } of await findNews(refs)) {
    const own = held.get(edgeId);
    if (own === undefined) continue;
    if (session !== own) {
      live.end(edgeId, own + 1, session === null ? "NOT_FOUND" : "SESSION_FENCED");
      continue;
    }
    // Of now: it may have gone on since. One that is not live yet looks for itself.
    const sentSeq = live.sentSeq(edgeId);
    if (sentSeq === null) continue;
    if (sentSeq < downlinkLast || isLoadWanted) behind.push(edgeId);
    if (sentSeq > downlinkSent) sent.push({ edgeId, session, sentSeq });
  }
  live.wake(behind);
  metrics.counter("skerry_downlink_wakes_total", ["source"]).inc({ source: "poll" }, behind.length);
  if (sent.length > 0) await noteSent(sent);
}
