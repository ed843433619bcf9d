import { and, eq, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { readRateLimits } from "../../shared/entities/rate-limit-names.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import { readEdgeRules } from "./notification-rule-store.ts";
import { edge, edgeSync, tenant, tenantProfile } from "./schema.ts";

// What the cloud sets for edges: the rate limits of the profile of their tenant, and the root of their rule chains. An edge is told by the Welcome of its session, and by a
// frame of its own when they change. Changes are counted in the row of the edge: whichever replica holds its session finds them there.

/**
 * Counts a change for the edges of these tenants.
 *
 * @returns them, to be woken after the commit
 */
export async function noteSettingsChange(
  tx: Queryable,
  whose: { readonly tenantId: Uuid } | { readonly profileId: Uuid },
): Promise<Uuid[]> {
  const condition =
    "tenantId" in whose ? sql`t.id = ${whose.tenantId}::uuid` : sql`t.profile_id = ${whose.profileId}::uuid`;
  // In one order: two changes at once must not wait for each other.
  const rows = await tx.execute<{ edge_id: Uuid }>(sql`
    with concerned as (
      select s.edge_id from edge_sync s join edge e on e.id = s.edge_id join tenant t on t.id = e.tenant_id
      where ${condition} order by s.edge_id for update of s
    )
    update edge_sync s set settings_changed = s.settings_changed + 1
    from concerned c where s.edge_id = c.edge_id returning s.edge_id`);
  return rows.map(({ edge_id: edgeId }) => edgeId);
}

/** Counts a change for one edge: its session finds it within a second. */
export async function noteEdgeSettingsChange(tx: Queryable, edgeId: Uuid): Promise<void> {
  await tx
    .update(edgeSync)
    .set({ settingsChanged: sql`${edgeSync.settingsChanged} + 1` })
    .where(eq(edgeSync.edgeId, edgeId));
}

/** As they are now. */
export async function readEdgeSettings(db: Queryable, edgeId: Uuid): Promise<EdgeSettings> {
  const [row] = await db
    .select({
      tenantId: edge.tenantId,
      profileData: tenantProfile.profileData,
      rootRuleChainId: edge.rootRuleChainId,
    })
    .from(edge)
    .innerJoin(tenant, eq(tenant.id, edge.tenantId))
    .innerJoin(tenantProfile, eq(tenantProfile.id, tenant.profileId))
    .where(eq(edge.id, edgeId));
  const { configuration = {} } = (row?.profileData ?? {}) as { readonly configuration?: Record<string, unknown> }; // as it was checked when it was saved
  const rootRuleChainId = (row?.rootRuleChainId ?? null) as Uuid | null; // a uuid column
  const rules = row === undefined ? [] : await readEdgeRules(db, row.tenantId as Uuid); // a uuid column
  return {
    rateLimits: readRateLimits(configuration),
    ...(rootRuleChainId === null ? {} : { rootRuleChainId }),
    ...(rules.length === 0 ? {} : { notificationRules: rules }),
  };
}

/**
 * What the session is to tell its edge now; from then on it counts as told: what is lost with a session is in the Welcome of the next.
 *
 * @returns null when the session is not the newest
 */
export function takeEdgeSettings(db: Queryable, edgeId: Uuid, session: number): Promise<EdgeSettings | null> {
  return db.transaction(async (tx) => {
    const told = await tx
      .update(edgeSync)
      .set({ settingsTold: edgeSync.settingsChanged })
      .where(and(eq(edgeSync.edgeId, edgeId), eq(edgeSync.session, session)))
      .returning({ edgeId: edgeSync.edgeId });
    return told.length === 0 ? null : await readEdgeSettings(tx, edgeId);
  });
}
