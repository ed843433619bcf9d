import type { EntityRef } from "../../entities/change.ts";
import type { TelemetryPoint } from "../../entities/telemetry.ts";
import { readHistory, type HistoryQuery, type Interval } from "../../store/telemetry-history.ts";
import type { Queryable } from "../../store/unit-of-work.ts";
import type { Sent } from "./sent.ts";

// Points of telemetry as subscriptions need them.

export type Series = ReadonlyMap<string, readonly TelemetryPoint[]>;

/** Points of one update that came between two looks. */
const POINTS_SINCE_MAX = 1_000;

/** Every point since the last that was sent, not the newest alone: what is drawn must have no holes. */
export async function readSince(
  db: Queryable,
  {
    entity,
    rows,
    sent,
  }: { readonly entity: EntityRef; readonly rows: readonly (TelemetryPoint & { key: string })[]; readonly sent: Sent },
): Promise<Series> {
  const series = new Map<string, readonly TelemetryPoint[]>();
  for (const row of rows) {
    const { key, tsMs } = row;
    const afterMs = sent.lastMs(key);
    const query = { entityId: entity.id, keys: [key], startMs: afterMs + 1, endMs: tsMs + 1 };
    const read = afterMs < 0 || afterMs >= tsMs ? null : await readHistory(db, { ...RAW, ...query });
    series.set(key, read?.get(key) ?? [row]);
  }
  return series;
}

const RAW = {
  aggregation: "NONE",
  interval: { type: "MILLISECONDS", lengthMs: 0 },
  limit: POINTS_SINCE_MAX,
  orderBy: "DESC",
} as const;

/** As over REST, but with a limit of its own. */
const POINTS_DEFAULT = 100;

interface RangeCommand {
  readonly agg?: HistoryQuery["aggregation"] | null | undefined;
  readonly interval?: number | null | undefined;
  readonly intervalType?: Interval["type"] | null | undefined;
  readonly limit?: number | null | undefined;
  readonly timeZoneId?: string | null | undefined;
}

export function toHistory({
  agg,
  interval,
  intervalType,
  limit,
  timeZoneId,
}: RangeCommand): Pick<HistoryQuery, "aggregation" | "interval" | "limit" | "orderBy"> {
  const type = intervalType ?? "MILLISECONDS";
  return {
    aggregation: agg ?? "NONE",
    interval: type === "MILLISECONDS" ? { type, lengthMs: interval ?? 0 } : { type, timeZone: timeZoneId ?? "UTC" },
    limit: limit === null || limit === undefined || limit === 0 ? POINTS_DEFAULT : limit,
    orderBy: "DESC",
  };
}
