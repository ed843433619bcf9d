import { and, asc, eq, ilike, inArray, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { containsPattern, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { readTablePage } from "../../shared/store/table-page.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { tenant, tenantProfile } from "./schema.ts";

// Profiles of tenants: how much of each kind their tenants may have. Triggers of the schema keep the limits (ENTITY_LIMIT), whatever
// way an entity is made in; a limit below what is there takes nothing away.

/** Kinds that have a limit, with its name in `profileData.configuration`. */
export const LIMITS = {
  DEVICE: "maxDevices",
  ASSET: "maxAssets",
  CUSTOMER: "maxCustomers",
  USER: "maxUsers",
  DASHBOARD: "maxDashboards",
  RULE_CHAIN: "maxRuleChains",
  EDGE: "maxEdges",
} as const;

export type LimitName = (typeof LIMITS)[keyof typeof LIMITS];

export interface TenantProfile {
  readonly id: Uuid;
  readonly name: string;
  readonly description: string | null;
  readonly isDefault: boolean;
  /** `configuration` holds the limits. */
  readonly profileData: { readonly [key: string]: Json };
  readonly version: number;
  readonly createdMs: number;
}

export interface TenantProfileSave extends Pick<TenantProfile, "name" | "description" | "profileData"> {
  /** null: a new one. */
  readonly id: Uuid | null;
  /** The version that the author has seen; null: overwrite. */
  readonly expectedVersion: number | null;
}

/** @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS */
export async function saveTenantProfile(
  tx: Queryable,
  { clock, random }: StoreDeps,
  { id, expectedVersion, ...fields }: TenantProfileSave,
): Promise<TenantProfile> {
  const stored = id === null ? null : await lockTenantProfile(tx, id);
  if (stored !== null && expectedVersion !== null && expectedVersion !== stored.version)
    throw new AppError("VERSION_CONFLICT", "Tenant profile was already changed by someone else");
  const [holder] = await tx
    .select({ id: tenantProfile.id })
    .from(tenantProfile)
    .where(eq(tenantProfile.name, fields.name));
  if (holder !== undefined && holder.id !== id)
    throw new AppError("ALREADY_EXISTS", "Tenant profile with such name already exists!", { field: "name" });
  if (stored !== null) {
    const changed = { ...stored, ...fields, version: stored.version + 1 };
    await tx.update(tenantProfile).set(changed).where(eq(tenantProfile.id, stored.id));
    return changed;
  }
  const createdMs = Math.round(clock.nowMs());
  const made: TenantProfile = { ...fields, id: createUuid(clock, random), isDefault: false, version: 1, createdMs };
  await tx.insert(tenantProfile).values(made);
  return made;
}

/** New tenants have it from then on. @throws AppError NOT_FOUND */
export async function makeDefaultTenantProfile(tx: Queryable, id: Uuid): Promise<TenantProfile> {
  const stored = await lockTenantProfile(tx, id);
  if (stored.isDefault) return stored;
  const next = { version: sql`${tenantProfile.version} + 1` };
  await tx
    .update(tenantProfile)
    .set({ ...next, isDefault: false })
    .where(eq(tenantProfile.isDefault, true));
  await tx
    .update(tenantProfile)
    .set({ ...next, isDefault: true })
    .where(eq(tenantProfile.id, id));
  return { ...stored, isDefault: true, version: stored.version + 1 };
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT for the default one and for one that tenants have */
export async function deleteTenantProfile(tx: Queryable, id: Uuid): Promise<void> {
  const { isDefault } = await lockTenantProfile(tx, id);
  if (isDefault) throw new AppError("INVALID_ARGUMENT", "Deletion of Default Tenant Profile is prohibited!");
  const [user] = await tx.select({ id: tenant.id }).from(tenant).where(eq(tenant.profileId, id)).limit(1);
  if (user !== undefined) {
    const text = "The tenant profile referenced by the tenants cannot be deleted!";
    throw new AppError("INVALID_ARGUMENT", text);
  }
  await tx.delete(tenantProfile).where(eq(tenantProfile.id, id));
}

async function lockTenantProfile(tx: Queryable, id: Uuid): Promise<TenantProfile> {
  const [row] = await tx.select().from(tenantProfile).where(eq(tenantProfile.id, id)).for("update");
  if (row === undefined) throw tenantProfileNotFound(id);
  return toTenantProfile(row);
}

/**
 * The profile that a tenant is to have, kept from being deleted until the commit. @param id null: the default one
 *
 * @throws AppError INVALID_ARGUMENT for one that there is not
 */
export async function keepTenantProfile(tx: Queryable, id: Uuid | null): Promise<Uuid> {
  const [row] = await tx
    .select({ id: tenantProfile.id })
    .from(tenantProfile)
    .where(id === null ? eq(tenantProfile.isDefault, true) : eq(tenantProfile.id, id))
    .for("key share");
  if (row !== undefined) return row.id as Uuid; // written from a Uuid
  throw new AppError("INVALID_ARGUMENT", "Tenant is referencing to non-existent tenant profile!", {
    field: "tenantProfileId",
  });
}

/** @param id null: the default one. @throws AppError NOT_FOUND */
export async function getTenantProfile(db: Queryable, id: Uuid | null): Promise<TenantProfile> {
  const [row] = await db
    .select()
    .from(tenantProfile)
    .where(id === null ? eq(tenantProfile.isDefault, true) : eq(tenantProfile.id, id));
  if (row === undefined) throw tenantProfileNotFound(id);
  return toTenantProfile(row);
}

/** Those that there are, by id. */
export async function findTenantProfiles(db: Queryable, ids: readonly Uuid[]): Promise<TenantProfile[]> {
  const rows = await db
    .select()
    .from(tenantProfile)
    .where(inArray(tenantProfile.id, [...ids]))
    .orderBy(asc(tenantProfile.id));
  return rows.map(toTenantProfile);
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listTenantProfiles(db: Queryable, page: PageRequest): Promise<Page<TenantProfile>> {
  const { textSearch } = page;
  const where = and(
    textSearch === undefined || textSearch === "" ? undefined : ilike(tenantProfile.name, containsPattern(textSearch)),
  );
  const sortable = {
    createdTime: tenantProfile.createdMs,
    name: tenantProfile.name,
    description: tenantProfile.description,
    isDefault: tenantProfile.isDefault,
  };
  return await readTablePage(
    db,
    { table: tenantProfile, where, key: tenantProfile.id, sortable, toItem: toTenantProfile },
    page,
  );
}

/** What a tenant may have, by the names of LIMITS; 0: any number. @throws AppError NOT_FOUND */
export async function readLimits(db: Queryable, tenantId: Uuid): Promise<ReadonlyMap<LimitName, number>> {
  const [row] = await db
    .select({ profileData: tenantProfile.profileData })
    .from(tenant)
    .innerJoin(tenantProfile, eq(tenantProfile.id, tenant.profileId))
    .where(eq(tenant.id, tenantId));
  if (row === undefined) throw new AppError("NOT_FOUND", `Tenant with id [${tenantId}] is not found`);
  const { configuration = {} } = row.profileData as { readonly configuration?: { readonly [key: string]: Json } }; // as it was checked when it was saved
  return new Map(Object.values(LIMITS).map((name) => [name, Number(configuration[name] ?? 0)]));
}

export function tenantProfileNotFound(id: Uuid | null): AppError {
  return new AppError("NOT_FOUND", `Tenant profile with id [${id ?? "default"}] is not found`);
}

function toTenantProfile(row: typeof tenantProfile.$inferSelect): TenantProfile {
  return { ...row, id: row.id as Uuid, profileData: row.profileData as TenantProfile["profileData"] }; // written from a TenantProfile
}
