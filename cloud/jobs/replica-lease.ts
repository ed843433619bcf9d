import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { LeaseRenewal } from "../store/replica-store.ts";
import type { LiveSessions } from "../sync/live-sessions.ts";

export interface ReplicaLeaseDeps {
  readonly store: ReplicaStore;
  readonly live: Pick<LiveSessions, "endAll">;
  /** Stores what is left of ended sessions that the database did not take before. */
  readonly retryEnds: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ReplicaStore {
  join(): Promise<void>;
  renew(leaseMs: number): Promise<LeaseRenewal>;
  /** @returns edges that count as disconnected because their replica is gone */
  endGone(leaseMs: number): Promise<readonly Uuid[]>;
}

export interface ReplicaLease {
  /** Other replicas that were there at the last look. */
  others(): number;
  run(signal: AbortSignal): Promise<void>;
}

const RENEW_MS = 5_000;
/** Three renewals may fail before others take this process for gone. */
export const LEASE_MS = 15_000;

/** Keeps this process in the list of replicas, and ends what others left behind. Any number of processes may do it at once. */
export function createReplicaLease(deps: ReplicaLeaseDeps): ReplicaLease {
  const { clock, log, live, retryEnds, store } = deps;
  let others = 0;
  const round = async (): Promise<void> => {
    const renewal = await store.renew(LEASE_MS);
    others = renewal.others;
    if (!renewal.isHeld) {
      log.warn("Other replicas took this one for gone; its edges connect again");
      await store.join();
      // Their presence was given up. A new session each brings it back.
      void live.endAll("The cloud process lost its lease", 0);
    }
    await retryEnds();
    if (!renewal.isSteady) return;
    const ended = await store.endGone(LEASE_MS);
    if (ended.length > 0) log.warn("Edges of a replica that is gone count as disconnected", { edges: ended.length });
  };
  const onError = (error: unknown): void => log.warn("The lease of this replica was not renewed", { error });
  return {
    others: () => others,
    run: async (signal) => {
      await round().catch(onError);
      await repeat(
        round,
        { intervalMs: RENEW_MS, sleep: (delayMs, abort) => clock.sleep(delayMs, abort), onError },
        signal,
      );
    },
  };
}
