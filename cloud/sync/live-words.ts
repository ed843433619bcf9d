import * as z from "zod";
import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import { isUuid, type Uuid } from "../../shared/core/ids.ts";
import { pauseUntilWoken } from "../../shared/core/woken-pause.ts";
import type { Log } from "../../shared/observe/log.ts";

// Who watches an entity at one replica hears of what another one writes. Each replica says what is watched at it and says so again from
// time to time; whoever writes such an entity says that it changed. What nobody watches elsewhere costs a look-up in a map, whatever comes in.
// Words are hints behind commits: they may be lost, and what is watched is looked at every few seconds anyway (rest/live/data-watch.ts).

export interface LiveWords {
  /** Somebody watches this here from now on. */
  watch(id: Uuid): void;
  /** New values of these were committed here. */
  wake(ids: readonly Uuid[]): void;
  /** What a replica sent, this one included. */
  receive(payload: string): void;
  /** What was said lately may be lost: says again what is watched here. */
  repeat(): void;
  run(signal: AbortSignal): Promise<void>;
}

export interface LiveWordsDeps {
  readonly replicaId: Uuid;
  /** What is watched here. */
  readonly watched: () => readonly Uuid[];
  /** These may have new values. Must not throw. */
  readonly hear: (ids: readonly Uuid[]) => void;
  /** To every replica. */
  readonly notify: (payload: string) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What comes within this time goes out together, an entity once. */
const GATHER_MS = 50;
const REPEAT_EVERY_MS = 10_000;
/** How long a word that something is watched holds: three of them may be lost. */
const WATCHED_FOR_MS = 35_000;
/** Entities that wait to be said, and that are known to be watched elsewhere. Beyond it they are left out: the slow look finds them. */
const WAITING_MAX = 20_000;
const ELSEWHERE_MAX = 100_000;
/** In one payload, which has to stay below 8,000 bytes: an id takes 39. */
const IDS_PER_PAYLOAD = 180;

export function createLiveWords(deps: LiveWordsDeps): LiveWords {
  const { clock, hear, log, notify, replicaId } = deps;
  const watching = new Set<Uuid>();
  const changed = new Set<Uuid>();
  /** Until when somebody elsewhere counts as watching, monotonic ms. */
  const elsewhere = new Map<Uuid, number>();
  const wakeUp = new WakeUp();
  let repeatMs = clock.monotonicMs();

  const add = (waiting: Set<Uuid>, ids: readonly Uuid[]): void => {
    for (const id of ids) if (waiting.size < WAITING_MAX) waiting.add(id);
    if (waiting.size > 0) wakeUp.signal();
  };
  const tidy = (nowMs: number): void => {
    repeatMs = nowMs + REPEAT_EVERY_MS;
    add(watching, deps.watched());
    for (const [id, untilMs] of elsewhere) if (untilMs <= nowMs) elsewhere.delete(id);
  };
  const send = async (): Promise<void> => {
    const payloads = [...toPayloads(replicaId, "watch", watching), ...toPayloads(replicaId, "changed", changed)];
    watching.clear();
    changed.clear();
    for (const payload of payloads) {
      await notify(payload).catch((error: unknown) => log.debug("Other replicas were not told of values", { error }));
    }
  };
  return {
    watch: (id) => add(watching, [id]),
    wake: (ids) => {
      if (elsewhere.size === 0) return;
      const nowMs = clock.monotonicMs();
      add(
        changed,
        ids.filter((id) => (elsewhere.get(id) ?? 0) > nowMs),
      );
    },
    receive: (payload) => {
      const word = parseWord(payload);
      if (word === null) return;
      // From now on the others know; what they wrote until now is found by a look.
      if (word.from === replicaId) return hear(word.watch);
      const untilMs = clock.monotonicMs() + WATCHED_FOR_MS;
      for (const id of word.watch) if (elsewhere.has(id) || elsewhere.size < ELSEWHERE_MAX) elsewhere.set(id, untilMs);
      hear(word.changed);
    },
    repeat: () => add(watching, deps.watched()),
    run: async (signal) => {
      while (!signal.aborted) {
        const atMostMs = repeatMs - clock.monotonicMs();
        await pauseUntilWoken({ clock, wakeUp }, { atMostMs, gatherMs: GATHER_MS }, signal).catch(() => undefined);
        if (signal.aborted) return;
        if (clock.monotonicMs() >= repeatMs) tidy(clock.monotonicMs());
        await send();
      }
    },
  };
}

const ids = z.array(z.custom<Uuid>((value) => typeof value === "string" && isUuid(value))).default([]);
/** Words about edges come over the same channel, and say nothing of this. */
const wordSchema = z.object({ from: z.string(), watch: ids, changed: ids });

function parseWord(payload: string): z.output<typeof wordSchema> | null {
  try {
    return wordSchema.parse(JSON.parse(payload));
  } catch {
    return null;
  }
}

function toPayloads(from: Uuid, what: "watch" | "changed", waiting: ReadonlySet<Uuid>): string[] {
  const all = [...waiting];
  return Array.from({ length: Math.ceil(all.length / IDS_PER_PAYLOAD) }, (_, index) =>
    JSON.stringify({ from, [what]: all.slice(index * IDS_PER_PAYLOAD, (index + 1) * IDS_PER_PAYLOAD) }),
  );
}
