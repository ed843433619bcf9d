import { desc, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { GapReason, TelemetryGap } from "../../shared/entities/change.ts";
import type { Page, PageRequest } from "../../shared/store/entity-store.ts";
import { toPage } from "../../shared/store/entity-store.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { telemetryGap } from "./schema.ts";

// What was removed unsent, per device: for the people at the edge. The cloud has the same in its own table.

export interface Gap {
  readonly deviceId: Uuid;
  readonly fromMs: number;
  readonly toMs: number;
  readonly records: number;
  readonly reason: GapReason;
  readonly removedMs: number;
}

/** Above so many rows the older half becomes one row per device and reason. */
const GAPS_MAX = 10_000;

export async function saveGaps(tx: Queryable, gaps: readonly TelemetryGap[], removedMs: number): Promise<void> {
  const run = runStatementIn(tx);
  await run(
    `insert into telemetry_gap (device_id, reason, from_ms, to_ms, records, removed_ms)
     select device_id, reason, from_ms, to_ms, records, $6::bigint
     from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) as gap(device_id, reason, from_ms, to_ms, records)
     on conflict (device_id, reason, from_ms) do update set to_ms = greatest(telemetry_gap.to_ms, excluded.to_ms),
       records = telemetry_gap.records + excluded.records, removed_ms = excluded.removed_ms`,
    [
      `{${gaps.map(({ entity }) => entity.id).join(",")}}`,
      `{${gaps.map(({ reason }) => reason).join(",")}}`,
      `{${gaps.map(({ fromMs }) => fromMs).join(",")}}`,
      `{${gaps.map(({ toMs }) => toMs).join(",")}}`,
      `{${gaps.map(({ records }) => records).join(",")}}`,
      removedMs,
    ],
  );
  const [row] = await tx.select({ count: sql<number>`count(*)::int` }).from(telemetryGap);
  if ((row?.count ?? 0) > GAPS_MAX) await joinOldGaps(tx);
}

async function joinOldGaps(tx: Queryable): Promise<void> {
  await tx.execute(sql`
    with old as (
      delete from telemetry_gap where ctid = any(array(
        select ctid from telemetry_gap order by removed_ms, from_ms limit ${GAPS_MAX / 2}))
      returning *
    )
    insert into telemetry_gap (device_id, reason, from_ms, to_ms, records, removed_ms)
    select device_id, reason, min(from_ms), max(to_ms), sum(records), max(removed_ms) from old group by device_id, reason
    on conflict (device_id, reason, from_ms) do update set to_ms = greatest(telemetry_gap.to_ms, excluded.to_ms),
      records = telemetry_gap.records + excluded.records`);
}

/** Newest removal first. */
export async function listGaps(db: Queryable, request: PageRequest): Promise<Page<Gap>> {
  const { page, pageSize } = request;
  const rows = await db
    .select()
    .from(telemetryGap)
    .orderBy(desc(telemetryGap.removedMs), telemetryGap.deviceId, telemetryGap.reason, telemetryGap.fromMs)
    .limit(pageSize)
    .offset(page * pageSize);
  const [total] = await db.select({ count: sql<number>`count(*)::int` }).from(telemetryGap);
  return toPage(
    rows.map((row) => ({ ...row, deviceId: row.deviceId as Uuid, reason: row.reason as GapReason })), // written from a TelemetryGap
    total?.count ?? 0,
    request,
  );
}

export type RemovedRecords = Readonly<Record<GapReason, number>>;

export async function countRemoved(db: Queryable): Promise<RemovedRecords> {
  const rows = await db
    .select({ reason: telemetryGap.reason, records: sql<number>`sum(${telemetryGap.records})::float8` })
    .from(telemetryGap)
    .groupBy(telemetryGap.reason);
  const of = (reason: GapReason): number => rows.find((row) => row.reason === reason)?.records ?? 0;
  return { thinned: of("thinned"), dropped: of("dropped") };
}
