import { MIGRATIONS as CLOUD_MIGRATIONS } from "../../drizzle/cloud.gen.ts";
import { MIGRATIONS as EDGE_MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql, type PostgresConnection, type Sql } from "../../shared/postgres/connect.ts";
import { runMigrations, type DatabaseKind } from "../../shared/postgres/migrate.ts";
import { startPostgresServer, type PostgresServer } from "../../shared/postgres/server.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { openDb } from "../../shared/store/open-db.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createTestDir, SOURCE } from "../integration/postgres-support.ts";

/** A database of one end, migrated, empty, on a PostgreSQL server of the test file. */
export interface TestDatabase {
  readonly connection: PostgresConnection;
  readonly sql: Sql;
  readonly db: Queryable;
}

/** The embedded server of one test file; its databases go with it. */
export interface TestPostgres extends AsyncDisposable {
  /** A new database with the schema of this end. */
  createDatabase(kind: DatabaseKind): Promise<TestDatabase>;
}

/** @example const postgres = await startTestPostgres(); afterAll(() => postgres[Symbol.asyncDispose]()); */
export async function startTestPostgres(): Promise<TestPostgres> {
  await using opening = new AsyncDisposableStack();
  const dir = opening.use(createTestDir());
  const server: PostgresServer = opening.use(
    await startPostgresServer(
      { clock: systemClock, log: silentLog, source: SOURCE },
      { dataDir: dir.path, profile: "cloud" },
    ),
  );
  const admin = openSql(server.connection, { applicationName: "test", max: 1 }, silentLog);
  opening.defer(() => closeSql(admin));
  const closing = opening.move();
  let databases = 0;
  return {
    async createDatabase(kind) {
      databases += 1;
      const database = `test_${databases}`;
      await admin.unsafe(`create database ${database}`);
      const connection = { ...server.connection, database };
      const sql = openSql(connection, { applicationName: "test", max: 8, arrays: false }, silentLog);
      closing.defer(() => closeSql(sql));
      await runMigrations(sql, kind === "cloud" ? CLOUD_MIGRATIONS : EDGE_MIGRATIONS, { kind });
      return { connection, sql, db: openDb(sql) };
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}
