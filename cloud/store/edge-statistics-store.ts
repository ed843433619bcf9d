import { sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import { writeTelemetry } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { runTransaction } from "./downlink-store.ts";
import { parseReport, type KeptReport } from "./edge-report-store.ts";

/** Where an edge is, when its statistics are made. */
export interface EdgePosition {
  readonly edgeId: Uuid;
  /** Since the statistics counted them last, whichever process that was. */
  readonly downlinksAdded: number;
  readonly downlinksWaiting: number;
  readonly report: KeptReport | null;
}

interface PositionRow extends Record<string, unknown> {
  edge_id: Uuid;
  downlink_last: number;
  downlink_acked: number;
  counted: number;
  session: number | null;
  reported_ms: number | null;
  body: unknown;
}

/**
 * Saves what `toRecords` makes of the positions of these edges, and that their downlinks were counted, in one transaction; edges that
 * were deleted are left out.
 *
 * @param edgeIds in ascending order
 */
export function saveStatistics(
  db: Queryable,
  edgeIds: readonly Uuid[],
  toRecords: (positions: readonly EdgePosition[]) => readonly TelemetryRecord[],
): Promise<void> {
  return runTransaction(db, async (tx) => {
    const rows = await tx.execute<PositionRow>(sql`
      with looked as (
        select s.edge_id, s.downlink_last, s.downlink_acked, coalesce(r.downlink_counted, 0) as counted, r.session, r.reported_ms, r.body
        from unnest(${arrayParam(edgeIds, "uuid")}) as h (edge_id)
        join edge_sync s on s.edge_id = h.edge_id left join edge_report r on r.edge_id = h.edge_id
      ), marked as (
        insert into edge_report (edge_id, downlink_counted)
        select edge_id, downlink_last from looked where downlink_last <> counted order by edge_id
        on conflict (edge_id) do update set downlink_counted = excluded.downlink_counted
      )
      select * from looked`);
    const columns = new TelemetryColumnsBuilder();
    const records = toRecords(rows.map(toPosition));
    for (const record of records) columns.add(record);
    if (records.length > 0) await writeTelemetry(runStatementIn(tx), columns.build());
  });
}

function toPosition(row: PositionRow): EdgePosition {
  const { edge_id: edgeId, downlink_last: last, downlink_acked: acked, counted } = row;
  return {
    edgeId,
    // A database that was set back may have counted more than it has.
    downlinksAdded: Math.max(0, last - counted),
    downlinksWaiting: Math.max(0, last - acked),
    report: parseReport({ session: row.session ?? 0, reportedMs: row.reported_ms, body: row.body }),
  };
}
