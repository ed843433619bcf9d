/**
 * Every failure that an operator or a client can meet, in one list. The prose is the manual:
 * what happened and what to do. Each protocol maps a code to its own answer in exactly one place
 * (shared/rest/errors.ts for HTTP, edge/devices/mqtt-reasons.ts for MQTT, shared/wire/rpc-errors.ts for gRPC).
 */
export const ERROR_CODES = {
  // Requests
  INVALID_ARGUMENT: "The request carries a value that is not allowed. Correct the named field and send it again.",
  INVALID_PAYLOAD: "A device sent something that is not valid telemetry or attributes. The text names the place.",
  PAYLOAD_TOO_LARGE: "The body exceeds the limit in the text. Split it, or raise the limit in the settings.",
  UNAUTHENTICATED: "No valid credentials were given. Sign in again, or check token, key and secret.",
  TOKEN_EXPIRED: "The access token is out of date. Refresh it or sign in again.",
  PERMISSION_DENIED: "The caller may not do this. Ask an administrator for the right.",
  NOT_FOUND: "The item does not exist, or not for this caller.",
  ALREADY_EXISTS: "Another item holds this name, token or key. Choose another.",
  VERSION_CONFLICT: "The item was changed since it was read. Read it again and repeat the change.",
  TOO_MANY_REQUESTS: "A limit on the rate or number of requests was reached. Wait and try again.",
  ENTITY_LIMIT:
    "The tenant has as many entities of this kind as its profile allows. Delete some, or raise the limit in the tenant profile; what an edge made beyond it is parked there, and sent again with its next connection.",
  EDGE_NOT_CONNECTED: "The edge holds no session with the cloud. Its changes wait and are delivered when it connects.",
  // Database server
  DATABASE_UNAVAILABLE:
    "PostgreSQL does not answer. The program keeps trying; see the log of the server in the data directory.",
  DATABASE_IN_USE: "Another process uses this data directory. Stop it, or choose another directory with --data-dir.",
  DATABASE_WRONG_VERSION:
    "The data directory or server is of another major version of PostgreSQL. Dump it with the old version and restore it, or use the matching Skerry.",
  DATABASE_NEWER:
    "The database was written by a newer Skerry. Install that version or a newer one; nothing was changed.",
  DATABASE_FOREIGN: "The directory holds files that are not Skerry's. Choose an empty directory; nothing was touched.",
  DATABASE_MIGRATION_CHANGED:
    "A migration that was applied earlier differs from the one in this program. Install an official build.",
  DIRECTORY_UNWRITABLE:
    "The data directory can't be written. Correct its owner and mode, or choose another with --data-dir.",
  DISK_FULL:
    "The disk has no room. Free some: a running edge goes on by itself, anything else is started again. Stored data is intact.",
  UNSUPPORTED_PLATFORM: "There is no embedded PostgreSQL for this platform. Set DATABASE_URL to an external server.",
  // Settings
  CONFIG_INVALID: "One or more settings are wrong; all of them are named in the text. Correct them and start again.",
  ADDRESS_IN_USE: "A port that is to be opened is taken. Stop the other program or choose another port.",
  // Sync
  PROTOCOL_ERROR: "The peer broke the sync protocol. The session is closed and begun anew; report it if it repeats.",
  PEER_UNSUPPORTED: "The peer speaks no version of the protocol that this program knows. Upgrade the older side.",
  SESSION_FENCED:
    "A newer session of the same edge took over. If it repeats, two machines use one identity: give one its own edge.",
  IDENTITY_CONFLICT:
    "Another machine uses this edge's identity, and the cloud keeps to that one. Stop one of them, or give one its own edge.",
  STORE_MISMATCH:
    "The edge's database does not continue what the cloud has of it, as after restoring a backup. The edge goes on under a new store id by itself.",
  UNSUPPORTED_ITEM:
    "The peer sent a kind of item that this version does not know. It is parked; upgrade this side and replay it.",
  ITEM_UNREADABLE:
    "The bytes of an item, as they are stored, can't be read any more: look for faults of the disk. It is parked, and the rest goes on.",
  CONTENT_MISSING:
    "The content of a large item did not arrive whole, or its SHA-256 is another. It is parked; send it again.",
  CLAIM_REFUSED:
    "The claim code is not known, was used, or has expired; the text says which. Make another one in the cloud with POST /api/edge/{edgeId}/claimCode.",
  INSECURE_TRANSPORT:
    "The secret would travel in plain text to another host. Use an https:// address, or accept the risk with --insecure.",
  NO_ROUTE: "The cloud can't be reached. Check the address, the name server, the firewall and the network.",
  CERTIFICATE_REFUSED:
    "The certificate of the cloud is not trusted. Set tlsCaFile, renew the certificate, or correct the clock.",
  STALLED:
    "The other side takes data, but does not acknowledge it. The session is begun anew; look at its load and log.",
  LINK_DOWN: "There is no connection to the cloud. Everything is stored and sent when it returns.",
  // Program
  CANCELLED: "The work was given up because the program or the caller stopped.",
  INTERNAL: "A fault in Skerry itself. Please report it with the log.",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface AppErrorOptions {
  readonly cause?: unknown;
  /** Whether the same call may succeed later without a change. @default by code, see RETRYABLE */
  readonly retryable?: boolean;
  /** Shortest wait before a retry, in ms. */
  readonly retryAfterMs?: number;
  /** Which input was wrong, as the caller wrote it. */
  readonly field?: string;
  /** What programs are told beside the text: more members of the REST answer. */
  readonly details?: Readonly<Record<string, string | number>>;
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "TOO_MANY_REQUESTS",
  "DATABASE_UNAVAILABLE",
  "DISK_FULL",
  "PROTOCOL_ERROR",
  "LINK_DOWN",
  "NO_ROUTE",
  "STALLED",
  "EDGE_NOT_CONNECTED",
]);

/** The one error type of the project. The message says action, expected and current; it never holds a secret. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly field: string | undefined;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "AppError";
    this.code = code;
    this.retryable = options.retryable ?? RETRYABLE.has(code);
    this.retryAfterMs = options.retryAfterMs;
    this.field = options.field;
    this.details = options.details ?? {};
  }

  /** Whatever was thrown, as an AppError; an unknown throw becomes INTERNAL with the original as cause. */
  static from(thrown: unknown, fallback: ErrorCode = "INTERNAL"): AppError {
    if (thrown instanceof AppError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new AppError(fallback, message, { cause: thrown });
  }
}
