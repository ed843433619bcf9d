import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import { viewedKeys, viewedOf, viewedTimes } from "../entities/entity-view.ts";
import type { TelemetryPoint } from "../entities/telemetry.ts";
import { findEntity } from "./entity-store.ts";
import { readHistory } from "./telemetry-history.ts";
import { listTelemetryKeys, readLatest } from "./telemetry-store.ts";
import type { Queryable } from "./unit-of-work.ts";

/** Whose telemetry is read in the name of an entity, and how much of it. */
export interface SeriesSource {
  readonly entityId: Uuid;
  /** null: all. */
  readonly keys: readonly string[] | null;
  /** Included. */
  readonly startMs: number;
  /** Not included. */
  readonly endMs: number;
}

/** An entity view has no telemetry: it lets some of another's be seen. @returns null when there is nothing to see */
export async function findSeriesSource(db: Queryable, { id, type }: EntityRef): Promise<SeriesSource | null> {
  if (type !== "ENTITY_VIEW") return { entityId: id, keys: null, startMs: -Infinity, endMs: Infinity };
  const view = await findEntity(db, { type, id });
  const viewed = view === null ? null : viewedOf(view.body);
  if (view === null || viewed === null) return null;
  if ((await findEntity(db, { ...viewed, tenantId: view.tenantId })) === null) return null;
  return { entityId: viewed.id, keys: viewedKeys(view).timeseries, ...viewedTimes(view) };
}

/** Of the keys that are asked for those that may be seen; none asked for: all of these. */
export async function seriesKeys(
  db: Queryable,
  { entityId, keys }: SeriesSource,
  asked: readonly string[] | undefined,
): Promise<readonly string[]> {
  if (keys === null) return asked ?? listTelemetryKeys(db, entityId);
  if (asked !== undefined) return asked.filter((key) => keys.includes(key));
  const there = await listTelemetryKeys(db, entityId);
  return there.filter((key) => keys.includes(key));
}

/** Newest point of each key that may be seen; keys without one are left out. */
export async function readLatestSeen(
  db: Queryable,
  source: SeriesSource,
  asked: readonly string[] | undefined,
): Promise<Map<string, TelemetryPoint>> {
  const { endMs, entityId, startMs } = source;
  if (source.keys === null) return readLatest(db, { entityId, keys: asked });
  const keys = await seriesKeys(db, source, asked);
  if (endMs === Infinity) {
    const points = await readLatest(db, { entityId, keys });
    return new Map([...points].filter(([, { tsMs }]) => tsMs >= startMs));
  }
  // The newest may lie behind the end.
  const range = { startMs: Math.max(startMs, 0), endMs, limit: 1, orderBy: "DESC", aggregation: "NONE" } as const;
  const series = await readHistory(db, { ...range, entityId, keys, interval: { type: "MILLISECONDS", lengthMs: 0 } });
  return new Map([...series].flatMap(([key, [point]]) => (point === undefined ? [] : [[key, point]])));
}
