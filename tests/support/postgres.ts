import { MIGRATIONS as CLOUD_MIGRATIONS } from "../../drizzle/cloud.gen.ts";
import { MIGRATIONS as EDGE_MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { closeSql, openSql, type PostgresConnection, type Sql } from "../../shared/postgres/connect.ts";
import { runMigrations, type DatabaseKind } from "../../shared/postgres/migrate.ts";
import { startPostgresServer, type PostgresServer } from "../../shared/postgres/server.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { createBlobStore } from "../../shared/store/blob-store.ts";
import { openDb } from "../../shared/store/open-db.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createTestDir, kill, SOURCE, untilStatus } from "../integration/postgres-support.ts";

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
  /** A new database with nothing in it, for programs: its DATABASE_URL. */
  createEmptyDatabase(): Promise<string>;
  /** SIGKILL of the server; resolves when it accepts connections again. */
  restart(): Promise<void>;
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
  const createConnection = async (): Promise<PostgresConnection> => {
    databases += 1;
    const database = `test_${databases}`;
    await admin.unsafe(`create database ${database}`);
    return { ...server.connection, database };
  };
  return {
    async createEmptyDatabase() {
      const { database, host, user } = await createConnection();
      return `postgres://${user}@/${database}?host=${encodeURIComponent(host)}`;
    },
    async restart() {
      const { pid = 0 } = server.status();
      const back = untilStatus(server, (status) => status.state === "ready" && status.pid !== pid);
      kill(pid, "SIGKILL");
      await back;
    },
    async createDatabase(kind) {
      const connection = await createConnection();
      const sql = openSql(connection, { applicationName: "test", max: 8, arrays: false }, silentLog);
      closing.defer(() => closeSql(sql));
      await runMigrations(sql, kind === "cloud" ? CLOUD_MIGRATIONS : EDGE_MIGRATIONS, { kind });
      return { connection, sql, db: openDb(sql) };
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Contents of one owner in this database, up to 512 MiB each. */
export function createTestBlobs({ db }: TestDatabase, ownerId: Uuid = NULL_UUID): BlobStore {
  const deps = { db, clock: systemClock, createHasher: createSha256 };
  return createBlobStore(deps, { ownerId, bytesMax: 512 * 1024 * 1024 });
}
