import type { TelemetryColumns } from "../entities/telemetry-columns.ts";
import { conflictFreeRounds, latestCandidates, selectRecords } from "../entities/telemetry-columns.ts";
import type { RunStatement } from "./statement.ts";

// The one way in which telemetry is written, on both ends: a statement for any number of records. Written in SQL, not
// through the query builder: columns travel as array literals, so that nothing is done per value on the way.

/** $1 to $4: the records. */
const RECORD_CTE = `
  record as materialized (
    select ($1::uuid[])[position + 1] as entity_id, ts_ms, line::jsonb as data, number
    from unnest($2::int[], $3::bigint[], string_to_array($4, E'\\n')) with ordinality as arrived(position, ts_ms, line, number)
  )`;

const INSERT_RECORDS = `
    insert into telemetry (entity_id, ts_ms, "values")
    select entity_id, ts_ms, data from record`;

/** Fails with a unique violation when a record of one entity and time is there; a third less work than looking for it first. */
export const INSERT_TELEMETRY_CTES = `${RECORD_CTE}, stored as (${INSERT_RECORDS})`;

/** Those of one entity and time are merged key by key, the later one winning. */
export const STORE_TELEMETRY_CTES = `${RECORD_CTE}, stored as (${INSERT_RECORDS}
    on conflict (entity_id, ts_ms) do update set "values" = telemetry."values" || excluded."values"
  )`;

/** The same, but what is there wins. */
const STORE_OLDER_TELEMETRY_CTES = `${RECORD_CTE}, stored as (${INSERT_RECORDS}
    on conflict (entity_id, ts_ms) do update set "values" = excluded."values" || telemetry."values"
  )`;

/** $5: numbers of the records, from 1, that may hold the newest value of a key; the newest of each key is kept apart. */
const latestCte = (isNewer: string): string => `
  latest as (
    insert into telemetry_latest (entity_id, key, ts_ms, value)
    select distinct on (entity_id, key) entity_id, key, ts_ms, value
    from record, jsonb_each(data)
    where number = any ($5::bigint[])
    order by entity_id, key, ts_ms desc, number desc
    on conflict (entity_id, key) do update set ts_ms = excluded.ts_ms, value = excluded.value
    where telemetry_latest.ts_ms ${isNewer} excluded.ts_ms
  )`;

const LATEST_CTE = latestCte("<=");

const INSERT_TELEMETRY_AND_LATEST = `with ${INSERT_TELEMETRY_CTES}, ${LATEST_CTE} select 1`;
const STORE_TELEMETRY = `with ${STORE_TELEMETRY_CTES} select 1`;
const WRITE_TELEMETRY = `with ${STORE_TELEMETRY_CTES}, ${LATEST_CTE} select 1`;
const WRITE_OLDER_TELEMETRY = `with ${STORE_OLDER_TELEMETRY_CTES}, ${latestCte("<")} select 1`;
const WRITE_LATEST = `with ${RECORD_CTE}, ${LATEST_CTE} select 1`;

/** Writes records and newest values in the transaction that `run` belongs to. */
export async function writeTelemetry(run: RunStatement, columns: TelemetryColumns): Promise<void> {
  for (const part of conflictFree(columns)) await run(WRITE_TELEMETRY, [...recordParameters(part), candidates(part)]);
}

/** As `writeTelemetry`, for records that were made before some that are there: of one entity and time, the values that are there stay. */
export async function writeOlderTelemetry(run: RunStatement, columns: TelemetryColumns): Promise<void> {
  // Among themselves the later ones still win.
  for (const part of conflictFree(columns).toReversed()) {
    await run(WRITE_OLDER_TELEMETRY, [...recordParameters(part), candidates(part)]);
  }
}

/**
 * Writes records of which none is there, and newest values; for less than `writeTelemetry` takes. Fails with a unique violation
 * when one is there, or two of them are of one entity and time.
 */
export async function insertTelemetry(run: RunStatement, columns: TelemetryColumns): Promise<void> {
  await run(INSERT_TELEMETRY_AND_LATEST, [...recordParameters(columns), candidates(columns)]);
}

/** Writes the records alone, for who keeps the newest values by other means. */
export async function storeTelemetry(run: RunStatement, columns: TelemetryColumns): Promise<void> {
  for (const part of conflictFree(columns)) await run(STORE_TELEMETRY, recordParameters(part));
}

/** Writes the newest values of records that are stored already. */
export async function writeLatest(run: RunStatement, columns: TelemetryColumns): Promise<void> {
  if (columns.tsMs.length > 0) await run(WRITE_LATEST, [...recordParameters(columns), candidates(columns)]);
}

/** $1 to $4 of the statements. */
export function recordParameters(columns: TelemetryColumns): readonly string[] {
  const { entityIds, entityIndex, tsMs, values } = columns;
  return [`{${entityIds.join(",")}}`, `{${entityIndex.join(",")}}`, `{${tsMs.join(",")}}`, values];
}

/** In several parts when records meet at one entity and time: a statement can't touch a row twice. */
function conflictFree(columns: TelemetryColumns): readonly TelemetryColumns[] {
  if (columns.tsMs.length === 0) return [];
  return conflictFreeRounds(columns)?.map((round) => selectRecords(columns, round)) ?? [columns];
}

function candidates(columns: TelemetryColumns): string {
  return `{${latestCandidates(columns)
    .map((position) => position + 1)
    .join(",")}}`;
}
