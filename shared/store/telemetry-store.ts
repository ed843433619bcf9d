import { and, asc, eq, gte, inArray, lt, sql, type SQL } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { CanonicalJson, TelemetryPoint } from "../entities/telemetry.ts";
import { arrayParam } from "./array-param.ts";
import { fromJsonbText } from "./canonical-column.ts";
import { telemetry, telemetryLatest } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Reads and deletes of telemetry. Writes are batches of many devices and belong to the hot path of each end.

export const AGGREGATIONS = ["NONE", "MIN", "MAX", "AVG", "SUM", "COUNT"] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];

/** More buckets in one answer than this are refused. */
export const BUCKETS_MAX = 700;
/** Points of one key in one answer. */
export const POINTS_MAX = 50_000;

export async function listTelemetryKeys(db: Queryable, entityId: Uuid): Promise<string[]> {
  const rows = await db
    .select({ key: telemetryLatest.key })
    .from(telemetryLatest)
    .where(eq(telemetryLatest.entityId, entityId))
    .orderBy(asc(telemetryLatest.key));
  return rows.map((row) => row.key);
}

/** Newest point of each key; `keys` absent: of all. Keys without a point are left out. */
export async function readLatest(
  db: Queryable,
  { entityId, keys }: { readonly entityId: Uuid; readonly keys?: readonly string[] | undefined },
): Promise<Map<string, TelemetryPoint>> {
  const rows = await db
    .select({
      key: telemetryLatest.key,
      tsMs: telemetryLatest.tsMs,
      value: sql<string>`${telemetryLatest.value}::text`,
    })
    .from(telemetryLatest)
    .where(
      and(
        eq(telemetryLatest.entityId, entityId),
        keys === undefined ? undefined : inArray(telemetryLatest.key, [...keys]),
      ),
    )
    .orderBy(asc(telemetryLatest.key));
  return new Map(rows.map((row) => [row.key, { tsMs: row.tsMs, value: fromJsonbText(row.value) }]));
}

export interface HistoryQuery {
  readonly entityId: Uuid;
  readonly keys: readonly string[];
  /** Included. */
  readonly startMs: number;
  /** Not included. */
  readonly endMs: number;
  readonly aggregation: Aggregation;
  /** Length of a bucket in ms; 0: raw points, whatever the aggregation. */
  readonly intervalMs: number;
  /** Of raw points per key. */
  readonly limit: number;
  readonly orderBy: "ASC" | "DESC";
}

/** Points per key; keys without points are left out. @throws AppError INVALID_ARGUMENT for too many buckets */
export async function readHistory(db: Queryable, query: HistoryQuery): Promise<Map<string, TelemetryPoint[]>> {
  if (query.keys.length === 0 || query.endMs <= query.startMs) return new Map();
  return query.aggregation === "NONE" || query.intervalMs === 0 ? readRaw(db, query) : readBuckets(db, query);
}

async function readRaw(db: Queryable, query: HistoryQuery): Promise<Map<string, TelemetryPoint[]>> {
  const order = sql.raw(query.orderBy === "ASC" ? "asc" : "desc");
  const rows = await db.execute<{ key: string; ts_ms: number; value: string }>(sql`
    select wanted.key, point.ts_ms, point.value
    from unnest(${arrayParam(query.keys, "text")}) with ordinality as wanted (key, position)
    cross join lateral (
      select ts_ms, (values -> wanted.key)::text as value from telemetry
      where entity_id = ${query.entityId}::uuid and ts_ms >= ${query.startMs}::bigint and ts_ms < ${query.endMs}::bigint and values ? wanted.key
      order by ts_ms ${order}
      limit ${Math.min(query.limit, POINTS_MAX)}::int
    ) as point
    order by wanted.position, point.ts_ms ${order}`);
  const points = new Map<string, TelemetryPoint[]>();
  for (const row of rows) addPoint(points, row.key, { tsMs: row.ts_ms, value: fromJsonbText(row.value) });
  return points;
}

interface BucketRow extends Record<string, unknown> {
  key: string;
  bucket: number;
  count: number;
  minimum: string | null;
  maximum: string | null;
  sum: string | null;
  average: number | null;
  min_text: string | null;
  max_text: string | null;
}

async function readBuckets(db: Queryable, query: HistoryQuery): Promise<Map<string, TelemetryPoint[]>> {
  const { startMs, endMs, intervalMs } = query;
  const buckets = Math.ceil((endMs - startMs) / intervalMs);
  if (buckets > BUCKETS_MAX) {
    throw new AppError(
      "INVALID_ARGUMENT",
      `Incorrect interval: at most ${BUCKETS_MAX} intervals are allowed, got ${buckets}`,
      {
        field: "interval",
      },
    );
  }
  const rows = await db.execute<BucketRow>(bucketStatement(query));
  const points = new Map<string, TelemetryPoint[]>();
  for (const row of rows) {
    const value = bucketValue(query.aggregation, row);
    const fromMs = startMs + row.bucket * intervalMs;
    const toMs = Math.min(fromMs + intervalMs, endMs);
    if (value !== null) addPoint(points, row.key, { tsMs: fromMs + Math.floor((toMs - fromMs) / 2), value });
  }
  return points;
}

function bucketStatement(query: HistoryQuery): SQL {
  return sql`
    select key, bucket, count(*) as count,
      min(number)::text as minimum, max(number)::text as maximum, sum(number)::text as sum, avg(number)::float8 as average,
      min(words) as min_text, max(words) as max_text
    from (
      select wanted.key, wanted.position, (ts_ms - ${query.startMs}::bigint) / ${query.intervalMs}::bigint as bucket,
        case when jsonb_typeof(values -> wanted.key) = 'number' then (values ->> wanted.key)::numeric end as number,
        case when jsonb_typeof(values -> wanted.key) = 'string' then (values ->> wanted.key) collate "C" end as words
      from unnest(${arrayParam(query.keys, "text")}) with ordinality as wanted (key, position)
      join telemetry on values ? wanted.key
      where entity_id = ${query.entityId}::uuid and ts_ms >= ${query.startMs}::bigint and ts_ms < ${query.endMs}::bigint
    ) as point
    group by position, key, bucket
    order by position, bucket`;
}

/** null: the bucket holds nothing that can be aggregated so. */
function bucketValue(aggregation: Aggregation, row: BucketRow): CanonicalJson | null {
  switch (aggregation) {
    case "COUNT":
      return String(row.count) as CanonicalJson;
    case "AVG":
      return row.average === null ? null : doubleText(row.average);
    case "SUM":
      return row.sum as CanonicalJson | null;
    case "MIN":
      return extreme(row.minimum, row.min_text);
    case "MAX":
      return extreme(row.maximum, row.max_text);
    case "NONE":
      return null;
    default:
      return aggregation satisfies never;
  }
}

function extreme(number: string | null, words: string | null): CanonicalJson | null {
  if (number !== null) return number as CanonicalJson;
  return words === null ? null : (JSON.stringify(words) as CanonicalJson);
}

/** A double always shows its point. */
function doubleText(value: number): CanonicalJson {
  const text = String(value);
  return (/[.e]/.test(text) ? text : `${text}.0`) as CanonicalJson;
}

function addPoint(points: Map<string, TelemetryPoint[]>, key: string, point: TelemetryPoint): void {
  const list = points.get(key);
  if (list === undefined) points.set(key, [point]);
  else list.push(point);
}

export interface TelemetryDelete {
  readonly entityId: Uuid;
  readonly keys: readonly string[];
  /** Absent: everything of these keys. */
  readonly range?: { readonly startMs: number; readonly endMs: number } | undefined;
  /** Whether a latest value inside the range goes too. */
  readonly deleteLatest: boolean;
  /** Whether the newest point that is left takes the place of a latest value that went. */
  readonly rewriteLatest: boolean;
}

/** Takes the keys out of the rows of the range; rows that are left without a key go. */
export async function deleteTelemetry(tx: Queryable, request: TelemetryDelete): Promise<void> {
  const { entityId, range } = request;
  const keys = arrayParam(request.keys, "text");
  const rows = and(
    eq(telemetry.entityId, entityId),
    range === undefined ? undefined : and(gte(telemetry.tsMs, range.startMs), lt(telemetry.tsMs, range.endMs)),
  );
  await tx.execute(sql`delete from telemetry where ${rows} and values - ${keys} = '{}'::jsonb`);
  await tx.execute(sql`update telemetry set values = values - ${keys} where ${rows} and values ?| ${keys}`);
  if (!request.deleteLatest) return;
  const latest = and(
    eq(telemetryLatest.entityId, entityId),
    inArray(telemetryLatest.key, [...request.keys]),
    range === undefined
      ? undefined
      : and(gte(telemetryLatest.tsMs, range.startMs), lt(telemetryLatest.tsMs, range.endMs)),
  );
  const gone = await tx.delete(telemetryLatest).where(latest).returning({ key: telemetryLatest.key });
  if (!request.rewriteLatest || gone.length === 0) return;
  await tx.execute(sql`
    insert into telemetry_latest (entity_id, key, ts_ms, value)
    select ${entityId}::uuid, wanted.key, point.ts_ms, point.value
    from unnest(${arrayParam(
      gone.map((row) => row.key),
      "text",
    )}) as wanted (key)
    cross join lateral (
      select ts_ms, values -> wanted.key as value from telemetry
      where entity_id = ${entityId}::uuid and values ? wanted.key order by ts_ms desc limit 1
    ) as point
    on conflict do nothing`);
}
