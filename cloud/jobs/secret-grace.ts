import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { EndedSession } from "../store/secret-grace.ts";
import type { EdgeSignals } from "../sync/edge-signals.ts";

const INTERVAL_MS = 10_000;

export interface SecretGraceDeps {
  /** Takes sessions that were opened with a secret whose time is over the right to write. */
  readonly endSessions: (nowMs: number) => Promise<readonly EndedSession[]>;
  readonly signals: Pick<EdgeSignals, "end">;
  readonly clock: Clock;
  readonly log: Log;
}

/** A session may last for weeks: that its secret stopped opening new ones must end it too. Every replica looks; whoever is first ends it. */
export function runSecretGrace(deps: SecretGraceDeps, signal: AbortSignal): Promise<void> {
  const { clock, endSessions, log, signals } = deps;
  const round = async (): Promise<void> => {
    for (const { edgeId, fence } of await endSessions(clock.nowMs())) {
      signals.end({ edgeId, fence, code: "UNAUTHENTICATED" });
      log.warn("The edge was still connected with its old secret, whose time is over", { edgeId });
    }
  };
  const onError = (error: unknown): void => log.warn("Old secrets can't be looked for; it is tried again", { error });
  const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
  return repeat(round, { intervalMs: INTERVAL_MS, sleep, onError }, signal);
}
