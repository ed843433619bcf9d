import type { Sql } from "postgres";
import { connectToDatabase } from "../support/database.ts";

/**
 * Rows of devices in the telemetry table of a running edge or cloud, without the statistics of edges. Asked from its own PostgreSQL:
 * the REST interface reads some thousand rows at a time and would take longer than what is measured.
 */
export async function countTelemetryRows(dataDir: string): Promise<number> {
  return await askNumber(
    dataDir,
    "select count(*) as number from telemetry join entity on id = entity_id where entity_type = 'DEVICE'",
  );
}

/** Bytes on disk of the edge's outbox, indexes included. */
export async function readOutboxBytes(dataDir: string): Promise<number> {
  return await askNumber(
    dataDir,
    "select sum(pg_total_relation_size(relid)) as number from pg_partition_tree('cloud_event') where isleaf",
  );
}

export async function countOutboxRows(dataDir: string): Promise<number> {
  return await askNumber(dataDir, "select count(*) as number from cloud_event where lane = 'telemetry'");
}

/** Writes what the server holds in memory to its files. */
export async function checkpoint(dataDir: string): Promise<void> {
  await withDatabase(dataDir, async (sql) => void (await sql`checkpoint`));
}

async function askNumber(dataDir: string, statement: string): Promise<number> {
  return await withDatabase(dataDir, async (sql) => {
    const [row] = await sql.unsafe<{ number: string }[]>(statement);
    return Number(row?.number ?? Number.NaN);
  });
}

async function withDatabase<T>(dataDir: string, body: (sql: Sql) => Promise<T>): Promise<T> {
  await using sql = connectToDatabase(dataDir);
  return await body(sql);
}
