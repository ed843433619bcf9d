import type { TelemetryColumns } from "../entities/telemetry-columns.ts";
import { conflictFreeRounds, latestCandidates, selectRecords } from "../entities/telemetry-columns.ts";
import type { RunStatement } from "./statement.ts";

// The one way in which telemetry is written, on both ends: a statement for any number of records. Written in SQL, not
// through the query builder: columns travel as array literals, so that nothing is done per value on the way.

/** Records of one entity and time are merged key by key, the later one winning; the newest value of each key is kept apart. */
export const WRITE_TELEMETRY_CTES = `
  record as materialized (
    select ($1::uuid[])[position + 1] as entity_id, ts_ms, line::jsonb as data, number
    from unnest($2::int[], $3::bigint[], string_to_array($4, E'\\n')) with ordinality as arrived(position, ts_ms, line, number)
  ), stored as (
    insert into telemetry (entity_id, ts_ms, "values")
    select entity_id, ts_ms, data from record
    on conflict (entity_id, ts_ms) do update set "values" = telemetry."values" || excluded."values"
  ), latest as (
    insert into telemetry_latest (entity_id, key, ts_ms, value)
    select distinct on (entity_id, key) entity_id, key, ts_ms, value
    from record, jsonb_each(data)
    where number = any ($5::bigint[])
    order by entity_id, key, ts_ms desc, number desc
    on conflict (entity_id, key) do update set ts_ms = excluded.ts_ms, value = excluded.value
    where telemetry_latest.ts_ms <= excluded.ts_ms
  )`;

const WRITE_TELEMETRY = `with ${WRITE_TELEMETRY_CTES} select 1`;

/** Writes all records in the transaction that `run` belongs to: one statement, or several when records meet at one entity and time. */
export async function writeTelemetry(run: RunStatement, columns: TelemetryColumns): Promise<void> {
  if (columns.tsMs.length === 0) return;
  const rounds = conflictFreeRounds(columns);
  if (rounds === null) {
    await run(WRITE_TELEMETRY, telemetryParameters(columns));
    return;
  }
  for (const round of rounds) {
    await run(WRITE_TELEMETRY, telemetryParameters(selectRecords(columns, round)));
  }
}

/** Parameters $1 to $5 of WRITE_TELEMETRY_CTES. */
export function telemetryParameters(columns: TelemetryColumns): readonly string[] {
  return [
    `{${columns.entityIds.join(",")}}`,
    `{${columns.entityIndex.join(",")}}`,
    `{${columns.tsMs.join(",")}}`,
    columns.values,
    `{${latestCandidates(columns)
      .map((position) => position + 1)
      .join(",")}}`,
  ];
}
