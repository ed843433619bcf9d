import { backoffDelayMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { Log } from "../observe/log.ts";
import {
  closeSql,
  databaseError,
  describeConnection,
  openSql,
  parseDatabaseUrl,
  type PostgresConnection,
  type Sql,
} from "./connect.ts";
import { DatabaseStateHolder, type Database, type DatabaseStatus } from "./database.ts";

export interface ExternalDatabaseDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

export interface ExternalDatabaseOptions {
  /** The value of DATABASE_URL. */
  readonly url: string;
  /** Whether only one program may use the database: true for an edge, false for the replicas of a cloud. */
  readonly exclusive: boolean;
  /** How long each attempt to connect may take. @default 10_000 */
  readonly connectTimeoutMs?: number;
}

/** 14 is the oldest with the functions and syntax that the schema uses. */
const SERVER_VERSION_MIN = 140_000;
/** Key of the advisory lock that an edge holds while it runs, "skerry" and 2 in ASCII. */
const EXCLUSIVE_LOCK = 0x736b_6572_7202;

/**
 * A PostgreSQL that somebody else runs. With `exclusive` an advisory lock is held on a connection of its own for as long as the database is
 * open; when that connection is lost it is taken again, and if another program took it meanwhile the state becomes "lost" for good.
 *
 * @throws AppError CONFIG_INVALID, DATABASE_UNAVAILABLE, DATABASE_WRONG_VERSION (older than 14), DATABASE_IN_USE. No text holds the password.
 */
export async function openExternalDatabase(
  deps: ExternalDatabaseDeps,
  options: ExternalDatabaseOptions,
): Promise<Database> {
  const connection = parseDatabaseUrl(options.url);
  const database = new ExternalDatabase(deps, options, connection);
  try {
    await database.open();
  } catch (error) {
    await database[Symbol.asyncDispose]();
    const known = databaseError(error);
    if (known.code !== "DATABASE_UNAVAILABLE") throw known;
    throw new AppError(
      "DATABASE_UNAVAILABLE",
      `Can't open the database ${describeConnection(connection)} of DATABASE_URL: ${known.message}`,
      {
        cause: error,
      },
    );
  }
  return database;
}

interface HeldSession {
  /** Resolves when the session ends, for whatever reason. */
  readonly closed: Promise<void>;
}

class ExternalDatabase implements Database {
  readonly connection: PostgresConnection;
  readonly #deps: ExternalDatabaseDeps;
  readonly #options: ExternalDatabaseOptions;
  readonly #state: DatabaseStateHolder;
  readonly #stopping = new AbortController();
  #session: Sql | undefined;
  #watch: Promise<void> = Promise.resolve();

  constructor(deps: ExternalDatabaseDeps, options: ExternalDatabaseOptions, connection: PostgresConnection) {
    this.connection = connection;
    this.#deps = deps;
    this.#options = options;
    this.#state = new DatabaseStateHolder("external", () => deps.clock.nowMs());
  }

  status(): DatabaseStatus {
    return this.#state.status();
  }

  subscribe(listener: (status: DatabaseStatus) => void): () => void {
    return this.#state.subscribe(listener);
  }

  async open(): Promise<void> {
    const held = await this.#connect();
    this.#state.move("ready");
    if (this.#options.exclusive) this.#watch = this.#holdLock(held);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new AppError("CANCELLED", "The database is being closed"));
    await this.#closeSession();
    await this.#watch;
    this.#state.move("stopped");
  }

  /** Opens the session, checks the server and takes the lock. */
  async #connect(): Promise<HeldSession> {
    const closed = Promise.withResolvers<void>();
    const { connectTimeoutMs = 10_000 } = this.#options;
    const session = openSql(
      this.connection,
      {
        applicationName: "skerry-lock",
        max: 1,
        idleTimeoutMs: 0,
        arrays: false,
        connectTimeoutMs,
        onClose: closed.resolve,
      },
      this.#deps.log,
    );
    this.#session = session;
    const [row] = await session<{ version: number }[]>`select current_setting('server_version_num')::int as version`;
    const version = row?.version ?? 0;
    if (version < SERVER_VERSION_MIN) {
      throw new AppError(
        "DATABASE_WRONG_VERSION",
        `Expected PostgreSQL 14 or newer at ${describeConnection(this.connection)}, got ${Math.floor(version / 10_000)}; upgrade it`,
      );
    }
    if (!this.#options.exclusive) {
      await this.#closeSession();
      return { closed: closed.promise };
    }
    const [lock] = await session<{ held: boolean }[]>`select pg_try_advisory_lock(${EXCLUSIVE_LOCK}::int8) as held`;
    if (lock?.held !== true) {
      throw new AppError(
        "DATABASE_IN_USE",
        `Another edge uses the database ${describeConnection(this.connection)}; stop it, or give this edge a database of its own`,
      );
    }
    return { closed: closed.promise };
  }

  async #holdLock(first: HeldSession): Promise<void> {
    const stopping = this.#stopping.signal;
    let held: HeldSession | undefined = first;
    for (let attempt = 0; ; attempt += 1) {
      if (held !== undefined) {
        await held.closed;
        attempt = 0;
      }
      await this.#closeSession();
      if (stopping.aborted) return;
      this.#state.move("restarting", { restarts: this.status().restarts + (held === undefined ? 0 : 1) });
      held = undefined;
      try {
        await this.#deps.clock.sleep(
          backoffDelayMs(attempt, this.#deps.random, 0, { baseMs: 100, maxMs: 10_000 }),
          stopping,
        );
        held = await this.#connect();
        this.#state.move("ready");
      } catch (thrown) {
        if (stopping.aborted) continue;
        const error = databaseError(thrown);
        this.#deps.log.warn("The session that holds the database's lock is lost", {
          code: error.code,
          error: error.message,
          attempt,
        });
        const lastError = { code: error.code, message: error.message };
        if (error.code === "DATABASE_IN_USE") {
          this.#state.move("lost", { lastError });
          return await this.#closeSession();
        }
        this.#state.move("restarting", { lastError });
      }
    }
  }

  async #closeSession(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session !== undefined) await closeSql(session, 1000);
  }
}
