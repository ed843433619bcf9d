import { realpathSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";

/**
 * Rows in the telemetry table of a running edge or cloud, asked from its own PostgreSQL: the REST interface reads some
 * thousand rows at a time and would take longer than what is measured.
 */
export async function countTelemetryRows(dataDir: string): Promise<number> {
  const sql = postgres({
    host: realpathSync(join(dataDir, "postgres/run")),
    user: "skerry",
    database: "postgres",
    max: 1,
    connection: { application_name: "skerry-bench", statement_timeout: 120_000 },
  });
  try {
    const [row] = await sql<{ rows: string }[]>`select count(*) as rows from telemetry`;
    return Number(row?.rows ?? Number.NaN);
  } finally {
    await sql.end();
  }
}
