import { and, desc, eq, sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { GapReason, TelemetryGap } from "../../shared/entities/change.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { toPage, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { telemetryGap } from "./schema.ts";

// What edges removed unsent. Taken as it is told, also of devices that are gone or belong to others by now: it is about the past,
// and seen only by who sees the edge or the device.

export interface DeviceGap {
  readonly edgeId: Uuid;
  readonly deviceId: Uuid;
  readonly reason: GapReason;
  readonly fromMs: number;
  readonly toMs: number;
  readonly records: number;
  readonly removedMs: number;
}

export async function saveGaps(
  tx: Queryable,
  gaps: readonly TelemetryGap[],
  { edgeId, removedMs }: { readonly edgeId: Uuid; readonly removedMs: number },
): Promise<void> {
  if (gaps.length === 0) return;
  const column = (values: readonly (string | number)[], type: "uuid" | "text" | "int8"): SQL =>
    arrayParam(values.map(String), type);
  await tx.execute(sql`
    insert into telemetry_gap (edge_id, device_id, reason, from_ms, to_ms, records, removed_ms)
    select ${edgeId}::uuid, device_id, reason, min(from_ms), max(to_ms), sum(records), ${removedMs}::int8
    from unnest(
      ${column(
        gaps.map(({ entity }) => entity.id),
        "uuid",
      )}, ${column(
        gaps.map(({ reason }) => reason),
        "text",
      )}, ${column(
        gaps.map(({ fromMs }) => fromMs),
        "int8",
      )}, ${column(
        gaps.map(({ toMs }) => toMs),
        "int8",
      )}, ${column(
        gaps.map(({ records }) => records),
        "int8",
      )}
    ) as gap(device_id, reason, from_ms, to_ms, records)
    group by device_id, reason
    on conflict (edge_id, device_id, reason, from_ms) do update set to_ms = greatest(telemetry_gap.to_ms, excluded.to_ms),
      records = telemetry_gap.records + excluded.records, removed_ms = excluded.removed_ms`);
}

/** Of an edge or of a device, newest removal first. */
export async function listGaps(
  db: Queryable,
  filter: { readonly edgeId?: Uuid; readonly deviceId?: Uuid },
  request: PageRequest,
): Promise<Page<DeviceGap>> {
  const { page, pageSize } = request;
  const where = and(
    filter.edgeId === undefined ? undefined : eq(telemetryGap.edgeId, filter.edgeId),
    filter.deviceId === undefined ? undefined : eq(telemetryGap.deviceId, filter.deviceId),
  );
  const rows = await db
    .select()
    .from(telemetryGap)
    .where(where)
    .orderBy(desc(telemetryGap.removedMs), telemetryGap.deviceId, telemetryGap.reason, telemetryGap.fromMs)
    .limit(pageSize)
    .offset(page * pageSize);
  const [total] = await db
    .select({ count: sql<number>`count(*)::int` })
    .from(telemetryGap)
    .where(where);
  return toPage(
    rows.map((row) => ({
      ...row,
      // Written from a TelemetryGap.
      edgeId: row.edgeId as Uuid,
      deviceId: row.deviceId as Uuid,
      reason: row.reason as GapReason,
    })),
    total?.count ?? 0,
    request,
  );
}
