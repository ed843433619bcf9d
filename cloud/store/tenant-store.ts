import { asc, sql } from "drizzle-orm";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { User } from "../../shared/entities/user.ts";
import { ensureDefaultProfiles } from "../../shared/store/profile-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createUser } from "../../shared/store/user-store.ts";
import { tenant } from "./schema.ts";

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
    const tenantId = createUuid(deps.clock, deps.random);
    await tx
      .insert(tenant)
      .values({ id: tenantId, title: FIRST_TENANT_TITLE, createdMs: deps.clock.nowMs(), body: {} });
    const admin = await createUser(tx, deps, {
      tenantId,
      customerId: null,
      email: adminEmail,
      authority: "TENANT_ADMIN",
      passwordHash: adminPasswordHash,
    });
    // Nobody follows anything yet: there are no changes to record.
    await ensureDefaultProfiles(tx, deps, tenantId);
    return { tenantId, admin };
  });
}
