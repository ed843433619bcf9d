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
 * A pool that survives its server. A connection that closes fails what it was doing and is opened again by the next statement (for which
 * postgres.js is patched). When the database comes back after a loss, all connections are replaced at once, and what still waits on an
 * old one fails as DATABASE_UNAVAILABLE: one that fell silent would keep it waiting, and one that was refused would pause first.
 */
export function openPool(database: PoolDatabase, options: SqlOptions, log: Log): Pool {
  const open = (): Sql => {
    const opened = openSql(database.connection, options, log);
    // Drizzle sets the form of JSON and times on the connections that it is made over.
    drizzle(opened);
    return opened;
  };
  let current = open();
  const transactions = new OpenTransactions();
  let state: DatabaseState = "ready";

  const replace = (): void => {
    const old = current;
    current = open();
    transactions.fail(new AppError("DATABASE_UNAVAILABLE", "The connection to PostgreSQL was lost"));
    closeSql(old, 0).catch(() => undefined);
  };
  const unsubscribe = database.subscribe((status) => {
    if (status.state === "ready" && state !== "ready") replace();
    state = status.state;
  });

  const forward = ((...args: Parameters<Sql>) => current(...args)) as unknown as Sql; // the proxy adds the members
  const sql = new Proxy(forward, {
    get: (_, member): unknown => {
      switch (member) {
        case "begin":
          return beginOn(current, transactions);
        case "unsafe":
          return prepareOn(current);
        default:
          return Reflect.get(current, member);
      }
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

/** The members of a pool or transaction that statements go through; either form of their arguments. */
interface Client {
  begin(this: void, ...args: readonly unknown[]): Promise<unknown>;
  savepoint(this: void, ...args: readonly unknown[]): Promise<unknown>;
  unsafe(
    this: void,
    statement: string,
    parameters?: readonly unknown[],
    options?: { readonly prepare?: boolean },
  ): unknown;
}

/** Longer statements have lists of any length in them, each of which would stay prepared for nothing. */
const PREPARED_LENGTH_MAX = 1_500;

/** Drizzle prepares nothing by itself, which costs each statement a further round trip and a plan. */
function prepareOn(client: object): Client["unsafe"] {
  const { unsafe } = client as Client;
  return (statement, parameters, options) =>
    options === undefined || statement.length > PREPARED_LENGTH_MAX
      ? unsafe(statement, parameters, options)
      : unsafe(statement, parameters, { ...options, prepare: true });
}

function beginOn(client: object, transactions: OpenTransactions): Client["begin"] {
  const { begin } = client as Client;
  return (...args) => transactions.wait(begin(...withPreparing(args)));
}

/** Those who wait for a transaction, so that they can be told when their connection is given up. */
class OpenTransactions {
  readonly #failures = new Set<(error: AppError) => void>();

  // Each has a promise of its own: one promise of the loss would keep every race with it, and its result, until there is a loss.
  async wait<T>(transaction: Promise<T>): Promise<T> {
    const { promise: failure, reject } = Promise.withResolvers<never>();
    this.#failures.add(reject);
    try {
      return await Promise.race([transaction, failure]);
    } finally {
      this.#failures.delete(reject);
    }
  }

  fail(error: AppError): void {
    for (const reject of this.#failures) reject(error);
    this.#failures.clear();
  }
}

/** The last argument is the work, which gets the transaction. */
function withPreparing(args: readonly unknown[]): readonly unknown[] {
  return args.map((argument) =>
    typeof argument === "function"
      ? (tx: object): unknown => (argument as (client: object) => unknown)(preparing(tx))
      : argument,
  );
}

function preparing(tx: object): object {
  return new Proxy(tx, {
    get: (target, member): unknown => {
      if (member === "unsafe") return prepareOn(target);
      if (member !== "savepoint") return Reflect.get(target, member);
      const { savepoint } = target as Client;
      return (...args: readonly unknown[]) => savepoint(...withPreparing(args));
    },
  });
}
