import type { Uuid } from "../core/ids.ts";
import { readHistory } from "../store/telemetry-history.ts";
import { listTelemetryKeys } from "../store/telemetry-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";

const MESSAGES_MAX = 10_000;

export interface RecordedRange {
  readonly entityId: Uuid;
  /** Included. */
  readonly startMs: number;
  /** Not included. */
  readonly endMs: number;
}

export interface RecordedTelemetry {
  /** In the order of time; `data` is JSON of an object. */
  readonly records: readonly { readonly tsMs: number; readonly data: string }[];
  /** Why not all of the range is there; null: it is. */
  readonly cut: string | null;
}

/** Stored points of one time as one message, as devices send them: the first MESSAGES_MAX of a range. */
export async function readRecorded(db: Queryable, range: RecordedRange): Promise<RecordedTelemetry> {
  const keys = await listTelemetryKeys(db, range.entityId);
  const raw = { aggregation: "NONE", interval: { type: "MILLISECONDS", lengthMs: 0 }, orderBy: "ASC" } as const;
  const series = await readHistory(db, { ...range, ...raw, keys, limit: MESSAGES_MAX });
  // Behind the last point of a key that was cut off, others would be without it.
  let endMs = Infinity;
  const values = new Map<number, string[]>();
  for (const [key, points] of series) {
    if (points.length >= MESSAGES_MAX) endMs = Math.min(endMs, points.at(-1)?.tsMs ?? Infinity);
    for (const { tsMs, value } of points) {
      const members = values.get(tsMs) ?? [];
      members.push(`${JSON.stringify(key)}:${value}`);
      values.set(tsMs, members);
    }
  }
  const times = [...values.keys()].filter((tsMs) => tsMs <= endMs).toSorted((one, other) => one - other);
  const isCut = endMs < Infinity || times.length > MESSAGES_MAX;
  const records = times
    .slice(0, MESSAGES_MAX)
    .map((tsMs) => ({ tsMs, data: `{${(values.get(tsMs) ?? []).join(",")}}` }));
  return { records, cut: isCut ? `The range has more than ${MESSAGES_MAX} messages` : null };
}
