import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { moveTenant } from "../../shared/store/entity-store.ts";
import { appUser, instance } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { replaceNotificationRules } from "./edge-notifications.ts";
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
  /** Identity of the row with that sequence in the cloud; null when that is not known. */
  readonly downlinkTag: Uuid | null;
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
    return {
      edgeId: null,
      tenantId: NULL_UUID,
      name: "",
      type: "default",
      cloudId: null,
      downlinkApplied: 0,
      downlinkTag: null,
    };
  return toSite(row);
}

/** Moves `downlinkApplied`; null, and nothing is changed, when it is not `from`. */
export async function moveDownlinkApplied(
  tx: Queryable,
  { from, to, tag }: { readonly from: number; readonly to: number; readonly tag: Uuid | null },
): Promise<Site | null> {
  const [row] = await tx
    .update(site)
    .set({ downlinkApplied: to, downlinkTag: tag })
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
    downlinkTag: row.downlinkTag as Uuid | null, // written from a Uuid
  };
}

/**
 * Gives the database a new store id: it was found to continue another history than the cloud knows of it, as after a backup was
 * restored. Its outbox belongs to the new store from what the cloud had acknowledged when the two were still one.
 */
export function renewStore(db: Queryable, storeId: Uuid): Promise<void> {
  return db.transaction(async (tx) => {
    await tx.update(instance).set({ id: storeId });
    const next = (lane: UplinkLane) => sql`coalesce((select acked_seq from uplink_cursor where lane = ${lane}), 0) + 1`;
    await tx
      .update(site)
      .set({ firstConfigSeq: next("config"), firstTelemetrySeq: next("telemetry") })
      .where(eq(site.id, SITE_ROW));
  });
}

export async function readStoreId(db: Queryable): Promise<Uuid> {
  const [row] = await db.select({ id: instance.id }).from(instance).limit(1);
  if (row === undefined) throw new AppError("INTERNAL", "The database has no row of its instance");
  return row.id as Uuid; // written from a Uuid
}

/** What the cloud sets for this edge, from now on and while there is no link. */
export async function saveSettings(tx: Queryable, settings: EdgeSettings): Promise<void> {
  const { notificationRules = [], ...others } = settings;
  const [row] = await tx
    .update(site)
    .set({ settings: others })
    .where(eq(site.id, SITE_ROW))
    .returning({ tenantId: site.tenantId });
  await replaceNotificationRules(tx, notificationRules, (row?.tenantId ?? NULL_UUID) as Uuid); // a uuid column
}

/** Null: the cloud never said any. */
export async function readSettings(db: Queryable): Promise<EdgeSettings | null> {
  const [row] = await db.select({ settings: site.settings }).from(site).where(eq(site.id, SITE_ROW));
  return (row?.settings ?? null) as EdgeSettings | null; // written from one
}

/** Takes over what the cloud says of this edge; what was made here before belongs to the cloud's tenant from now on. */
export async function saveSite(tx: Queryable, after: Omit<Site, "downlinkTag">): Promise<void> {
  const before = await readSite(tx);
  // Of another number than the one that was applied here nothing is known.
  const goesOn = after.cloudId === before.cloudId && after.downlinkApplied === before.downlinkApplied;
  const downlinkTag = goesOn ? before.downlinkTag : null;
  await tx
    .update(site)
    .set({ ...after, downlinkTag })
    .where(eq(site.id, SITE_ROW));
  if (before.tenantId === after.tenantId) return;
  await moveTenant(tx, before.tenantId, after.tenantId);
  await tx.update(appUser).set({ tenantId: after.tenantId }).where(eq(appUser.tenantId, before.tenantId));
}
