import { drizzle } from "drizzle-orm/postgres-js";
import { AppError } from "../core/errors.ts";
import type { Log } from "../observe/log.ts";
import type { Sql, SqlOptions } from "./connect.ts";
import { closeSql, openSql } from "./connect.ts";
import type { Database, DatabaseState } from "./database.ts";

/** What a pool follows: where the database is, and when it comes back. */
export type PoolDatabase = Pick<Database, "connection" | "subscribe">;

export interface Pool extends AsyncDisposable {
  /** Stays the same object for as long as the pool is open, also for whoever keeps it. */
  readonly sql: Sql;
}

/**
 * A pool that survives its server. When the database comes back after a loss, all connections are replaced at once, and what still
 * waits on an old one fails as DATABASE_UNAVAILABLE: postgres.js leaves a transaction without an answer when its connection is lost
 * between two statements, and a connection that met this never works again.
 */
export function openPool(database: PoolDatabase, options: SqlOptions, log: Log): Pool {
  const open = (): Sql => {
    const opened = openSql(database.connection, options, log);
    // Drizzle sets the form of JSON and times on the connections that it is made over.
    drizzle(opened);
    return opened;
  };
  let current = open();
  let lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined);
  let state: DatabaseState = "ready";

  const replace = (): void => {
    const old = current;
    const oldLost = lost;
    current = open();
    lost = Promise.withResolvers<never>();
    lost.promise.catch(() => undefined);
    oldLost.reject(new AppError("DATABASE_UNAVAILABLE", "The connection to PostgreSQL was lost"));
    closeSql(old, 0).catch(() => undefined);
  };
  const unsubscribe = database.subscribe((status) => {
    if (status.state === "ready" && state !== "ready") replace();
    state = status.state;
  });

  const forward = ((...args: Parameters<Sql>) => current(...args)) as unknown as Sql; // the proxy adds the members
  const sql = new Proxy(forward, {
    get: (_, member): unknown => {
      if (member !== "begin") return Reflect.get(current, member);
      const { promise } = lost;
      // Either form of begin; types of both would only be repeated here.
      const { begin } = current as unknown as { begin: (this: void, ...args: readonly unknown[]) => Promise<unknown> };
      return (...args: readonly unknown[]) => Promise.race([begin(...args), promise]);
    },
  });
  return {
    sql,
    [Symbol.asyncDispose]: async () => {
      unsubscribe();
      await closeSql(current);
    },
  };
}
