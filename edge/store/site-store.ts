import { and, eq } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { moveTenant } from "../../shared/store/entity-store.ts";
import { appUser } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { site } from "./schema.ts";

/** Who this edge is to the cloud. Before the first session it knows neither its id nor its tenant. */
export interface Site {
  readonly edgeId: Uuid | null;
  /** The null uuid before the first session. */
  readonly tenantId: Uuid;
  readonly name: string;
  readonly type: string;
  /** The cloud database that `downlinkApplied` counts for. */
  readonly cloudId: Uuid | null;
  readonly downlinkApplied: number;
}

const SITE_ROW = 1;

/** Makes the row when the database is new. */
export async function openSite(db: Queryable): Promise<Site> {
  const unknown = { id: SITE_ROW, tenantId: NULL_UUID, name: "", type: "default", downlinkApplied: 0 };
  await db.insert(site).values(unknown).onConflictDoNothing();
  return readSite(db);
}

export async function readSite(db: Queryable): Promise<Site> {
  const [row] = await db.select().from(site).where(eq(site.id, SITE_ROW));
  if (row === undefined)
    return { edgeId: null, tenantId: NULL_UUID, name: "", type: "default", cloudId: null, downlinkApplied: 0 };
  return toSite(row);
}

/** Moves `downlinkApplied`; null, and nothing is changed, when it is not `from`. */
export async function moveDownlinkApplied(tx: Queryable, from: number, to: number): Promise<Site | null> {
  const [row] = await tx
    .update(site)
    .set({ downlinkApplied: to })
    .where(and(eq(site.id, SITE_ROW), eq(site.downlinkApplied, from)))
    .returning();
  return row === undefined ? null : toSite(row);
}

function toSite(row: typeof site.$inferSelect): Site {
  return {
    edgeId: row.edgeId as Uuid | null, // written from a Uuid
    tenantId: row.tenantId as Uuid, // written from a Uuid
    name: row.name,
    type: row.type,
    cloudId: row.cloudId as Uuid | null, // written from a Uuid
    downlinkApplied: row.downlinkApplied,
  };
}

/** Takes over what the cloud says of this edge; what was made here before belongs to the cloud's tenant from now on. */
export async function saveSite(tx: Queryable, after: Site): Promise<void> {
  const before = await readSite(tx);
  await tx.update(site).set(after).where(eq(site.id, SITE_ROW));
  if (before.tenantId === after.tenantId) return;
  await moveTenant(tx, before.tenantId, after.tenantId);
  await tx.update(appUser).set({ tenantId: after.tenantId }).where(eq(appUser.tenantId, before.tenantId));
}
