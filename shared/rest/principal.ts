import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Authority } from "../entities/user.ts";

/** Who calls the REST API. */
export interface Principal {
  readonly userId: Uuid;
  readonly tenantId: Uuid;
  /** Of a customer user: it sees this customer's entities only. */
  readonly customerId: Uuid | null;
  readonly authority: Authority;
  /** Of the token; null: there is no session that could end. */
  readonly sessionId: Uuid | null;
  /** Everybody, by the id of a public customer: it reads only (isOpenToPublic). @default false */
  readonly isPublic?: boolean;
}

/** Checks what comes behind a scheme in X-Authorization: `Bearer <token>`. */
export interface Authenticator {
  /** In lower case, e.g. `bearer`. */
  readonly scheme: string;
  /** @throws AppError UNAUTHENTICATED, TOKEN_EXPIRED */
  authenticate(credentials: string): Promise<Principal>;
}

export function authenticationFailed(cause?: unknown): AppError {
  return new AppError("UNAUTHENTICATED", "Authentication failed", cause === undefined ? {} : { cause });
}

export function permissionDenied(): AppError {
  return new AppError("PERMISSION_DENIED", "You don't have permission to perform this operation!");
}
