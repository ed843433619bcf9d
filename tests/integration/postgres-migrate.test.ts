import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Sql } from "../../shared/postgres/connect.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { runMigrations, type Migration } from "../../shared/postgres/migrate.ts";
import type { PostgresServer } from "../../shared/postgres/server.ts";
import { connectTo, createTestDir, expectFailure, failureOf, startServer, type TestDir } from "./postgres-support.ts";

const FIRST: Migration = {
  id: "0000_first",
  hash: "aa",
  statements: ["create table one (n int)", "insert into one values (1)"],
};
const SECOND: Migration = { id: "0001_second", hash: "bb", statements: ["alter table one add column text text"] };
const BROKEN: Migration = { id: "0001_second", hash: "bb", statements: ["create table half (n int)", "create tabel"] };

let dir: TestDir;
let server: PostgresServer;
let databases = 0;

beforeAll(async () => {
  dir = createTestDir();
  server = await startServer(join(dir.path, "data"));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

/** A new database for each test. */
async function withDatabase(work: (sql: Sql, other: Sql) => Promise<void>): Promise<void> {
  databases += 1;
  const database = `migrate_${databases}`;
  {
    await using admin = connectTo(server.connection, 1);
    await admin.sql.unsafe(`create database ${database}`);
  }
  await using one = connectTo({ ...server.connection, database }, 1);
  await using two = connectTo({ ...server.connection, database }, 1);
  await work(one.sql, two.sql);
}

test("runMigrations() applies what is missing, in order, once", async () => {
  await withDatabase(async (sql) => {
    expect(await runMigrations(sql, [FIRST], { kind: "edge" })).toEqual({ applied: ["0000_first"], newer: [] });
    expect(await runMigrations(sql, [FIRST, SECOND], { kind: "edge" })).toEqual({
      applied: ["0001_second"],
      newer: [],
    });
    expect(await runMigrations(sql, [FIRST, SECOND], { kind: "edge" })).toEqual({ applied: [], newer: [] });
    expect(await sql`select n, text from one`).toMatchObject([{ n: 1, text: null }]);
  });
});

test("runMigrations() applies each migration once when two programs start at the same moment", async () => {
  await withDatabase(async (sql, other) => {
    const results = await Promise.all([sql, other].map((one) => runMigrations(one, [FIRST, SECOND], { kind: "edge" })));
    expect(results.flatMap((result) => result.applied).toSorted()).toEqual(["0000_first", "0001_second"]);
    expect(await sql`select count(*) as n from one`).toMatchObject([{ n: 1 }]);
  });
});

test("runMigrations() refuses a database of a newer program and changes nothing", async () => {
  await withDatabase(async (sql) => {
    await runMigrations(sql, [FIRST, SECOND], { kind: "edge" });
    const failure = await failureOf(runMigrations(sql, [FIRST], { kind: "edge" }));
    expectFailure(failure, "DATABASE_NEWER", "0001_second");
  });
});

test("runMigrations() works with a newer database whose migrations say that older programs can", async () => {
  await withDatabase(async (sql) => {
    const second = { ...SECOND, isCompatible: true };
    await runMigrations(sql, [FIRST], { kind: "edge" });
    await runMigrations(sql, [FIRST, second], { kind: "edge" });
    expect(await runMigrations(sql, [FIRST], { kind: "edge" })).toEqual({ applied: [], newer: ["0001_second"] });
    const third: Migration = { id: "0002_third", hash: "dd", statements: ["alter table one drop column n"] };
    await runMigrations(sql, [FIRST, second, third], { kind: "edge" });
    expectFailure(await failureOf(runMigrations(sql, [FIRST], { kind: "edge" })), "DATABASE_NEWER", "0002_third");
  });
});

test("runMigrations() takes up a database whose list of migrations does not say yet what older programs can", async () => {
  await withDatabase(async (sql) => {
    await runMigrations(sql, [FIRST], { kind: "edge" });
    await sql`alter table skerry_migration drop column compatible`;
    expect(await runMigrations(sql, [FIRST, SECOND], { kind: "edge" })).toEqual({
      applied: ["0001_second"],
      newer: [],
    });
  });
});

test("runMigrations() refuses a migration that differs from what was applied", async () => {
  await withDatabase(async (sql) => {
    await runMigrations(sql, [FIRST], { kind: "edge" });
    const failure = await failureOf(runMigrations(sql, [{ ...FIRST, hash: "cc" }, SECOND], { kind: "edge" }));
    expect(failure.code).toBe("DATABASE_MIGRATION_CHANGED");
    expect(await sql`select count(*) as n from skerry_migration`).toMatchObject([{ n: 1 }]);
  });
});

test("runMigrations() refuses the database of the other end", async () => {
  await withDatabase(async (sql) => {
    await runMigrations(sql, [FIRST], { kind: "edge" });
    const failure = await failureOf(runMigrations(sql, [FIRST], { kind: "cloud" }));
    expectFailure(failure, "DATABASE_FOREIGN", "belongs to the edge");
  });
});

test("runMigrations() leaves nothing of a migration that fails, and keeps those before it", async () => {
  await withDatabase(async (sql) => {
    expect((await failureOf(runMigrations(sql, [FIRST, BROKEN], { kind: "edge" }))).message).toContain("42601");
    expect(await sql`select to_regclass('half') as half, to_regclass('one')::text as one`).toMatchObject([
      { half: null, one: "one" },
    ]);
    expect(await runMigrations(sql, [FIRST, SECOND], { kind: "edge" })).toEqual({
      applied: ["0001_second"],
      newer: [],
    });
  });
});

test("openSql() gives int8 as number, also in arrays, and fails a query beyond 2^53", async () => {
  await withDatabase(async (sql) => {
    expect(await sql`select 9007199254740991::int8 as n, array[1, 2]::int8[] as list`).toMatchObject([
      { n: 9_007_199_254_740_991, list: [1, 2] },
    ]);
    const failure = await failureOf(Promise.resolve(sql`select 9007199254740993::int8 as n`));
    expect(failure.message).toContain("9007199254740993");
    // The connection is still in step.
    expect(await sql`select 2 as n`).toMatchObject([{ n: 2 }]);
    expect(await sql`select sum(n) as total from unnest(${[1, 2, 3]}::int8[]) as n`).toMatchObject([{ total: "6" }]);
  });
});

test("databaseError() names a statement that the server gave up", async () => {
  await withDatabase(async (sql) => {
    await sql`set statement_timeout = 20`;
    const error = await sql`select pg_sleep(5)`.then(() => undefined, databaseError);
    expect(error).toMatchObject({ code: "DATABASE_UNAVAILABLE", retryable: true });
  });
});
