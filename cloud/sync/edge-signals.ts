import * as z from "zod";
import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import { isUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";
import { END_TEXTS, type EndCode, type LiveSessions } from "./live-sessions.ts";

// Who has to hear of a change that concerns edges: a session of this process at once, the other replicas by a word over the channel
// that they share. The word is a hint behind a commit: it may be lost, and each replica looks for itself every second (jobs/session-poll.ts).

export interface EdgeSignals {
  /** Downlinks were committed for these edges. */
  wake(edgeIds: readonly Uuid[]): void;
  /** Sessions of the edge with a number below `fence` are over, wherever they are held. */
  end(ending: Ending): void;
  /** What a replica sent, this one included. */
  receive(payload: string): void;
  /** Sends what others have to hear until the signal aborts, and then the rest. */
  run(signal: AbortSignal): Promise<void>;
}

export interface Ending {
  readonly edgeId: Uuid;
  readonly fence: number;
  readonly code: EndCode;
}

export interface EdgeSignalsDeps {
  readonly replicaId: Uuid;
  readonly live: Pick<LiveSessions, "wake" | "end">;
  /** To every replica. */
  readonly notify: (payload: string) => Promise<void>;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "counter">;
  readonly log: Log;
}

/** What comes within this time goes out together. */
const GATHER_MS = 5;
/** Edges and endings that wait to be sent. Beyond it they are dropped: the poll of their replica finds them. */
const WAITING_MAX = 10_000;
/** In one payload, which has to stay below 8,000 bytes: an id takes 39, an ending 105 at most. */
const WAKES_PER_PAYLOAD = 150;
const ENDINGS_PER_PAYLOAD = 15;

export function createEdgeSignals(deps: EdgeSignalsDeps): EdgeSignals {
  const { clock, live, log, metrics, notify, replicaId } = deps;
  const wakes = metrics.counter("skerry_downlink_wakes_total", ["source"]);
  const waking = new Set<Uuid>();
  const endings = new Map<Uuid, Ending>();
  const wakeUp = new WakeUp();

  const wakeHere = (edgeIds: readonly Uuid[], source: "commit" | "notify"): readonly Uuid[] => {
    const elsewhere = live.wake(edgeIds);
    wakes.inc({ source }, edgeIds.length - elsewhere.length);
    return elsewhere;
  };
  const gather = async (signal: AbortSignal): Promise<void> => {
    await wakeUp.wait(signal);
    await clock.sleep(GATHER_MS, signal);
  };
  const send = async (): Promise<void> => {
    const payloads = toPayloads(replicaId, [...waking], [...endings.values()]);
    waking.clear();
    endings.clear();
    for (const payload of payloads) {
      await notify(payload).catch((error: unknown) => log.warn("Other replicas were not told of changes", { error }));
    }
  };
  return {
    wake: (edgeIds) => {
      for (const edgeId of wakeHere(edgeIds, "commit")) {
        if (waking.size < WAITING_MAX) waking.add(edgeId);
      }
      if (waking.size > 0) wakeUp.signal();
    },
    end: (ending) => {
      live.end(ending.edgeId, ending.fence, ending.code);
      if (endings.size < WAITING_MAX) endings.set(ending.edgeId, ending);
      wakeUp.signal();
    },
    receive: (payload) => {
      const word = parseWord(payload);
      if (word === null) log.debug("A word of another replica is not understood", { bytes: payload.length });
      if (word === null || word.from === replicaId) return;
      wakeHere(word.wake, "notify");
      for (const { edgeId, fence, code } of word.end) live.end(edgeId, fence, code);
    },
    run: async (signal) => {
      while (!signal.aborted) {
        await gather(signal).catch(() => undefined);
        await send();
      }
    },
  };
}

const uuid = z.custom<Uuid>((value) => typeof value === "string" && isUuid(value));

/** Members that are not known here are for newer replicas. */
const wordSchema = z.object({
  from: uuid,
  wake: z.array(uuid).default([]),
  end: z
    .array(
      z.object({
        edgeId: uuid,
        fence: z.number(),
        code: z.custom<EndCode>((value) => typeof value === "string" && Object.hasOwn(END_TEXTS, value)),
      }),
    )
    .default([]),
});

function parseWord(payload: string): z.output<typeof wordSchema> | null {
  try {
    return wordSchema.parse(JSON.parse(payload));
  } catch {
    return null;
  }
}

/** As many payloads as the longer of both needs. */
function toPayloads(from: Uuid, waking: readonly Uuid[], endings: readonly Ending[]): string[] {
  const count = Math.max(Math.ceil(waking.length / WAKES_PER_PAYLOAD), Math.ceil(endings.length / ENDINGS_PER_PAYLOAD));
  return Array.from({ length: count }, (_, index) => {
    const wake = waking.slice(index * WAKES_PER_PAYLOAD, (index + 1) * WAKES_PER_PAYLOAD);
    const end = endings.slice(index * ENDINGS_PER_PAYLOAD, (index + 1) * ENDINGS_PER_PAYLOAD);
    return JSON.stringify({ from, ...(wake.length === 0 ? {} : { wake }), ...(end.length === 0 ? {} : { end }) });
  });
}
