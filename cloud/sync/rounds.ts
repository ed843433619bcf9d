import type { Uuid } from "../../shared/core/ids.ts";
import type { Turns } from "../../shared/core/turns.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { RoundCounts, RoundResult } from "../../shared/sync/digest-round.ts";
import type { DigestEntry, Entries, TypeDigest } from "../../shared/sync/frames.ts";
import type { CloudRoundPorts } from "../../shared/sync/session-driver.ts";

/** What digest rounds need of the cloud's stores. */
export interface RoundStore {
  readDigest(edgeId: Uuid): Promise<{ readonly request: number; readonly types: readonly TypeDigest[] }>;
  /** Writes downlinks for what differs and `isNew` says should be repaired. */
  repair(edgeId: Uuid, entries: Entries, isNew: (entry: DigestEntry) => boolean): Promise<RoundCounts>;
  completeRound(edgeId: Uuid, result: RoundResult): Promise<void>;
}

export interface EdgeRoundsDeps {
  readonly store: RoundStore;
  /** Over all edges of this process: a digest of a large edge keeps the database busy. */
  readonly turns: Turns;
  readonly log: Log;
}

/** The digest rounds of one session. */
export interface EdgeRounds extends CloudRoundPorts {
  /** Newest request of people that a round of this session answers. */
  readonly request: number;
}

/** Differences that are remembered so that they are not repaired for ever. */
const REMEMBERED_MAX = 10_000;

export function createEdgeRounds(edgeId: Uuid, { store, turns, log }: EdgeRoundsDeps): EdgeRounds {
  const repaired = new Map<Uuid, bigint>();
  let newest = 0;
  /** A difference that looks as it did when it was repaired: the edge refuses what it is sent, say. Again when a person asks. */
  const isNew = ({ id, hash }: DigestEntry): boolean => {
    const isKnown = repaired.get(id) === hash;
    if (!isKnown && repaired.size < REMEMBERED_MAX) repaired.set(id, hash);
    return !isKnown;
  };
  return {
    role: "cloud",
    get request() {
      return newest;
    },
    readDigest: () =>
      turns.take(async () => {
        const digest = await store.readDigest(edgeId);
        if (digest.request > newest) repaired.clear();
        newest = digest.request;
        return digest;
      }),
    repair: (entries) => turns.take(() => store.repair(edgeId, entries, isNew)),
    ended: async (result) => {
      const { missing, stale, surplus, unknown, lasting, isComplete } = result;
      if (missing + stale + surplus + unknown > 0) log.info("Differences are being repaired", { edgeId, ...result });
      if (lasting > 0) log.warn("Differences stay after they were repaired", { edgeId, lasting });
      if (!isComplete) log.warn("The edge did not answer in a digest round", { edgeId });
      await store.completeRound(edgeId, result);
    },
  };
}

/** Spread over a quarter of the time, so that edges which connected together don't stay in step. */
export function roundsEveryMs(edgeId: Uuid, everyMs: number): number {
  const share = Number.parseInt(edgeId.slice(-4), 16) / 0xffff;
  return Math.round(everyMs * (0.875 + share / 4));
}
