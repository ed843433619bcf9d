import { realpathSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";

/** The PostgreSQL of a running edge or cloud, for what no interface offers: to damage it, and to count what is in it. */
export function connectToDatabase(dataDir: string): postgres.Sql & AsyncDisposable {
  const sql = postgres({
    host: realpathSync(join(dataDir, "postgres/run")),
    user: "skerry",
    database: "postgres",
    max: 1,
    connection: { application_name: "skerry-test", statement_timeout: 120_000 },
  });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end() });
}
