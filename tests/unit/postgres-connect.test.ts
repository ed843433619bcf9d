import { expect, test } from "bun:test";
import { inspect } from "node:util";
import { DrizzleQueryError } from "drizzle-orm/errors";
import { AppError } from "../../shared/core/errors.ts";
import { createLog } from "../../shared/observe/log.ts";
import { databaseError, describeConnection, parseDatabaseUrl } from "../../shared/postgres/connect.ts";

test("parseDatabaseUrl() reads every part of an address", () => {
  const connection = parseDatabaseUrl("postgres://me:p%40ss@db.example:6543/site?sslmode=require");
  expect(connection).toMatchObject({ host: "db.example", port: 6543, user: "me", database: "site", tls: "require" });
  expect(connection.password?.()).toBe("p@ss");
});

test("parseDatabaseUrl() fills in port and database, and takes a socket's directory", () => {
  expect(parseDatabaseUrl("postgresql://me@db")).toMatchObject({
    host: "db",
    port: 5432,
    database: "me",
    tls: "prefer",
  });
  expect(parseDatabaseUrl("postgres://me@/site?host=/run/pg")).toMatchObject({
    host: "/run/pg",
    database: "site",
    tls: "disable",
  });
  expect(parseDatabaseUrl("postgres:///site?host=/run/pg&user=me")).toMatchObject({ host: "/run/pg", user: "me" });
  expect(parseDatabaseUrl("postgres://me@[::1]:5433/site")).toMatchObject({ host: "::1", port: 5433 });
});

test("parseDatabaseUrl() refuses what it can't use without showing the password", () => {
  const urls = [
    "",
    "host=db",
    "http://me:s3cret@db",
    "postgres://db/x",
    "postgres://me:s3cret@db/x?sslmode=maybe",
    "postgres://me:s3cret@db:99999/x",
    "postgres://me:s3cret@db:0/x",
    "postgres://me:%zz-s3cret@db/x",
  ];
  for (const url of urls) {
    const error = thrownBy(() => parseDatabaseUrl(url));
    expect(error).toMatchObject({ code: "CONFIG_INVALID", field: "DATABASE_URL" });
    expect(inspect(error)).not.toContain("s3cret");
  }
});

test("describeConnection() and a printed connection hold no password", () => {
  const connection = parseDatabaseUrl("postgres://me:s3cret@db/x");
  expect(describeConnection(connection)).toBe("me@db:5432/x");
  expect(inspect(connection) + JSON.stringify(connection)).not.toContain("s3cret");
});

test("databaseError() tells a lost connection from a fault", () => {
  const socketError = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  expect(databaseError(socketError)).toMatchObject({ code: "DATABASE_UNAVAILABLE", retryable: true });
  const closed = Object.assign(new Error("write CONNECTION_CLOSED"), { code: "CONNECTION_CLOSED" });
  expect(databaseError(closed)).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
  expect(databaseError(new Error("Failed query", { cause: closed }))).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
  expect(databaseError(new TypeError("x is undefined"))).toMatchObject({ code: "INTERNAL", retryable: false });
  const known = new AppError("DATABASE_IN_USE", "taken");
  expect(databaseError(known)).toBe(known);
});

test("databaseError() and the log keep the parameters of a failed query to themselves", () => {
  const closed = Object.assign(new Error("write CONNECTION_CLOSED"), { code: "CONNECTION_CLOSED" });
  const failed = new DrizzleQueryError("select from device where token = $1", ["s3cret\nof two lines"], closed);
  const error = databaseError(failed);
  expect(error.code).toBe("DATABASE_UNAVAILABLE");
  expect(inspect(error)).not.toMatch(/s3cret|two lines/);
  const lines: string[] = [];
  createLog({ write: (line) => lines.push(line) }).warn("It failed", { error: failed });
  expect(lines.join("")).toContain("select from device");
  expect(lines.join("")).not.toMatch(/s3cret|two lines/);
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("Expected a failure");
}
