import type { AppError, ErrorCode } from "../core/errors.ts";

// The one place where a failure becomes an answer of the REST API.

/** Numbers of the public REST convention. */
export const REST_ERROR_CODES = {
  general: 2,
  authentication: 10,
  tokenExpired: 11,
  permissionDenied: 20,
  badRequest: 31,
  notFound: 32,
  tooManyRequests: 33,
  versionConflict: 35,
  entityLimit: 41,
  database: 46,
} as const;

type RestErrorCode = (typeof REST_ERROR_CODES)[keyof typeof REST_ERROR_CODES];
type ErrorStatus = 400 | 401 | 403 | 404 | 409 | 413 | 429 | 500 | 503 | 507;

/** Codes that name a fault of the program or the machine; their texts stay in the log. */
const INTERNAL = { status: 500, errorCode: REST_ERROR_CODES.general } as const;
const DATABASE = { status: 503, errorCode: REST_ERROR_CODES.database } as const;

const ANSWERS: Readonly<Record<ErrorCode, { readonly status: ErrorStatus; readonly errorCode: RestErrorCode }>> = {
  INVALID_ARGUMENT: { status: 400, errorCode: REST_ERROR_CODES.badRequest },
  INVALID_PAYLOAD: { status: 400, errorCode: REST_ERROR_CODES.badRequest },
  PAYLOAD_TOO_LARGE: { status: 413, errorCode: REST_ERROR_CODES.badRequest },
  UNAUTHENTICATED: { status: 401, errorCode: REST_ERROR_CODES.authentication },
  TOKEN_EXPIRED: { status: 401, errorCode: REST_ERROR_CODES.tokenExpired },
  PERMISSION_DENIED: { status: 403, errorCode: REST_ERROR_CODES.permissionDenied },
  NOT_FOUND: { status: 404, errorCode: REST_ERROR_CODES.notFound },
  ALREADY_EXISTS: { status: 400, errorCode: REST_ERROR_CODES.badRequest },
  VERSION_CONFLICT: { status: 409, errorCode: REST_ERROR_CODES.versionConflict },
  TOO_MANY_REQUESTS: { status: 429, errorCode: REST_ERROR_CODES.tooManyRequests },
  ENTITY_LIMIT: { status: 403, errorCode: REST_ERROR_CODES.entityLimit },
  EDGE_NOT_CONNECTED: INTERNAL,
  DATABASE_UNAVAILABLE: DATABASE,
  DATABASE_IN_USE: DATABASE,
  DATABASE_WRONG_VERSION: DATABASE,
  DATABASE_NEWER: DATABASE,
  DATABASE_FOREIGN: DATABASE,
  DATABASE_MIGRATION_CHANGED: DATABASE,
  DIRECTORY_UNWRITABLE: DATABASE,
  DISK_FULL: { status: 507, errorCode: REST_ERROR_CODES.database },
  UNSUPPORTED_PLATFORM: INTERNAL,
  CONFIG_INVALID: INTERNAL,
  ADDRESS_IN_USE: INTERNAL,
  PROTOCOL_ERROR: INTERNAL,
  PEER_UNSUPPORTED: INTERNAL,
  SESSION_FENCED: INTERNAL,
  IDENTITY_CONFLICT: INTERNAL,
  STORE_MISMATCH: INTERNAL,
  UNSUPPORTED_ITEM: INTERNAL,
  ITEM_UNREADABLE: INTERNAL,
  CONTENT_MISSING: INTERNAL,
  CLAIM_REFUSED: { status: 403, errorCode: REST_ERROR_CODES.permissionDenied },
  INSECURE_TRANSPORT: INTERNAL,
  NO_ROUTE: INTERNAL,
  CERTIFICATE_REFUSED: INTERNAL,
  STALLED: INTERNAL,
  LINK_DOWN: INTERNAL,
  CANCELLED: { status: 503, errorCode: REST_ERROR_CODES.general },
  INTERNAL,
};

/** Texts of these are written for the operator and may name internals. */
const HIDDEN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["INTERNAL", "CANCELLED"]);

export interface RestErrorBody {
  readonly status: number;
  readonly message: string;
  readonly errorCode: number;
  readonly timestamp: number;
  /** Which parameter or member was wrong, as the caller wrote it. */
  readonly field?: string;
}

/** The answer to a failure: `{"status":404,"message":"…","errorCode":32,"timestamp":1700000000000}`. */
export function errorResponse(error: AppError, nowMs: number): Response {
  const { status, errorCode } = ANSWERS[error.code];
  const message = messageOf(error);
  const isTold = status < 500 && error.field !== undefined;
  const body: RestErrorBody = {
    status,
    message,
    errorCode,
    timestamp: nowMs,
    ...(isTold ? { field: error.field } : {}),
    ...(status < 500 ? error.details : {}),
  };
  const headers = new Headers({ "content-type": JSON_TYPE });
  if (error.retryAfterMs !== undefined) headers.set("retry-after", String(Math.ceil(error.retryAfterMs / 1000)));
  return new Response(JSON.stringify(body), { status, headers });
}

export const JSON_TYPE = "application/json; charset=utf-8";

/** What a client is told of an error. */
export function messageOf(error: AppError): string {
  const { status, errorCode } = ANSWERS[error.code];
  if (status === 503 && errorCode === REST_ERROR_CODES.database) return "Database error";
  return HIDDEN.has(error.code) ? "Internal error: the log says more" : error.message;
}

/** Whether somebody has to look at it: the client did nothing wrong. */
export function isServerFault(error: AppError): boolean {
  return ANSWERS[error.code].status >= 500 && error.code !== "EDGE_NOT_CONNECTED";
}
