import { sql } from "drizzle-orm";
import type { Clock } from "../../shared/core/clock.ts";
import { isBackfillOpen, type BackfillRecord } from "../../shared/entities/backfill.ts";
import { isEntityType } from "../../shared/entities/entity-types.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { joinValues, keySetOf, splitValues } from "../../shared/entities/values.ts";
import { backfillSaved, deleteBackfill, lockBackfill, putBackfill } from "../../shared/store/backfill-store.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeOutcome } from "./group-writer.ts";

/** Records that are read at a time, and the most of their bytes. */
export const PORTION_RECORDS = 1_000;
const PORTION_BYTES = 512 * 1024;

export interface PortionOf {
  readonly id: BackfillRecord["id"];
  /** Whether the cloud is to hear how far it came. */
  readonly isTold: boolean;
}

/**
 * A part of what the cloud asked for, within a commit: records from the local history for the outbox, and how far that is.
 *
 * @returns null: there is no such request any more
 */
export async function takePortion(
  tx: Queryable,
  { clock }: { readonly clock: Clock },
  { id, isTold }: PortionOf,
): Promise<EdgeOutcome<BackfillRecord | null>> {
  const stored = await lockBackfill(tx, id);
  if (stored === null) return { result: null, changes: [] };
  const { record } = stored;
  const { id: entityId, type } = record.entity;
  if (!isEntityType(type) || (await findEntity(tx, { type, id: entityId })) === null)
    return end(tx, {
      ...record,
      state: "FAILED",
      reason: `${type} with id [${entityId}] is not on this edge any more`,
    });
  const rows = await readHistory(tx, record);
  const lastMs = rows.at(-1)?.tsMs;
  const builder = new TelemetryColumnsBuilder();
  for (const { tsMs, values } of rows) {
    const members = [...splitValues(values)].filter(([key]) => record.keys === null || record.keys.includes(key));
    if (members.length === 0) continue;
    builder.add({ entityId, tsMs, values: joinValues(members), keySet: keySetOf(members.map(([key]) => key)) });
  }
  const next: BackfillRecord = {
    ...record,
    state: lastMs === undefined ? "DONE" : "RUNNING",
    nextMs: lastMs === undefined ? record.endMs : lastMs + 1,
    records: record.records + builder.count,
  };
  if (!isBackfillOpen(next)) return end(tx, next);
  await putBackfill(tx, { record: next, edgeId: null, updatedMs: clock.nowMs() });
  const changes = isTold || record.state === "QUEUED" ? [backfillSaved(next)] : [];
  return { result: next, changes, resend: builder.build() };
}

async function end(tx: Queryable, record: BackfillRecord): Promise<EdgeOutcome<BackfillRecord>> {
  await deleteBackfill(tx, record.id);
  return { result: record, changes: [backfillSaved(record)] };
}

/** The oldest that were not sent yet; the first whatever its size. */
async function readHistory(
  tx: Queryable,
  { endMs, entity, nextMs }: BackfillRecord,
): Promise<readonly { readonly tsMs: number; readonly values: CanonicalJson }[]> {
  const rows = await tx.execute<{ ts_ms: string; data: CanonicalJson }>(sql`
    select ts_ms, data from (
      select ts_ms, data, sum(octet_length(data)) over (order by ts_ms) - octet_length(data) as before from (
        select ts_ms, "values"::text as data from telemetry
        where entity_id = ${entity.id}::uuid and ts_ms >= ${nextMs}::bigint and ts_ms < ${endMs}::bigint
        order by ts_ms limit ${PORTION_RECORDS}
      ) as found
    ) as summed where before < ${PORTION_BYTES} order by ts_ms`);
  return rows.map(({ data: values, ts_ms: tsMs }) => ({ tsMs: Number(tsMs), values }));
}
