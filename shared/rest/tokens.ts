import { compactVerify, errors, SignJWT } from "jose";
import * as z from "zod";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import { createUuid, isUuid, NULL_UUID, type Uuid } from "../core/ids.ts";
import type { Random } from "../core/random.ts";
import { AUTHORITIES, isAuthority, type User } from "../entities/user.ts";
import { authenticationFailed } from "./principal.ts";

export const ACCESS_TOKEN_LIFE_S = 9_000;
export const REFRESH_TOKEN_LIFE_S = 604_800;
const ISSUER = "skerry";
const REFRESH_SCOPE = "REFRESH_TOKEN";
/** Of a link with which a password is set. */
const LINK_TOKEN_LIFE_S = 86_400;
export const LINK_TOKEN_LIFE_MS = LINK_TOKEN_LIFE_S * 1000;
const LINK_SCOPES = { activation: "ACTIVATION_TOKEN", reset: "PASSWORD_RESET_TOKEN" } as const;

/** What a link is for: the first password of a user, or another one when it is forgotten. */
export type LinkPurpose = keyof typeof LINK_SCOPES;

export interface TokenPair {
  readonly token: string;
  readonly refreshToken: string;
  readonly scope: null;
}

export const tokenPairSchema = z
  .object({ token: z.string(), refreshToken: z.string(), scope: z.null() })
  .meta({ id: "TokenPair" });

export interface TokenClaims {
  readonly userId: Uuid;
  /** The public customer whose token it is; null: that of a user. */
  readonly publicId: Uuid | null;
  readonly sessionId: Uuid;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

export interface TokenDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly secret: () => Uint8Array;
}

/** Access and refresh tokens of the REST convention: JWT, HS512. Whether session and user are still good is the caller's to ask. */
export interface Tokens {
  /** Both tokens of a session; a new session when none is given. */
  issue(user: User, sessionId?: Uuid): Promise<TokenPair>;
  /** @throws AppError UNAUTHENTICATED, TOKEN_EXPIRED */
  verifyAccess(token: string): Promise<TokenClaims>;
  /** @throws AppError UNAUTHENTICATED, TOKEN_EXPIRED */
  verifyRefresh(token: string): Promise<TokenClaims>;
  /** Nothing of it is stored: it ends with its time, and with the password that is set by it. */
  issueLink(user: User, purpose: LinkPurpose): Promise<string>;
  /** @throws AppError UNAUTHENTICATED, TOKEN_EXPIRED */
  verifyLink(token: string, purpose: LinkPurpose): Promise<TokenClaims>;
}

const uuidClaim = z.string().refine(isUuid);

const claimsSchema = z.object({
  userId: uuidClaim,
  sub: z.string(),
  isPublic: z.boolean().optional(),
  sessionId: uuidClaim,
  scopes: z.tuple([z.enum([...AUTHORITIES, REFRESH_SCOPE, ...Object.values(LINK_SCOPES)])]),
  // With a fraction in our tokens: two in one second stay in order.
  iat: z.number(),
  exp: z.number(),
});

export function createTokens({ clock, random, secret }: TokenDeps): Tokens {
  const sign = (claims: Record<string, unknown>, subject: string, lifeS: number): Promise<string> => {
    const issuedS = clock.nowMs() / 1000;
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "HS512" })
      .setSubject(subject)
      .setIssuer(ISSUER)
      .setIssuedAt(issuedS)
      .setExpirationTime(Math.ceil(issuedS) + lifeS)
      .sign(secret());
  };
  const verify = async (token: string, isExpectedScope: (scope: string) => boolean): Promise<TokenClaims> => {
    const claims = readClaims(await verifySignature(token, secret()));
    if (claims.exp * 1000 <= clock.nowMs()) throw tokenExpired();
    if (!isExpectedScope(claims.scopes[0])) throw authenticationFailed();
    const { userId, sessionId, sub, isPublic = false, iat, exp } = claims;
    const publicId = isPublic && isUuid(sub) ? sub : null;
    return { userId, publicId, sessionId, issuedMs: Math.round(iat * 1000), expiresMs: exp * 1000 };
  };
  return {
    async issue(user, sessionId = createUuid(clock, random)) {
      const common = { userId: user.id, sessionId, isPublic: user.id === NULL_UUID };
      const access = {
        ...common,
        scopes: [user.authority],
        firstName: user.firstName ?? undefined,
        lastName: user.lastName ?? undefined,
        enabled: user.enabled,
        tenantId: user.tenantId,
        customerId: user.customerId ?? NULL_UUID,
      };
      const refresh = { ...common, scopes: [REFRESH_SCOPE], jti: createUuid(clock, random) };
      return {
        token: await sign(access, user.email, ACCESS_TOKEN_LIFE_S),
        refreshToken: await sign(refresh, user.email, REFRESH_TOKEN_LIFE_S),
        scope: null,
      };
    },
    verifyAccess: (token) => verify(token, isAuthority),
    verifyRefresh: (token) => verify(token, (scope) => scope === REFRESH_SCOPE),
    issueLink: (user, purpose) => {
      const claims = { userId: user.id, sessionId: createUuid(clock, random), scopes: [LINK_SCOPES[purpose]] };
      return sign(claims, user.email, LINK_TOKEN_LIFE_S);
    },
    verifyLink: (token, purpose) => verify(token, (scope) => scope === LINK_SCOPES[purpose]),
  };
}

async function verifySignature(token: string, secret: Uint8Array): Promise<Uint8Array> {
  try {
    return (await compactVerify(token, secret, { algorithms: ["HS512"] })).payload;
  } catch (error) {
    // A token of another installation, or of this one before its database was made anew, is like one that ran out.
    if (error instanceof errors.JWSSignatureVerificationFailed) throw tokenExpired();
    throw authenticationFailed(error);
  }
}

function readClaims(payload: Uint8Array): z.output<typeof claimsSchema> {
  try {
    return claimsSchema.parse(JSON.parse(new TextDecoder().decode(payload)));
  } catch (error) {
    throw authenticationFailed(error);
  }
}

export function tokenExpired(): AppError {
  return new AppError("TOKEN_EXPIRED", "Token has expired");
}
