import type { Clock } from "../../core/clock.ts";
import { WakeUp } from "../../core/deferred.ts";
import { AppError } from "../../core/errors.ts";
import type { Uuid } from "../../core/ids.ts";
import { pauseUntilWoken } from "../../core/woken-pause.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { Log } from "../../observe/log.ts";
import type { AttributeRow } from "../../store/attribute-store.ts";
import type { LatestRow } from "../../store/live-data.ts";

// Who watches entities hears of new values. The database is the only source, so it does not matter which process wrote them: what somebody woke
// is looked at within a moment, and all that is watched is looked through again and again, once for all who watch it: twice a second where no word
// tells of changes, every five seconds where one does. Nothing is read while nobody watches.
//
// A listener is told everything of its entity once after it came, so that nothing falls between what it read itself and the first look.

export interface News {
  readonly latest: readonly LatestRow[];
  readonly attributes: readonly AttributeRow[];
}

/** Must not fail; the next look waits for it. */
export type NewsListener = (news: News) => Promise<void>;

export interface DataWatch {
  /** @returns how to stop @throws AppError TOO_MANY_REQUESTS beyond WATCHED_MAX entities */
  watch(entity: EntityRef, listener: NewsListener): () => void;
  /** These may have new values. */
  wake(ids: readonly Uuid[]): void;
  /** What is watched now. */
  watched(): readonly Uuid[];
  run(signal: AbortSignal): Promise<void>;
}

export interface DataWatchDeps {
  readonly readLatest: (ids: readonly Uuid[]) => Promise<readonly LatestRow[]>;
  readonly readAttributes: (entities: readonly EntityRef[]) => Promise<readonly AttributeRow[]>;
  /** Whether each change of it is followed by `wake`, as far as can be. @default of none */
  readonly isTold?: (entity: EntityRef) => boolean;
  /** Somebody watches this who did not before. @default nobody asks */
  readonly onWatch?: (id: Uuid) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Entities of one process that are watched. */
const WATCHED_MAX = 20_000;
const LOOK_EVERY_MS = 500;
/** At what is told of: for words that were lost. */
const LOOK_AT_TOLD_EVERY_MS = 5_000;
/** Entities that one look takes; more take turns. */
const LOOKED_AT_MAX = 1_000;
/** What is woken meanwhile is looked at together. */
const GATHER_MS = 50;

interface Watched {
  readonly entity: EntityRef;
  /** When it is looked at without a word, monotonic ms. */
  dueMs: number;
  readonly listeners: Set<NewsListener>;
  /** Listeners that were told nothing yet. */
  readonly fresh: Set<NewsListener>;
  /** Time and value of each key, as they were told last. */
  readonly known: Map<string, string>;
}

export function createDataWatch(deps: DataWatchDeps): DataWatch {
  const { clock, log } = deps;
  // In the order in which they were looked at: a look moves them to the end.
  const watched = new Map<Uuid, Watched>();
  const woken = new Set<Uuid>();
  const wakeUp = new WakeUp();
  const someone = new WakeUp();

  const nextLookMs = (entity: EntityRef): number =>
    clock.monotonicMs() + (deps.isTold?.(entity) === true ? LOOK_AT_TOLD_EVERY_MS : LOOK_EVERY_MS);
  const look = async (ids: readonly Uuid[]): Promise<void> => {
    const targets = ids.flatMap((id) => watched.get(id) ?? []);
    if (targets.length === 0) return;
    for (const target of targets) {
      watched.delete(target.entity.id);
      watched.set(target.entity.id, target);
      target.dueMs = nextLookMs(target.entity);
    }
    const entities = targets.map(({ entity }) => entity);
    const [latest, attributes] = await Promise.all([
      deps.readLatest(entities.map(({ id }) => id)),
      deps.readAttributes(entities),
    ]);
    const latestOf = Map.groupBy(latest, (row) => row.entityId);
    const attributesOf = Map.groupBy(attributes, (row) => row.entityId);
    const told = targets.map((target) => {
      const { id } = target.entity;
      return tell(target, { latest: latestOf.get(id) ?? [], attributes: attributesOf.get(id) ?? [] });
    });
    await Promise.all(told);
  };
  /** Those that were woken first, then those that were not looked at for the longest time. */
  const nextIds = (): readonly Uuid[] => {
    const nowMs = clock.monotonicMs();
    const due = watched.values().filter(({ dueMs }) => dueMs <= nowMs);
    const ids = new Set([...woken, ...due.map(({ entity }) => entity.id).take(LOOKED_AT_MAX)].slice(0, LOOKED_AT_MAX));
    for (const id of ids) woken.delete(id);
    if (woken.size > 0) wakeUp.signal();
    return [...ids];
  };
  return {
    watch: (entity, listener) => {
      const isWatched = watched.has(entity.id);
      const target = watched.get(entity.id) ?? newTarget(entity, nextLookMs(entity));
      if (target.listeners.size === 0 && watched.size >= WATCHED_MAX)
        throw new AppError("TOO_MANY_REQUESTS", `Too many entities are watched: at most ${WATCHED_MAX}`);
      watched.set(entity.id, target);
      target.listeners.add(listener);
      target.fresh.add(listener);
      woken.add(entity.id);
      wakeUp.signal();
      someone.signal();
      if (!isWatched) deps.onWatch?.(entity.id);
      return () => {
        target.listeners.delete(listener);
        target.fresh.delete(listener);
        if (target.listeners.size === 0 && watched.get(entity.id) === target) watched.delete(entity.id);
      };
    },
    wake: (ids) => {
      const known = ids.filter((id) => watched.has(id));
      for (const id of known) woken.add(id);
      if (known.length > 0) wakeUp.signal();
    },
    watched: () => [...watched.keys()],
    run: async (signal) => {
      while (!signal.aborted) {
        if (watched.size === 0) await someone.wait(signal).catch(() => undefined);
        await pauseUntilWoken({ clock, wakeUp }, { atMostMs: LOOK_EVERY_MS, gatherMs: GATHER_MS }, signal).catch(
          () => undefined,
        );
        if (signal.aborted) return;
        await look(nextIds()).catch((error: unknown) => log.warn("Watched entities were not looked at", { error }));
      }
    },
  };
}

function newTarget(entity: EntityRef, dueMs: number): Watched {
  return { entity, dueMs, listeners: new Set(), fresh: new Set(), known: new Map() };
}

function tell({ fresh, known, listeners }: Watched, all: News): Promise<unknown> {
  const isNew = (place: string, state: string): boolean => {
    if (known.get(place) === state) return false;
    known.set(place, state);
    return true;
  };
  const news = {
    latest: all.latest.filter(({ key, tsMs, value }) => isNew(key, `${tsMs} ${value}`)),
    attributes: all.attributes.filter(({ key, scope, updatedMs, value }) =>
      isNew(`${scope} ${key}`, `${updatedMs} ${value}`),
    ),
  };
  const hasNews = news.latest.length > 0 || news.attributes.length > 0;
  const told = [...listeners].flatMap((listener) => {
    if (fresh.has(listener)) return [listener(all)];
    return hasNews ? [listener(news)] : [];
  });
  fresh.clear();
  return Promise.all(told);
}
