import { AppError } from "../core/errors.ts";
import { databaseError, describeConnection, parseDatabaseUrl, type PostgresConnection, type Sql } from "./connect.ts";
import { DatabaseStateHolder, type Database, type DatabaseStatus } from "./database.ts";
import { openHeldSession, type HeldSession, type HeldSessionDeps, type HeldSessionOptions } from "./held-session.ts";

export interface ExternalDatabaseOptions extends Pick<
  HeldSessionOptions,
  "connectTimeoutMs" | "probeIntervalMs" | "probeTimeoutMs"
> {
  /** The value of DATABASE_URL. */
  readonly url: string;
  /** Whether only one program may use the database: true for an edge, false for the replicas of a cloud. */
  readonly exclusive: boolean;
}

/** 14 is the oldest with the functions and syntax that the schema uses. */
const SERVER_VERSION_MIN = 140_000;
/** Key of the advisory lock that an edge holds while it runs, "skerry" and 2 in ASCII. */
const EXCLUSIVE_LOCK = 0x736b_6572_7202;

/**
 * A PostgreSQL that somebody else runs, watched over a connection of its own: while that is lost the state is "restarting". With
 * `exclusive` the connection holds an advisory lock, and if another program took it during a loss the state becomes "lost" for good.
 *
 * @throws AppError CONFIG_INVALID, DATABASE_UNAVAILABLE, DATABASE_WRONG_VERSION (older than 14), DATABASE_IN_USE. No text holds the password.
 */
export async function openExternalDatabase(deps: HeldSessionDeps, options: ExternalDatabaseOptions): Promise<Database> {
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

class ExternalDatabase implements Database {
  readonly connection: PostgresConnection;
  readonly #deps: HeldSessionDeps;
  readonly #options: ExternalDatabaseOptions;
  readonly #state: DatabaseStateHolder;
  #session: HeldSession | undefined;

  constructor(deps: HeldSessionDeps, options: ExternalDatabaseOptions, connection: PostgresConnection) {
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
    const { url: _, exclusive, ...timeouts } = this.#options;
    this.#session = await openHeldSession(this.#deps, {
      ...timeouts,
      connection: this.connection,
      applicationName: exclusive ? "skerry-lock" : "skerry-watch",
      setUp: (sql) => this.#setUp(sql),
      onLost: () => this.#state.move("restarting", { restarts: this.status().restarts + 1 }),
      onBack: () => this.#state.move("ready"),
      onFailure: (error) => this.#onFailure(error),
    });
    this.#state.move("ready");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.[Symbol.asyncDispose]();
    this.#state.move("stopped");
  }

  async #setUp(sql: Sql): Promise<void> {
    const [row] = await sql<{ version: number }[]>`select current_setting('server_version_num')::int as version`;
    const version = row?.version ?? 0;
    if (version < SERVER_VERSION_MIN) {
      throw new AppError(
        "DATABASE_WRONG_VERSION",
        `Expected PostgreSQL 14 or newer at ${describeConnection(this.connection)}, got ${Math.floor(version / 10_000)}; upgrade it`,
      );
    }
    if (!this.#options.exclusive) return;
    const [lock] = await sql<{ held: boolean }[]>`select pg_try_advisory_lock(${EXCLUSIVE_LOCK}::int8) as held`;
    if (lock?.held !== true) {
      throw new AppError(
        "DATABASE_IN_USE",
        `Another edge uses the database ${describeConnection(this.connection)}; stop it, or give this edge a database of its own`,
      );
    }
  }

  #onFailure(error: AppError): boolean {
    const isTaken = error.code === "DATABASE_IN_USE";
    if (isTaken)
      this.#deps.log.error("Another edge took the database over", { code: error.code, error: error.message });
    this.#state.move(isTaken ? "lost" : "restarting", { lastError: { code: error.code, message: error.message } });
    return !isTaken;
  }
}
