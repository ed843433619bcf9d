import { inspect } from "node:util";
import postgres from "postgres";
import { AppError, type ErrorCode } from "../core/errors.ts";
import type { Log } from "../observe/log.ts";

/** Where a server is reached. The password is behind a function, so that no log and no error can print it. */
export interface PostgresConnection {
  /** A directory (starts with "/") that holds the server's unix socket, or a host name. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password?: () => string;
  /** As libpq's sslmode; require encrypts without checking the certificate. @default "disable" */
  readonly tls?: TlsMode;
}

export type TlsMode = "disable" | "prefer" | "require" | "verify-full";

export interface SqlOptions {
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Connections at most. @default 4 */
  readonly max?: number;
  /** Unused connections are closed after this time; 0 keeps them. @default 60_000 */
  readonly idleTimeoutMs?: number;
  /** @default 10_000 */
  readonly connectTimeoutMs?: number;
  /** The server gives a statement up after this time; 0 never does. @default 60_000 */
  readonly statementTimeoutMs?: number;
  /** Whether arrays of every type can be parameters and results, for one more query per pool. @default true */
  readonly arrays?: boolean;
  /** Called for each connection that closes. */
  readonly onClose?: () => void;
  /** Takes the payloads of what connections of the pool LISTEN to. */
  readonly onNotification?: (payload: string) => void;
}

/** A pool whose int8 columns are numbers. */
export type Sql = postgres.Sql<{ bigint: number }>;
export type TransactionSql = postgres.TransactionSql<{ bigint: number }>;

const INT8_OID = 20;

/**
 * A pool of connections. It connects with the first query and again after a loss; queries meanwhile fail, see `databaseError`.
 * int8 arrives as number, and a value beyond 2^53 fails its query instead of being rounded. Close it with `closeSql`.
 *
 * @example
 * const sql = openSql(server.connection, { applicationName: "skerry-edge" }, log);
 * const [row] = await sql<{ n: number }[]>`select count(*) as n from device`;
 */
export function openSql(connection: PostgresConnection, options: SqlOptions, log: Log): Sql {
  const {
    max = 4,
    idleTimeoutMs = 60_000,
    connectTimeoutMs = 10_000,
    statementTimeoutMs = 60_000,
    arrays = true,
  } = options;
  const { onClose, onNotification } = options;
  return postgres({
    ...(connection.host.startsWith("/")
      ? { path: `${connection.host}/.s.PGSQL.${connection.port}`, host: connection.host }
      : { host: connection.host }),
    port: connection.port,
    user: connection.user,
    database: connection.database,
    password: connection.password ?? "",
    ssl: connection.tls === undefined || connection.tls === "disable" ? false : connection.tls,
    max,
    idle_timeout: idleTimeoutMs / 1000,
    connect_timeout: connectTimeoutMs / 1000,
    // A connection lives until it fails: replacing it would only make prepared statements anew.
    max_lifetime: null,
    prepare: true,
    fetch_types: arrays,
    // A restarting local server is back within a second.
    backoff: (retries) => Math.min(2, 0.05 * 2 ** retries),
    connection: { application_name: options.applicationName, statement_timeout: statementTimeoutMs },
    types: { bigint: { to: INT8_OID, from: [INT8_OID], serialize: String, parse: parseInt8 } },
    onnotice: (notice) => log.debug("PostgreSQL notice", { severity: notice["severity"], notice: notice["message"] }),
    ...(onClose === undefined ? {} : { onclose: () => onClose() }),
    ...(onNotification === undefined ? {} : { onnotify: (_: string, payload: string) => onNotification(payload) }),
  });
}

/** Closes a pool: running queries may end within the deadline, then they fail. */
export async function closeSql(sql: Sql, deadlineMs = 2000): Promise<void> {
  await sql.end({ timeout: deadlineMs / 1000 });
}

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new AppError("INTERNAL", `Expected an int8 below 2^53, got ${text}`);
  return value;
}

/**
 * Reads a `DATABASE_URL`: `postgres://user:password@host:port/database?sslmode=require`, or with `host=/directory` for a unix socket.
 *
 * @throws AppError CONFIG_INVALID; the text never holds the password
 */
export function parseDatabaseUrl(text: string): PostgresConnection {
  const invalid = (expected: string): AppError =>
    new AppError("CONFIG_INVALID", `Invalid DATABASE_URL: ${expected}`, { field: "DATABASE_URL" });
  // URL demands a host, and a socket's URL has none.
  const url = URL.parse(text.replace(/^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?#]|$)/, "$1localhost"));
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol))
    throw invalid("expected postgres://user:password@host:port/database");
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw invalid("expected % only in escapes such as %40");
    }
  };
  const host = url.searchParams.get("host") ?? decode(url.hostname).replace(/^\[(.*)\]$/, "$1");
  const user = decode(url.username) || (url.searchParams.get("user") ?? "");
  if (user === "") throw invalid("expected a user, as in postgres://user@host/database");
  // A socket has no TLS.
  const tls = TLS_MODES[url.searchParams.get("sslmode") ?? (host.startsWith("/") ? "disable" : "prefer")];
  if (tls === undefined) throw invalid(`expected sslmode to be one of ${Object.keys(TLS_MODES).join(", ")}`);
  const password = decode(url.password) || (url.searchParams.get("password") ?? "");
  const port = Number(url.searchParams.get("port") ?? (url.port || "5432"));
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid("expected a port between 1 and 65535");
  const database = decode(url.pathname.slice(1)) || user;
  return { host, port, user, database, tls, ...(password === "" ? {} : { password: () => password }) };
}

const TLS_MODES: Readonly<Record<string, TlsMode>> = {
  disable: "disable",
  prefer: "prefer",
  require: "require",
  "verify-full": "verify-full",
};

/** "user@host:port/database" for logs and errors. */
export function describeConnection(connection: PostgresConnection): string {
  return `${connection.user}@${connection.host}:${connection.port}/${connection.database}`;
}

const BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  "53100": "DISK_FULL",
  // statement_timeout
  "57014": "DATABASE_UNAVAILABLE",
  "53200": "DATABASE_UNAVAILABLE",
  "53300": "DATABASE_UNAVAILABLE",
  "57P01": "DATABASE_UNAVAILABLE",
  "57P02": "DATABASE_UNAVAILABLE",
  "57P03": "DATABASE_UNAVAILABLE",
  "57P05": "DATABASE_UNAVAILABLE",
  "25P03": "DATABASE_UNAVAILABLE",
  "28P01": "DATABASE_UNAVAILABLE",
  "28000": "DATABASE_UNAVAILABLE",
  "3D000": "DATABASE_UNAVAILABLE",
};

/** Raised by a trigger of the cloud's schema; the detail is `{ entityType, limit }` as JSON. */
const ENTITY_LIMIT_STATE = "SK001";

/** character_not_in_repertoire, untranslatable_character: what comes as UTF-8 has no other fault than the character 0x00. */
const ZERO_CHARACTER: ReadonlySet<string> = new Set(["22021", "22P05"]);

/** Codes of postgres.js and of sockets that mean that the server was not reached or the connection was lost. */
const CONNECTION_CODES =
  /^(CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT|ECONN(REFUSED|RESET|ABORTED)|ENOENT|EPIPE|EACCES|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|EAGAIN|FailedToOpenSocket)$/;

/**
 * Whatever a query threw, as an AppError: DISK_FULL, DATABASE_UNAVAILABLE (retryable: server down, starting, connection lost), else INTERNAL
 * with the SQLSTATE in the text. Constraint violations are the caller's to recognise before, by `sqlStateOf`.
 */
export function databaseError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const causes = causesOf(thrown);
  const code = sqlStateOf(thrown);
  // The innermost: a wrapper's text repeats the statement's parameters, which may be secrets.
  const cause = causes.at(-1) ?? thrown;
  const message = cause instanceof Error ? cause.message : inspect(cause);
  if (code !== undefined) {
    if (ZERO_CHARACTER.has(code))
      return new AppError("INVALID_ARGUMENT", `Texts can't hold the character 0x00 (${code})`, { cause });
    if (code === ENTITY_LIMIT_STATE) {
      const { detail = "{}" } = cause as postgres.PostgresError; // it has this SQLSTATE
      const details = JSON.parse(detail) as Readonly<Record<string, string | number>>; // as the trigger makes it
      return new AppError("ENTITY_LIMIT", message, { cause, details });
    }
    const known = BY_SQLSTATE[code];
    if (known !== undefined) return new AppError(known, `PostgreSQL refused: ${message} (${code})`, { cause });
    // Class 08: connection exceptions.
    if (code.startsWith("08"))
      return new AppError("DATABASE_UNAVAILABLE", `The connection failed: ${message} (${code})`, { cause });
    return new AppError("INTERNAL", `PostgreSQL refused: ${message} (${code})`, { cause });
  }
  if (causes.some((error) => "code" in error && CONNECTION_CODES.test(String(error.code)))) {
    return new AppError("DATABASE_UNAVAILABLE", `Can't reach PostgreSQL: ${message}`, { cause });
  }
  return new AppError("INTERNAL", message, { cause });
}

/** `work`, failing with nothing but AppErrors. */
export async function orDatabaseError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw databaseError(thrown);
  }
}

/** SQLSTATE of a row whose key is there already. */
export const UNIQUE_VIOLATION = "23505";

/** The SQLSTATE of a server's error, also inside the wrapper that Drizzle puts around it. */
export function sqlStateOf(thrown: unknown): string | undefined {
  return causesOf(thrown).find((cause) => cause instanceof postgres.PostgresError)?.code;
}

/**
 * Whether the data of a statement is at fault, so that the same statement fails again however often it is tried: values and
 * constraints (classes 21, 22, 23, 44), and what exceeds a limit of the server, as a key too long for an index (54).
 */
export function isDataError(thrown: unknown): boolean {
  return /^(21|22|23|44|54)/.test(sqlStateOf(thrown) ?? "");
}

const CAUSES_MAX = 5;

function causesOf(thrown: unknown): readonly Error[] {
  const causes: Error[] = [];
  for (let current = thrown; current instanceof Error && causes.length < CAUSES_MAX; current = current.cause)
    causes.push(current);
  return causes;
}
