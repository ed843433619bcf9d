import { eq, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { isProfileType } from "../../shared/entities/entity-kinds.ts";
import type { DigestScope } from "../../shared/store/digest-store.ts";
import { readDigestEntries, readFineBuckets } from "../../shared/store/digest-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { RoundCounts, RoundResult } from "../../shared/sync/digest-round.ts";
import { compareEntries, DIGEST_TYPES, toTypeDigest } from "../../shared/sync/digest.ts";
import type { DigestEntry, Entries, TypeDigest } from "../../shared/sync/frames.ts";
import { isOfUnassignedOn } from "./alarm-downlinks.ts";
import { recordEvents, runTransaction } from "./downlink-store.ts";
import { type EdgeEvent } from "./edge-event.ts";
import { endsAreOn } from "./relation-downlinks.ts";
import { readStandings, surplusAction } from "./repair-standing.ts";
import { edgeSync } from "./schema.ts";
import { signsInOn } from "./user-downlinks.ts";

// The cloud's side of digest rounds: what an edge should hold, and the downlinks that bring it there. All repairs go through the downlink
// lane, so that they are ordered with whatever else happens, and show in the list of downlinks.

/** The newest digest round of an edge, as it is stored and shown. */
export interface SyncResult extends Omit<RoundResult, "request"> {
  readonly checkedTypes: readonly string[];
  readonly atMs: number;
}

/** What the edge should hold, at one moment, and the newest request of people for a round. */
export function readCloudDigest(
  db: Queryable,
  edgeId: Uuid,
): Promise<{ readonly request: number; readonly types: readonly TypeDigest[] }> {
  return db.transaction(
    async (tx) => {
      const { requested } = await readSyncRequests(tx, edgeId);
      const types: TypeDigest[] = [];
      for (const type of DIGEST_TYPES) types.push(toTypeDigest(type, await readFineBuckets(tx, scopeOf(edgeId, type))));
      return { request: requested, types };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

/** What is on the edge: assigned, or because something there needs it; the users who sign in there. */
function scopeOf(edgeId: Uuid, entityType: string): DigestScope {
  const relations = endsAreOn(edgeId);
  if (entityType === "USER") return { entityType, relations, condition: signsInOn(edgeId, "e") };
  if (entityType === "ALARM") return { entityType, relations, condition: isOfUnassignedOn(edgeId) };
  if (entityType === "EDGE") return { entityType, relations, condition: sql`e.id = ${edgeId}::uuid` };
  const condition = sql`e.id in (select a.entity_id from edge_assignment a where a.edge_id = ${edgeId}::uuid)`;
  return { entityType, relations, condition };
}

export interface RepairDeps {
  readonly nowMs: number;
  /** Whether this difference should be repaired: not when the same one was before, and is still there. */
  readonly isNew: (entry: DigestEntry) => boolean;
}

/**
 * Writes downlinks for what differs in these buckets.
 * - missing or stale: the entity as it is here, as a repair; what is newer on the edge comes up in return
 * - surplus: it is removed when it was on the edge before or belongs to others; the edge is asked for what nobody ever heard of. An alarm
 *   that was cleared here is sent as it is here; one that was deleted is asked for too, and the answer to it says that it is gone
 *
 * Differences that something on its way explains are none: the edge names what it has not sent yet, and what the edge had not applied
 * when it looked is known here.
 */
export async function repairDifferences(
  db: Queryable,
  { edgeId, entries }: { readonly edgeId: Uuid; readonly entries: Entries },
  { nowMs, isNew }: RepairDeps,
): Promise<{ readonly found: RoundCounts; readonly isRecorded: boolean }> {
  const { entityType } = entries.buckets;
  const scope = scopeOf(edgeId, entityType);
  const own = await readDigestEntries(db, scope, entries.buckets);
  const { missing, stale, surplus } = compareEntries(entries.entries, own, new Set(entries.busyIds));
  const counts = { missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0 };
  // Profiles come and go with what refers to them.
  const candidates = [...missing, ...stale, ...(isProfileType(entityType) ? [] : surplus)];
  if (candidates.length === 0) return { found: counts, isRecorded: false };
  const isMissing = new Set(missing.map(({ id }) => id));
  const isSurplus = new Set(surplus.map(({ id }) => id));
  return runTransaction(db, async (tx) => {
    // Whoever assigns or unassigns from here on writes its downlink behind these.
    await tx.select({ edgeId: edgeSync.edgeId }).from(edgeSync).where(eq(edgeSync.edgeId, edgeId)).for("update");
    const ids = candidates.map(({ id }) => id);
    const standings = await readStandings(tx, { edgeId, scope, after: entries.downlinkApplied, ids });
    const events: EdgeEvent[] = [];
    for (const entry of candidates) {
      const standing = standings.get(entry.id);
      if (standing === undefined || standing.isUnderWay) continue;
      const action = isSurplus.has(entry.id) ? surplusAction(standing, entityType) : standing.isWanted ? "ADDED" : null;
      if (action === null) continue;
      if (!isNew(entry)) {
        counts.lasting += 1;
        continue;
      }
      const kind = isMissing.has(entry.id) ? "missing" : action === "ADDED" ? "stale" : "surplus";
      counts[action === "ENTITY_MERGE_REQUEST" ? "unknown" : kind] += 1;
      const body = action === "ADDED" ? { ...standing.body, repair: true } : null;
      events.push({ edgeId, type: entityType, entityId: entry.id, action, body });
    }
    const edgeIds = await recordEvents(tx, events, { nowMs });
    return { found: counts, isRecorded: edgeIds.length > 0 };
  });
}

export interface SyncRequests {
  /** Number of the newest request of people. */
  readonly requested: number;
  /** The newest that was answered by a round. */
  readonly completed: number;
  /** The edge has not been told of all settings. */
  readonly hasNewSettings: boolean;
  readonly result: SyncResult | null;
}

export async function readSyncRequests(db: Queryable, edgeId: Uuid): Promise<SyncRequests> {
  const [row] = await db.select().from(edgeSync).where(eq(edgeSync.edgeId, edgeId));
  return {
    requested: row?.syncRequested ?? 0,
    completed: row?.syncCompleted ?? 0,
    hasNewSettings: row !== undefined && row.settingsChanged > row.settingsTold,
    result: (row?.syncResult ?? null) as SyncResult | null, // written by completeRound only
  };
}

export async function completeRound(
  db: Queryable,
  edgeId: Uuid,
  { request, nowMs, ...counts }: RoundResult & { readonly nowMs: number },
): Promise<void> {
  const syncResult: SyncResult = { ...counts, checkedTypes: DIGEST_TYPES, atMs: Math.round(nowMs) };
  await db
    .update(edgeSync)
    .set({ syncResult, syncCompleted: sql`greatest(${edgeSync.syncCompleted}, ${request})` })
    .where(eq(edgeSync.edgeId, edgeId));
}
