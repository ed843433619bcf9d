import { asc, count, eq, ilike, inArray, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { withoutNulls } from "../../shared/entities/fields.ts";
import type { User } from "../../shared/entities/user.ts";
import { alarmOriginator } from "../../shared/store/alarm-originator.ts";
import { alarm } from "../../shared/store/alarm-tables.ts";
import { containsPattern, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import { ensureDefaultProfiles } from "../../shared/store/profile-store.ts";
import { ensureRootChains } from "../../shared/store/rule-chain-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { readTablePage } from "../../shared/store/table-page.ts";
import { appUser, entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createUser } from "../../shared/store/user-store.ts";
import { edge, tenant } from "./schema.ts";
import { keepTenantProfile } from "./tenant-profile-store.ts";

export interface Tenant {
  readonly id: Uuid;
  readonly title: string;
  readonly profileId: Uuid;
  readonly version: number;
  readonly createdMs: number;
  /** Region, contact, additionalInfo. */
  readonly body: { readonly [key: string]: Json };
}

export interface NewTenant {
  readonly adminEmail: string;
  readonly adminPasswordHash: string;
}

const FIRST_TENANT_TITLE = "Tenant";

export async function hasTenant(db: Queryable): Promise<boolean> {
  const rows = await db.select({ id: tenant.id }).from(tenant).orderBy(asc(tenant.createdMs)).limit(1);
  return rows.length > 0;
}

/** @returns false when there is a tenant, as when another replica that starts at the same time was faster; nothing is made then */
export function createFirstTenant(db: Queryable, deps: StoreDeps, first: NewTenant): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.execute(sql`lock table ${tenant} in share row exclusive mode`);
    if (await hasTenant(tx)) return false;
    await createTenant(tx, deps, first);
    return true;
  });
}

/** In one transaction: a tenant, its administrator, its default profiles. */
export function createTenant(
  db: Queryable,
  deps: StoreDeps,
  { adminEmail, adminPasswordHash }: NewTenant,
): Promise<{ readonly tenantId: Uuid; readonly admin: User }> {
  return db.transaction(async (tx) => {
    const { id: tenantId } = await insertTenant(tx, deps, { title: FIRST_TENANT_TITLE, profileId: null, body: {} });
    const admin = await createUser(tx, deps, {
      tenantId,
      customerId: null,
      email: adminEmail,
      authority: "TENANT_ADMIN",
      passwordHash: adminPasswordHash,
    });
    return { tenantId, admin };
  });
}

async function insertTenant(
  tx: Queryable,
  deps: StoreDeps,
  { title, profileId, body }: Pick<TenantSave, "title" | "profileId" | "body">,
): Promise<Tenant> {
  const made: Tenant = {
    id: createUuid(deps.clock, deps.random),
    title,
    profileId: await keepTenantProfile(tx, profileId),
    version: 1,
    createdMs: Math.round(deps.clock.nowMs()),
    body,
  };
  // Before the tenant, so that its limits don't count for what it begins with.
  await ensureRootChains(tx, deps, made.id);
  await tx.insert(tenant).values(made);
  // Nobody follows anything yet: there are no changes to record.
  await ensureDefaultProfiles(tx, deps, made.id);
  return made;
}

/** Tenants of versions that made no root chains get them. */
export async function ensureRootChainsOfAll(db: Queryable, deps: StoreDeps): Promise<void> {
  const rows = await db.execute<{ id: Uuid }>(sql`
    select t.id from tenant t where (
      select count(distinct e.subtype) from entity e
      where e.tenant_id = t.id and e.entity_type = 'RULE_CHAIN' and e.body ->> 'root' = 'true') < 2`);
  for (const { id } of rows)
    await db.transaction(async (tx) => {
      // Another replica may start at the same time.
      const [stored] = await tx.select({ id: tenant.id }).from(tenant).where(eq(tenant.id, id)).for("update");
      if (stored !== undefined) await ensureRootChains(tx, deps, id);
    });
}

export interface SystemAdmin {
  readonly email: string;
  readonly passwordHash: string;
}

export async function hasSystemAdmin(db: Queryable): Promise<boolean> {
  const rows = await db.select({ id: appUser.id }).from(appUser).where(eq(appUser.authority, "SYS_ADMIN")).limit(1);
  return rows.length > 0;
}

/** @returns false when there is one, as when another replica that starts at the same time was faster; nothing is made then */
export function createFirstSystemAdmin(db: Queryable, deps: StoreDeps, first: SystemAdmin): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.execute(sql`lock table ${tenant} in share row exclusive mode`);
    if (await hasSystemAdmin(tx)) return false;
    await createUser(tx, deps, { ...first, tenantId: NULL_UUID, customerId: null, authority: "SYS_ADMIN" });
    return true;
  });
}

export interface TenantSave extends Pick<Tenant, "title" | "body"> {
  /** null: a new one. */
  readonly id: Uuid | null;
  /** null: as it is; of a new tenant the default one. */
  readonly profileId: Uuid | null;
  /** The version that the author has seen; null: overwrite. */
  readonly expectedVersion: number | null;
}

/**
 * A new tenant has its default profiles, and no users.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, INVALID_ARGUMENT for a profile that there is not
 */
export async function saveTenant(tx: Queryable, deps: StoreDeps, save: TenantSave): Promise<Tenant> {
  const { id, title, body, profileId, expectedVersion } = save;
  if (id === null) return insertTenant(tx, deps, save);
  const [stored] = await tx.select().from(tenant).where(eq(tenant.id, id)).for("update");
  if (stored === undefined) throw tenantNotFound(id);
  if (expectedVersion !== null && expectedVersion !== stored.version)
    throw new AppError("VERSION_CONFLICT", "Tenant was already changed by someone else");
  const rows = await tx
    .update(tenant)
    .set({
      title,
      body,
      profileId: profileId === null ? stored.profileId : await keepTenantProfile(tx, profileId),
      version: stored.version + 1,
    })
    .where(eq(tenant.id, id))
    .returning();
  return toTenant(rows[0] ?? stored);
}

/** Puts members into its additionalInfo; null takes one out. @throws AppError NOT_FOUND */
export async function changeTenantInfo(
  tx: Queryable,
  id: Uuid,
  members: { readonly [key: string]: Json },
): Promise<void> {
  const [stored] = await tx.select().from(tenant).where(eq(tenant.id, id)).for("update");
  if (stored === undefined) throw tenantNotFound(id);
  const { body, version } = toTenant(stored);
  const info = body["additionalInfo"] as { readonly [key: string]: Json } | null; // as it was checked when it was saved
  const next = withoutNulls({ ...info, ...members });
  await tx
    .update(tenant)
    .set({ body: { ...body, additionalInfo: next }, version: version + 1 })
    .where(eq(tenant.id, id));
}

/** Whether the tenant exists; it is kept from being deleted until the commit then. */
export async function keepTenant(tx: Queryable, id: Uuid): Promise<boolean> {
  const rows = await tx.select({ id: tenant.id }).from(tenant).where(eq(tenant.id, id)).for("key share");
  return rows.length > 0;
}

/** @throws AppError NOT_FOUND */
export async function getTenant(db: Queryable, id: Uuid): Promise<Tenant> {
  const [row] = await db.select().from(tenant).where(eq(tenant.id, id));
  if (row === undefined) throw tenantNotFound(id);
  return toTenant(row);
}

export function tenantNotFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `Tenant with id [${id}] is not found`);
}

export async function findTenants(db: Queryable, ids: readonly Uuid[]): Promise<Tenant[]> {
  const rows = await db
    .select()
    .from(tenant)
    .where(inArray(tenant.id, [...ids]))
    .orderBy(asc(tenant.id));
  return rows.map(toTenant);
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listTenants(db: Queryable, page: PageRequest): Promise<Page<Tenant>> {
  const { textSearch } = page;
  const search = textSearch === undefined || textSearch === "" ? undefined : containsPattern(textSearch);
  const where = search === undefined ? undefined : ilike(tenant.title, search);
  const sortable = { createdTime: tenant.createdMs, title: tenant.title, name: tenant.title };
  return await readTablePage(db, { table: tenant, where, key: tenant.id, sortable, toItem: toTenant }, page);
}

/** How many there are of each kind: entity types of the REST convention, USER, EDGE and ALARM among them. */
export async function countOfTenant(db: Queryable, tenantId: Uuid): Promise<ReadonlyMap<string, number>> {
  const [entities, users, edges, alarms] = await Promise.all([
    db
      .select({ type: entity.entityType, count: count() })
      .from(entity)
      .where(eq(entity.tenantId, tenantId))
      .groupBy(entity.entityType),
    db.select({ count: count() }).from(appUser).where(eq(appUser.tenantId, tenantId)),
    db.select({ count: count() }).from(edge).where(eq(edge.tenantId, tenantId)),
    db
      .select({ count: count() })
      .from(alarm)
      .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
      .where(eq(alarmOriginator.tenantId, tenantId)),
  ]);
  return new Map([
    ...entities.map(({ type, count: number }) => [type, number] as const),
    ["USER", users[0]?.count ?? 0] as const,
    ["EDGE", edges[0]?.count ?? 0] as const,
    ["ALARM", alarms[0]?.count ?? 0] as const,
  ]);
}

function toTenant(row: typeof tenant.$inferSelect): Tenant {
  // Columns written from a Tenant.
  return { ...row, id: row.id as Uuid, profileId: row.profileId as Uuid, body: row.body as Tenant["body"] };
}
