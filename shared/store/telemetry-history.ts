import { sql, type SQL } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { CanonicalJson, TelemetryPoint } from "../entities/telemetry.ts";
import { sqlStateOf } from "../postgres/connect.ts";
import { arrayParam } from "./array-param.ts";
import { fromJsonbText } from "./canonical-column.ts";
import type { Queryable } from "./unit-of-work.ts";

// Telemetry of one entity in a range of time, as it is or per interval. PostgreSQL aggregates: one statement a call, which reads the range
// of each key once by the primary key (entity_id, ts_ms) and only in the partitions of the range.

export const AGGREGATIONS = ["NONE", "MIN", "MAX", "AVG", "SUM", "COUNT"] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];

/** Weeks begin on Sunday (WEEK) or Monday (WEEK_ISO). */
export const CALENDAR_INTERVALS = ["WEEK", "WEEK_ISO", "MONTH", "QUARTER"] as const;
type CalendarInterval = (typeof CALENDAR_INTERVALS)[number];

/** How a range is cut into buckets, from its start on; the first and the last one may be shorter than the others. */
export type Interval =
  /** 0: raw points, whatever the aggregation. */
  | { readonly type: "MILLISECONDS"; readonly lengthMs: number }
  /** The time zone is a name (Europe/Kyiv) or an offset (UTC+02:00). */
  | { readonly type: CalendarInterval; readonly timeZone: string };

/** More buckets in one answer than this are refused. */
const BUCKETS_MAX = 700;
/** Points of one key in one answer; more are not read. */
const POINTS_MAX = 50_000;
/** Points of all keys in one answer; more are refused, because an answer is held in memory. */
const ANSWER_POINTS_MAX = 500_000;

export interface HistoryQuery {
  readonly entityId: Uuid;
  readonly keys: readonly string[];
  /** Included. */
  readonly startMs: number;
  /** Not included. */
  readonly endMs: number;
  readonly aggregation: Aggregation;
  readonly interval: Interval;
  /** Of raw points per key. */
  readonly limit: number;
  /** Of raw points; buckets ascend. */
  readonly orderBy: "ASC" | "DESC";
}

/**
 * Points per key; keys without points are left out. A bucket's point stands in its middle.
 *
 * @throws AppError INVALID_ARGUMENT for too many buckets or points, or an unknown time zone
 */
export async function readHistory(db: Queryable, query: HistoryQuery): Promise<Map<string, TelemetryPoint[]>> {
  const { aggregation, endMs, interval, keys, startMs } = query;
  if (keys.length === 0 || endMs <= startMs) return new Map();
  const isRaw = aggregation === "NONE" || (interval.type === "MILLISECONDS" && interval.lengthMs === 0);
  return isRaw ? readRaw(db, query) : readBuckets(db, { ...query, aggregation });
}

async function readRaw(db: Queryable, query: HistoryQuery): Promise<Map<string, TelemetryPoint[]>> {
  const order = sql.raw(query.orderBy === "ASC" ? "asc" : "desc");
  const rows = await db.execute<{ position: number; ts_ms: number; value: string }>(sql`
    select wanted.position, point.ts_ms, point.value
    from ${wantedKeys(query)}
    cross join lateral (
      select ts_ms, (values -> wanted.key)::text as value from telemetry
      where ${inRange(query)} and values ? wanted.key
      order by ts_ms ${order}
      limit ${Math.min(query.limit, POINTS_MAX)}::int
    ) as point
    order by wanted.position, point.ts_ms ${order}
    limit ${ANSWER_POINTS_MAX + 1}::int`);
  if (rows.length > ANSWER_POINTS_MAX) {
    const text = `Too many points: at most ${ANSWER_POINTS_MAX} of all keys are answered; ask for fewer keys or set a limit`;
    throw new AppError("INVALID_ARGUMENT", text, { field: "limit" });
  }
  const points = new PointsByKey(query.keys);
  for (const { position, ts_ms: tsMs, value } of rows) points.add(position, { tsMs, value: fromJsonbText(value) });
  return points.byKey;
}

interface BucketRow extends Record<string, unknown> {
  position: number;
  from_ms: number;
  to_ms: number;
  value: string;
}

type BucketQuery = HistoryQuery & { readonly aggregation: Exclude<Aggregation, "NONE"> };

async function readBuckets(db: Queryable, query: BucketQuery): Promise<Map<string, TelemetryPoint[]>> {
  checkBuckets(query);
  const rows = await db.execute<BucketRow>(bucketStatement(query)).catch((error: unknown) => {
    throw sqlStateOf(error) === INVALID_PARAMETER ? unknownTimeZone(query.interval, error) : error;
  });
  const points = new PointsByKey(query.keys);
  for (const row of rows) {
    const value = query.aggregation === "AVG" ? doubleText(Number(row.value)) : (row.value as CanonicalJson);
    if (value === null) continue;
    points.add(row.position, { tsMs: row.from_ms + Math.floor((row.to_ms - row.from_ms) / 2), value });
  }
  return points.byKey;
}

/** SQLSTATE invalid_parameter_value. */
const INVALID_PARAMETER = "22023";

function unknownTimeZone(interval: Interval, cause: unknown): AppError {
  const name = interval.type === "MILLISECONDS" ? "" : interval.timeZone.slice(0, 64);
  return new AppError("INVALID_ARGUMENT", `Unknown time zone '${name}'`, { field: "timeZone", cause });
}

const DAY_MS = 86_400_000;
/** On average; `step` and `unit` as PostgreSQL knows them. Its weeks begin on Monday: others are moved there and back. */
const CALENDAR: Readonly<Record<CalendarInterval, CalendarSteps>> = {
  WEEK: { averageMs: 7 * DAY_MS, unit: "week", step: "7 days", shift: "1 day" },
  WEEK_ISO: { averageMs: 7 * DAY_MS, unit: "week", step: "7 days", shift: "0" },
  MONTH: { averageMs: (365.2425 / 12) * DAY_MS, unit: "month", step: "1 month", shift: "0" },
  QUARTER: { averageMs: (365.2425 / 4) * DAY_MS, unit: "quarter", step: "3 months", shift: "0" },
};

interface CalendarSteps {
  readonly averageMs: number;
  readonly unit: string;
  readonly step: string;
  readonly shift: string;
}

function checkBuckets({ endMs, interval, startMs }: HistoryQuery): void {
  const lengthMs = interval.type === "MILLISECONDS" ? interval.lengthMs : CALENDAR[interval.type].averageMs;
  const buckets = Math.ceil((endMs - startMs) / lengthMs);
  if (buckets <= BUCKETS_MAX) return;
  const text = `Incorrect interval: at most ${BUCKETS_MAX} intervals are allowed, got ${buckets}`;
  throw new AppError("INVALID_ARGUMENT", text, { field: "interval" });
}

/** Texts of JSON, null where a bucket has nothing that can be aggregated so: words have neither sum nor average. */
const AGGREGATES: Readonly<Record<BucketQuery["aggregation"], SQL>> = {
  COUNT: sql`count(*)::text`,
  SUM: sql`sum(number)::text`,
  AVG: sql`avg(number)::text`,
  MIN: sql`coalesce(min(number)::text, to_json(min(words))::text)`,
  MAX: sql`coalesce(max(number)::text, to_json(max(words))::text)`,
};

/** The value of a key is taken out of its row once: "offset 0" keeps the planner from doing it wherever it is used. */
function bucketStatement(query: BucketQuery): SQL {
  const { aggregation } = query;
  const { calendar, bucket, fromMs, toMs } = bucketsOf(query);
  const hasWords = aggregation === "MIN" || aggregation === "MAX";
  const words = hasWords ? sql`, case when kind = 'string' then (value #>> '{}') collate "C" end as words` : sql``;
  return sql`
    ${calendar}
    select position, ${fromMs} as from_ms, ${toMs} as to_ms, value
    from (
      select position, bucket, ${AGGREGATES[aggregation]} as value
      from (
        select position, bucket, case when kind = 'number' then value::numeric end as number ${words}
        from (
          select wanted.position, point.bucket, point.value, jsonb_typeof(point.value) as kind
          from ${wantedKeys(query)}
          cross join lateral (
            select ${bucket} as bucket, values -> wanted.key as value from telemetry where ${inRange(query)} offset 0
          ) as point
          where point.value is not null
          offset 0
        ) as typed
      ) as split
      group by position, bucket
    ) as aggregated
    where value is not null
    order by position, bucket`;
}

interface Buckets {
  /** Defines what the others refer to. */
  readonly calendar: SQL;
  /** Number of the bucket of `ts_ms`. */
  readonly bucket: SQL;
  readonly fromMs: SQL;
  readonly toMs: SQL;
}

function bucketsOf({ endMs, interval, startMs }: HistoryQuery): Buckets {
  const start = sql`${startMs}::bigint`;
  const end = sql`${endMs}::bigint`;
  if (interval.type === "MILLISECONDS") {
    const length = sql`${interval.lengthMs}::bigint`;
    return {
      calendar: sql``,
      bucket: sql`(ts_ms - ${start}) / ${length}`,
      fromMs: sql`${start} + bucket * ${length}`,
      toMs: sql`least(${start} + (bucket + 1) * ${length}, ${end})`,
    };
  }
  const { shift, step, unit } = CALENDAR[interval.type];
  const zone = sql`${postgresZone(interval.timeZone)}::text`;
  const local = (timeMs: SQL): SQL => sql`(to_timestamp(${timeMs} / 1000.0) at time zone ${zone})`;
  const first = sql`date_trunc(${unit}, ${local(start)} + ${shift}::interval) - ${shift}::interval`;
  return {
    calendar: sql`
      with border as (
        select (extract(epoch from day at time zone ${zone}) * 1000)::bigint as at_ms
        from generate_series(${first}, ${local(end)}, ${step}::interval) as day
      ), calendar as materialized (
        select ${start} || array_agg(at_ms order by at_ms) filter (where at_ms > ${start} and at_ms < ${end}) as starts
        from border
      )`,
    bucket: sql`width_bucket(ts_ms, (select starts from calendar))`,
    fromMs: sql`(select starts[bucket] from calendar)`,
    toMs: sql`coalesce((select starts[bucket + 1] from calendar), ${end})`,
  };
}

/** An offset in PostgreSQL's words is one of POSIX, which counts westwards. */
function postgresZone(name: string): string {
  const offset = /^(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?$/.exec(name);
  if (offset === null) return name === "Z" || name === "" ? "UTC" : name;
  return `UTC${offset[1] === "+" ? "-" : "+"}${offset[2]}:${offset[3] ?? "00"}`;
}

function wantedKeys({ keys }: HistoryQuery): SQL {
  return sql`unnest(${arrayParam(keys, "text")}) with ordinality as wanted (key, position)`;
}

function inRange({ entityId, endMs, startMs }: HistoryQuery): SQL {
  return sql`entity_id = ${entityId}::uuid and ts_ms >= ${startMs}::bigint and ts_ms < ${endMs}::bigint`;
}

/** A double always shows its point; null for what a double can't hold. */
function doubleText(value: number): CanonicalJson | null {
  if (!Number.isFinite(value)) return null;
  const text = String(value);
  return (/[.e]/.test(text) ? text : `${text}.0`) as CanonicalJson;
}

/** Collects rows that name their key by its position, from 1. */
class PointsByKey {
  readonly byKey = new Map<string, TelemetryPoint[]>();
  readonly #keys: readonly string[];

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  add(position: number, point: TelemetryPoint): void {
    const key = this.#keys[position - 1] ?? "";
    const list = this.byKey.get(key);
    if (list === undefined) this.byKey.set(key, [point]);
    else list.push(point);
  }
}
