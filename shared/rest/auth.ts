import * as z from "zod";
import { createAttemptLimiter, type AttemptLimits } from "../core/attempt-limiter.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { createToken } from "../core/random.ts";
import { userSchema, userToRest, type User } from "../entities/user.ts";
import type { Metrics } from "../observe/metrics.ts";
import { findApiKeyByValue } from "../store/api-key-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import {
  findSessionUser,
  findUser,
  findUserForLogin,
  isSessionRevoked,
  noteLogin,
  replacePassword,
  revokeSession,
  type PasswordHasher,
  type UserWork,
} from "../store/user-store.ts";
import { authenticationFailed, type Authenticator } from "./principal.ts";
import { addPublicSignInRoute, findPublicUser } from "./public-sign-in.ts";
import { EVERY_ROLE, parseJson, type Call, type RouteTable } from "./route.ts";
import { REFRESH_TOKEN_LIFE_S, tokenExpired, tokenPairSchema, type TokenClaims, type Tokens } from "./tokens.ts";

export interface AuthDeps {
  readonly db: Queryable;
  readonly users: UserWork;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly tokens: Tokens;
  readonly passwords: PasswordHasher;
  readonly loginLimits?: AttemptLimits;
  /** Writes down what a user did that changes nothing, or without being signed in. @default nobody does */
  readonly note?: (user: User, action: SignInAction, more?: SignInNote) => Promise<void>;
}

export type SignInAction = "LOGIN" | "LOGOUT" | "LOCKOUT" | "ACTIVATED" | "CREDENTIALS_UPDATED";

export interface SignInNote {
  /** Where the call came from. */
  readonly remoteAddress?: string | undefined;
  /** Why it did not succeed. @default it did */
  readonly failure?: string;
}

/** `Bearer` tokens: signed, not run out, of a session that nobody ended, of a user who may sign in. */
export function createBearerAuthenticator({ db, tokens }: Pick<AuthDeps, "db" | "tokens">): Authenticator {
  return {
    scheme: "bearer",
    authenticate: async (token) => {
      const claims = await tokens.verifyAccess(token);
      const { id, tenantId, customerId, authority } = await sessionUser(db, claims);
      const isPublic = claims.publicId !== null;
      return { userId: id, tenantId, customerId, authority, sessionId: claims.sessionId, isPublic };
    },
  };
}

/** `ApiKey` values: of a key that is enabled and has not expired, of a user who may sign in. */
export function createApiKeyAuthenticator({ db, clock }: Pick<AuthDeps, "db" | "clock">): Authenticator {
  return {
    scheme: "apikey",
    authenticate: async (value) => {
      const found = await findApiKeyByValue(db, value);
      if (found === null) throw authenticationFailed();
      const { apiKey, user } = found;
      if (!apiKey.enabled) throw new AppError("UNAUTHENTICATED", "API key is disabled");
      if (apiKey.expiresMs !== 0 && apiKey.expiresMs <= clock.nowMs())
        throw new AppError("UNAUTHENTICATED", "API key has expired");
      if (!user.enabled) throw new AppError("UNAUTHENTICATED", "User account is not active");
      const { id, tenantId, customerId, authority } = user;
      return { userId: id, tenantId, customerId, authority, sessionId: null };
    },
  };
}

async function sessionUser(db: Queryable, claims: TokenClaims): Promise<User> {
  const { publicId, sessionId } = claims;
  if (publicId !== null) {
    const everybody = (await isSessionRevoked(db, sessionId)) ? null : await findPublicUser(db, publicId);
    if (everybody === null) throw authenticationFailed();
    return everybody;
  }
  const user = await findSessionUser(db, claims);
  if (user === null) throw authenticationFailed();
  if (!user.enabled) throw new AppError("UNAUTHENTICATED", "User account is not active");
  if (claims.issuedMs < user.tokensValidFromMs) throw tokenExpired();
  return user;
}

const PASSWORD_LENGTH_MIN = 6;
/** argon2 takes any length, but hashing should not cost more for longer ones. */
export const PASSWORD_LENGTH_MAX = 1024;

const loginInput = z.object({ username: z.string().min(1), password: z.string().min(1).max(PASSWORD_LENGTH_MAX) });

const refreshInput = z.object({ refreshToken: z.string() });

export function addAuthRoutes(routes: RouteTable, deps: AuthDeps): void {
  const { db, clock, tokens, passwords } = deps;
  const signIn = createSignIn(deps);
  const tag = "Authentication";
  addPublicSignInRoute(routes, deps);

  routes.add(
    {
      method: "post",
      path: "/api/auth/login",
      tag,
      summary: "Sign in with name and password",
      access: "anyone",
      textBody: '{"username":"tenant@skerry.local","password":"…"}',
      answer: tokenPairSchema,
    },
    async (call) => {
      const input = await readCredentials(call, loginInput);
      const user = await signIn(input, call.remoteAddress);
      await noteLogin(db, user.id, clock.nowMs());
      await deps.note?.(user, "LOGIN", { remoteAddress: call.remoteAddress });
      return tokens.issue(user);
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/auth/token",
      tag,
      summary: "Exchange a refresh token for a new pair",
      access: "anyone",
      textBody: '{"refreshToken":"…"}',
      answer: tokenPairSchema,
    },
    async (call) => {
      const { refreshToken } = await readCredentials(call, refreshInput);
      const claims = await tokens.verifyRefresh(refreshToken);
      return tokens.issue(await sessionUser(db, claims), claims.sessionId);
    },
  );
  routes.add(
    { method: "post", path: "/api/auth/logout", tag, summary: "End the session of the token", access: EVERY_ROLE },
    async ({ principal, remoteAddress }) => {
      if (principal.sessionId === null) return;
      const nowMs = clock.nowMs();
      const expiresMs = nowMs + REFRESH_TOKEN_LIFE_S * 1000;
      await revokeSession(db, { sessionId: principal.sessionId, expiresMs, nowMs });
      const user = await findUser(db, principal.userId);
      if (user !== null) await deps.note?.(user, "LOGOUT", { remoteAddress });
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/auth/user",
      tag,
      summary: "The user of the token",
      access: EVERY_ROLE,
      answer: userSchema,
    },
    async ({ principal }) => {
      const { customerId, isPublic = false, userId } = principal;
      const user = isPublic && customerId !== null ? await findPublicUser(db, customerId) : await findUser(db, userId);
      if (user === null) throw authenticationFailed();
      return userToRest(user);
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/auth/changePassword",
      tag,
      summary: "Change the own password; older tokens stop working",
      access: EVERY_ROLE,
      body: z.object({
        currentPassword: z.string({ error: "Current password should be specified!" }).max(PASSWORD_LENGTH_MAX),
        newPassword: z.string({ error: "New password should be specified!" }).max(PASSWORD_LENGTH_MAX),
      }),
      answer: tokenPairSchema,
    },
    async ({ principal, body }) => {
      const user = await findUser(db, principal.userId);
      if (user === null) throw authenticationFailed();
      const found = await findUserForLogin(db, user.email);
      if (!(await passwords.verify(body.currentPassword, found?.passwordHash ?? ""))) {
        throw new AppError("INVALID_ARGUMENT", "Current password doesn't match!", { field: "currentPassword" });
      }
      checkPassword(body.newPassword, "newPassword");
      if (body.newPassword === body.currentPassword) {
        const text = "New password should be different from existing!";
        throw new AppError("INVALID_ARGUMENT", text, { field: "newPassword" });
      }
      const passwordHash = await passwords.hash(body.newPassword);
      const change = { userId: user.id, passwordHash, nowMs: clock.nowMs() };
      return tokens.issue(await deps.users.change((tx) => replacePassword(tx, change)));
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/noauth/userPasswordPolicy",
      tag,
      summary: "What a password has to be like",
      access: "anyone",
      answer: passwordPolicySchema,
    },
    () => Promise.resolve(PASSWORD_POLICY),
  );
}

const passwordPolicySchema = z
  .object({
    minimumLength: z.int(),
    maximumLength: z.int().nullable(),
    minimumUppercaseLetters: z.int().nullable(),
    minimumLowercaseLetters: z.int().nullable(),
    minimumDigits: z.int().nullable(),
    minimumSpecialCharacters: z.int().nullable(),
    allowWhitespaces: z.boolean(),
    forceUserToResetPasswordIfNotValid: z.boolean(),
    passwordExpirationPeriodDays: z.int().nullable(),
    passwordReuseFrequencyDays: z.int().nullable(),
  })
  .meta({ id: "UserPasswordPolicy" });

/** null: no such rule. What no person types is refused as too long for a request, not by a rule. */
const PASSWORD_POLICY: z.output<typeof passwordPolicySchema> = {
  minimumLength: PASSWORD_LENGTH_MIN,
  maximumLength: null,
  minimumUppercaseLetters: null,
  minimumLowercaseLetters: null,
  minimumDigits: null,
  minimumSpecialCharacters: null,
  allowWhitespaces: true,
  forceUserToResetPasswordIfNotValid: false,
  passwordExpirationPeriodDays: null,
  passwordReuseFrequencyDays: null,
};

/** @throws AppError INVALID_ARGUMENT */
export function checkPassword(password: string, field: string): void {
  if (password.length >= PASSWORD_LENGTH_MIN) return;
  const text = `Password must be ${PASSWORD_LENGTH_MIN} or more characters in length.`;
  throw new AppError("INVALID_ARGUMENT", text, { field });
}

/** A body that can't be read is a failed sign-in, by the convention. */
async function readCredentials<T>(call: Pick<Call<unknown, unknown>, "text">, input: z.ZodType<T>): Promise<T> {
  try {
    return input.parse(parseJson(await call.text()));
  } catch (error) {
    throw authenticationFailed(error);
  }
}

/** Told of names that nobody has too: the answer must not tell which exist. */
function checkNotLocked(retryAfterMs: number): void {
  if (retryAfterMs === 0) return;
  throw new AppError("UNAUTHENTICATED", "User account is locked due to security policy", { retryAfterMs });
}

type SignIn = (input: z.output<typeof loginInput>, remoteAddress: string | undefined) => Promise<User>;

function createSignIn({ db, clock, random, metrics, note, passwords, loginLimits }: AuthDeps): SignIn {
  const byName = createAttemptLimiter(clock, "to sign in", loginLimits);
  // Many people may sit behind one address.
  const failuresMax = 10 * (loginLimits?.failuresMax ?? 10);
  const byAddress = createAttemptLimiter(clock, "to sign in", { ...loginLimits, failuresMax });
  const failures = metrics.counter("skerry_login_failures_total");
  // An unknown name costs a hash too: the time of the answer must not tell which names exist.
  let nobodysHash: Promise<string> | undefined;
  return async ({ username, password }, remoteAddress) => {
    const name = username.toLowerCase().slice(0, 255);
    const address = remoteAddress ?? "unknown";
    checkNotLocked(byName.waitMs(name));
    byAddress.check(address);
    const found = await findUserForLogin(db, username);
    const hash = found?.passwordHash ?? (await (nobodysHash ??= passwords.hash(createToken(random, 20))));
    const isRight = await passwords.verify(password, hash);
    if (found === null || !isRight) {
      const isLocked = byName.fail(name);
      byAddress.fail(address);
      failures.inc();
      const failure = "Invalid username or password";
      if (found !== null) {
        await note?.(found.user, "LOGIN", { remoteAddress, failure });
        if (isLocked) await note?.(found.user, "LOCKOUT", { remoteAddress });
      }
      throw new AppError("UNAUTHENTICATED", failure);
    }
    if (!found.user.enabled) {
      const failure = "User account is not active";
      await note?.(found.user, "LOGIN", { remoteAddress, failure });
      throw new AppError("UNAUTHENTICATED", failure);
    }
    byName.succeed(name);
    return found.user;
  };
}
