import { and, asc, eq, gte, inArray, lt, sql } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { TelemetryPoint } from "../entities/telemetry.ts";
import { arrayParam } from "./array-param.ts";
import { fromJsonbText } from "./canonical-column.ts";
import { telemetry, telemetryLatest } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Latest values and deletes of telemetry. Its history is read by telemetry-history.ts; writes are batches of many devices and belong
// to the hot path of each end.

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
