import { AppError, type ErrorCode } from "../../shared/core/errors.ts";

// The one place where a failure becomes an answer of CoAP.

/** Codes of answers: class << 5 | detail. */
export const CODE = {
  created: 0x41,
  deleted: 0x42,
  valid: 0x43,
  content: 0x45,
  continue: 0x5f,
  badRequest: 0x80,
  unauthorized: 0x81,
  badOption: 0x82,
  notFound: 0x84,
  methodNotAllowed: 0x85,
  incomplete: 0x88,
  tooLarge: 0x8d,
  tooManyRequests: 0x9d,
  internal: 0xa0,
  unavailable: 0xa3,
  noProxy: 0xa5,
} as const;

export type AnswerCode = (typeof CODE)[keyof typeof CODE];

const BY_ERROR: Partial<Readonly<Record<ErrorCode, AnswerCode>>> = {
  INVALID_ARGUMENT: CODE.badRequest,
  INVALID_PAYLOAD: CODE.badRequest,
  UNAUTHENTICATED: CODE.unauthorized,
  NOT_FOUND: CODE.notFound,
  PAYLOAD_TOO_LARGE: CODE.tooLarge,
  TOO_MANY_REQUESTS: CODE.tooManyRequests,
  DATABASE_UNAVAILABLE: CODE.unavailable,
  DISK_FULL: CODE.unavailable,
  CANCELLED: CODE.unavailable,
};

/** The code, and what of the text a device may see. */
export function failureOf(thrown: unknown): { readonly code: AnswerCode; readonly text: string } {
  const error = AppError.from(thrown);
  const code = BY_ERROR[error.code] ?? CODE.internal;
  return { code, text: code < CODE.internal ? error.message : "" };
}
