import { realpathSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql, type Sql } from "../../shared/postgres/connect.ts";
import { SERVER_USER } from "../../shared/postgres/settings.ts";
import type { Program } from "./processes.ts";

/** Work on the server of a running program, by the socket in its data directory. */
export async function withDatabaseOf<T>(program: Program<unknown>, work: (sql: Sql) => Promise<T>): Promise<T> {
  const host = join(realpathSync(join(program.dataDir, "postgres")), "run");
  const connection = { host, port: 5432, user: SERVER_USER, database: "postgres" };
  const sql = openSql(connection, { applicationName: "test", max: 1, arrays: false }, silentLog);
  try {
    return await work(sql);
  } finally {
    await closeSql(sql);
  }
}
