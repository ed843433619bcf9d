import { Code, ConnectError } from "@connectrpc/connect";
import type { ErrorCode } from "../core/errors.ts";
import { AppError, ERROR_CODES } from "../core/errors.ts";

// The one mapping between AppError and gRPC. The exact code travels in a header beside the coarse gRPC code.

export const EDGE_KEY_HEADER = "skerry-edge-key";
export const EDGE_SECRET_HEADER = "skerry-edge-secret";
const CODE_HEADER = "skerry-code";

const TO_GRPC: Partial<Record<ErrorCode, Code>> = {
  INVALID_ARGUMENT: Code.InvalidArgument,
  UNAUTHENTICATED: Code.Unauthenticated,
  PERMISSION_DENIED: Code.PermissionDenied,
  NOT_FOUND: Code.NotFound,
  ALREADY_EXISTS: Code.AlreadyExists,
  TOO_MANY_REQUESTS: Code.ResourceExhausted,
  PEER_UNSUPPORTED: Code.FailedPrecondition,
  SESSION_FENCED: Code.Aborted,
  IDENTITY_CONFLICT: Code.FailedPrecondition,
  CLAIM_REFUSED: Code.PermissionDenied,
  DATABASE_UNAVAILABLE: Code.Unavailable,
  CANCELLED: Code.Canceled,
};

const FROM_GRPC: Partial<Record<Code, ErrorCode>> = {
  [Code.Unauthenticated]: "UNAUTHENTICATED",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.InvalidArgument]: "PROTOCOL_ERROR",
  [Code.Unimplemented]: "PEER_UNSUPPORTED",
};

export function toConnectError(thrown: unknown): ConnectError {
  const error = AppError.from(thrown);
  return new ConnectError(error.message, TO_GRPC[error.code] ?? Code.Internal, { [CODE_HEADER]: error.code });
}

/** Whatever a call failed with; a failure of the link itself is LINK_DOWN. */
export function fromConnectError(error: ConnectError): AppError {
  const named = error.metadata.get(CODE_HEADER);
  const code = named !== null && isErrorCode(named) ? named : (FROM_GRPC[error.code] ?? "LINK_DOWN");
  return new AppError(code, error.rawMessage, { cause: error });
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}
