import { and, count, eq, lt, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import type { UserSaved } from "../entities/change.ts";
import { isAuthority, type Authority, type User } from "../entities/user.ts";
import type { StoreDeps } from "./store-deps.ts";
import { appUser, revokedSession } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

/** argon2id in PHC form; shared/runtime/password.ts has the implementations. */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  /** False also for a text that is no hash. */
  verify(password: string, hash: string): Promise<boolean>;
}

export interface NewUser {
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly email: string;
  readonly authority: Authority;
  /** null: the user has to be activated. */
  readonly passwordHash: string | null;
  readonly firstName?: string | null;
  readonly lastName?: string | null;
  readonly phone?: string | null;
  readonly additionalInfo?: User["additionalInfo"];
}

/** @throws AppError ALREADY_EXISTS; e-mail addresses are global and compared without case */
export async function createUser(tx: Queryable, deps: StoreDeps, user: NewUser): Promise<User> {
  const rows = await tx
    .insert(appUser)
    .values({
      id: createUuid(deps.clock, deps.random),
      ...user,
      tokensValidFromMs: 0,
      createdMs: deps.clock.nowMs(),
    })
    .onConflictDoNothing()
    .returning();
  if (rows[0] === undefined) throw emailTaken(user.email);
  return toUser(rows[0]);
}

export function emailTaken(email: string): AppError {
  return new AppError("ALREADY_EXISTS", `User with email '${email}' already present in database!`, { field: "email" });
}

/** The user as edges get it. The password hash is part of it: the user signs in there, with or without a link. */
export function userSaved(row: typeof appUser.$inferSelect): UserSaved {
  const { id, customerId, email, authority, firstName, lastName, phone, enabled, version, createdMs, passwordHash } =
    row;
  const { additionalInfo } = toUser(row);
  const named = { id, customerId, email, authority, firstName, lastName, phone };
  const body = JSON.stringify({ ...named, enabled, version, createdMs, additionalInfo, passwordHash });
  return { kind: "user-saved", entity: { type: "USER", id: id as Uuid }, body }; // written from a Uuid
}

/**
 * How users are changed: the one place that knows who else has to hear of it. `work` must not wait for anything but `tx`.
 *
 * @throws AppError INVALID_ARGUMENT on an edge, for a user of the cloud
 */
export interface UserWork {
  change(work: (tx: Queryable) => Promise<User>): Promise<User>;
  remove(user: User, work: (tx: Queryable) => Promise<void>): Promise<void>;
}

export function userNotFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `User with id [${id}] is not found`);
}

export async function hasUsers(db: Queryable): Promise<boolean> {
  const rows = await db.select({ users: count() }).from(appUser);
  return (rows[0]?.users ?? 0) > 0;
}

export async function findUser(db: Queryable, id: Uuid): Promise<User | null> {
  const rows = await db.select().from(appUser).where(eq(appUser.id, id));
  return rows[0] === undefined ? null : toUser(rows[0]);
}

/** Keeps it from being deleted until the transaction ends. @returns whether it is there */
export async function keepUser(tx: Queryable, id: Uuid): Promise<boolean> {
  const rows = await tx.select({ id: appUser.id }).from(appUser).where(eq(appUser.id, id)).for("key share");
  return rows.length > 0;
}

/** The user with this address, in any case of letters, with its password hash: for signing in only. */
export async function findUserForLogin(
  db: Queryable,
  email: string,
): Promise<{ readonly user: User; readonly passwordHash: string | null } | null> {
  const rows = await db
    .select()
    .from(appUser)
    .where(eq(sql`lower(${appUser.email})`, email.toLowerCase()));
  return rows[0] === undefined ? null : { user: toUser(rows[0]), passwordHash: rows[0].passwordHash };
}

/** From `nowMs` on only tokens that are issued later are good. */
export async function replacePassword(
  tx: Queryable,
  { userId, passwordHash, nowMs }: { readonly userId: Uuid; readonly passwordHash: string; readonly nowMs: number },
): Promise<User> {
  const rows = await tx
    .update(appUser)
    .set({ passwordHash, tokensValidFromMs: nowMs, version: sql`${appUser.version} + 1` })
    .where(eq(appUser.id, userId))
    .returning();
  if (rows[0] === undefined) throw userNotFound(userId);
  return toUser(rows[0]);
}

export async function noteLogin(db: Queryable, userId: Uuid, nowMs: number): Promise<void> {
  await db
    .update(appUser)
    .set({ lastLoginMs: Math.round(nowMs) })
    .where(eq(appUser.id, userId));
}

/** Tokens of the session stop working; the row is kept until the last of them has run out. */
export async function revokeSession(
  tx: Queryable,
  { sessionId, expiresMs, nowMs }: { readonly sessionId: Uuid; readonly expiresMs: number; readonly nowMs: number },
): Promise<void> {
  await tx.delete(revokedSession).where(lt(revokedSession.expiresMs, nowMs));
  await tx.insert(revokedSession).values({ sessionId, expiresMs }).onConflictDoNothing();
}

/** The user of a token, or null when the token's session was ended or the user is gone. */
export async function findSessionUser(
  db: Queryable,
  { userId, sessionId }: { readonly userId: Uuid; readonly sessionId: Uuid },
): Promise<User | null> {
  const rows = await db
    .select()
    .from(appUser)
    .where(
      and(
        eq(appUser.id, userId),
        sql`not exists (select from ${revokedSession} where ${revokedSession.sessionId} = ${sessionId})`,
      ),
    );
  return rows[0] === undefined ? null : toUser(rows[0]);
}

export async function isSessionRevoked(db: Queryable, sessionId: Uuid): Promise<boolean> {
  const rows = await db
    .select({ id: revokedSession.sessionId })
    .from(revokedSession)
    .where(eq(revokedSession.sessionId, sessionId));
  return rows.length > 0;
}

export function toUser(row: typeof appUser.$inferSelect): User {
  if (!isAuthority(row.authority)) {
    throw new AppError("DATABASE_NEWER", `User ${row.id} has the unknown authority ${row.authority}`);
  }
  return {
    id: row.id as Uuid,
    tenantId: row.tenantId as Uuid,
    customerId: row.customerId as Uuid | null,
    email: row.email,
    authority: row.authority,
    firstName: row.firstName,
    lastName: row.lastName,
    phone: row.phone,
    enabled: row.enabled,
    isCopy: row.isCopy,
    isActivated: row.passwordHash !== null,
    lastLoginMs: row.lastLoginMs,
    tokensValidFromMs: row.tokensValidFromMs,
    version: row.version,
    createdMs: row.createdMs,
    additionalInfo: row.additionalInfo as User["additionalInfo"],
  };
}
