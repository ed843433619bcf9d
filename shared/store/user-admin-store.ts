import { and, asc, eq, ilike, inArray, ne, or, sql, type SQL } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Authority, User } from "../entities/user.ts";
import { eraseOtherAlarmsOf } from "./alarm-store.ts";
import { containsPattern, type Page, type PageRequest } from "./entity-store.ts";
import { readTablePage } from "./table-page.ts";
import { apiKey, appUser, attribute, mobileSession, telemetry, telemetryLatest, userSettings } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";
import { emailTaken, toUser, userNotFound } from "./user-store.ts";

// Users as administrators see and change them.

export interface UserUpdate extends Pick<User, "id" | "email" | "firstName" | "lastName" | "phone" | "additionalInfo"> {
  /** The version that the author has seen; null: overwrite. */
  readonly expectedVersion: number | null;
}

/** @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS */
export async function updateUser(tx: Queryable, update: UserUpdate): Promise<User> {
  const { id, expectedVersion, ...fields } = update;
  const [stored] = await tx.select().from(appUser).where(eq(appUser.id, id)).for("update");
  if (stored === undefined) throw userNotFound(id);
  if (expectedVersion !== null && expectedVersion !== stored.version)
    throw new AppError("VERSION_CONFLICT", "User was already changed by someone else");
  const [holder] = await tx
    .select({ id: appUser.id })
    .from(appUser)
    .where(and(eq(sql`lower(${appUser.email})`, fields.email.toLowerCase()), ne(appUser.id, id)));
  if (holder !== undefined) throw emailTaken(fields.email);
  const rows = await tx
    .update(appUser)
    .set({ ...fields, version: stored.version + 1 })
    .where(eq(appUser.id, id))
    .returning();
  if (rows[0] === undefined) throw userNotFound(id);
  return toUser(rows[0]);
}

/** A user that is disabled can't sign in, and its tokens stop working. @throws AppError NOT_FOUND */
export async function enableUser(tx: Queryable, id: Uuid, enabled: boolean): Promise<User> {
  const rows = await tx
    .update(appUser)
    .set({ enabled, version: sql`${appUser.version} + 1` })
    .where(eq(appUser.id, id))
    .returning();
  if (rows[0] === undefined) throw userNotFound(id);
  return toUser(rows[0]);
}

/**
 * With its settings and API keys.
 *
 * @throws AppError NOT_FOUND, INVALID_ARGUMENT for the last administrator of its tenant or of the system
 */
export async function deleteUser(tx: Queryable, id: Uuid): Promise<void> {
  const [stored] = await tx.select().from(appUser).where(eq(appUser.id, id));
  if (stored === undefined) throw userNotFound(id);
  if (stored.authority !== "CUSTOMER_USER") await keepOneAdmin(tx, stored);
  await eraseUsers(tx, [id]);
}

/** Locks them all: two administrators that delete each other must not both succeed. */
async function keepOneAdmin(
  tx: Queryable,
  { tenantId, authority }: { readonly tenantId: string; readonly authority: string },
): Promise<void> {
  const admins = await tx
    .select({ id: appUser.id })
    .from(appUser)
    .where(and(eq(appUser.tenantId, tenantId), eq(appUser.authority, authority)))
    .orderBy(asc(appUser.id))
    .for("update");
  if (admins.length > 1) return;
  const who = authority === "SYS_ADMIN" ? "system" : "tenant";
  throw new AppError("INVALID_ARGUMENT", `At least one ${who} administrator must remain!`);
}

/** Their settings, API keys, phones, attributes, telemetry and alarms too. */
export async function eraseUsers(tx: Queryable, ids: readonly Uuid[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.delete(apiKey).where(inArray(apiKey.userId, [...ids]));
  await tx.delete(userSettings).where(inArray(userSettings.userId, [...ids]));
  await tx.delete(mobileSession).where(inArray(mobileSession.userId, [...ids]));
  await tx.delete(appUser).where(inArray(appUser.id, [...ids]));
  for (const table of [attribute, telemetryLatest, telemetry]) {
    await tx.delete(table).where(inArray(table.entityId, [...ids]));
  }
  await eraseOtherAlarmsOf(tx, ids);
}

/** Every field that is given narrows. */
export interface UserFilter {
  readonly tenantId?: Uuid | undefined;
  readonly customerId?: Uuid | undefined;
  readonly authority?: Authority | undefined;
  readonly ids?: readonly Uuid[] | undefined;
  /** Administrators, and users of this customer if there is one. */
  readonly adminsAndUsersOf?: Uuid | null | undefined;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listUsers(db: Queryable, filter: UserFilter, page: PageRequest): Promise<Page<User>> {
  const where = conditionOf(filter, page);
  const sortable = {
    createdTime: appUser.createdMs,
    email: appUser.email,
    name: appUser.email,
    firstName: appUser.firstName,
    lastName: appUser.lastName,
    authority: appUser.authority,
  };
  return await readTablePage(db, { table: appUser, where, key: appUser.id, sortable, toItem: toUser }, page);
}

function conditionOf(
  { tenantId, customerId, authority, ids, adminsAndUsersOf }: UserFilter,
  { textSearch }: PageRequest,
): SQL | undefined {
  const search = textSearch === undefined || textSearch === "" ? undefined : containsPattern(textSearch);
  return and(
    tenantId === undefined ? undefined : eq(appUser.tenantId, tenantId),
    customerId === undefined ? undefined : eq(appUser.customerId, customerId),
    authority === undefined ? undefined : eq(appUser.authority, authority),
    ids === undefined ? undefined : inArray(appUser.id, [...ids]),
    adminsAndUsersOf === undefined
      ? undefined
      : or(
          eq(appUser.authority, "TENANT_ADMIN"),
          adminsAndUsersOf === null ? undefined : eq(appUser.customerId, adminsAndUsersOf),
        ),
    search === undefined
      ? undefined
      : or(ilike(appUser.email, search), ilike(appUser.firstName, search), ilike(appUser.lastName, search)),
  );
}

type Settings = NonNullable<User["additionalInfo"]>;

export async function readUserSettings(db: Queryable, userId: Uuid): Promise<Settings> {
  const [row] = await db.select().from(userSettings).where(eq(userSettings.userId, userId));
  return (row?.settings ?? {}) as Settings; // written from Settings only
}

/** `change` gets the settings of now, which nobody else changes until the commit. */
export async function changeUserSettings(
  tx: Queryable,
  userId: Uuid,
  change: (stored: Settings) => Settings,
): Promise<Settings> {
  await tx.insert(userSettings).values({ userId, settings: {} }).onConflictDoNothing();
  const [row] = await tx.select().from(userSettings).where(eq(userSettings.userId, userId)).for("update");
  const settings = change((row?.settings ?? {}) as Settings); // written from Settings only
  await tx.update(userSettings).set({ settings }).where(eq(userSettings.userId, userId));
  return settings;
}
