import { eq } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, EntityRef, SentItem } from "../../shared/entities/change.ts";
import { isAssignableType } from "../../shared/entities/entity-kinds.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { ApplyMode } from "../../shared/store/apply-items.ts";
import { applyFastThenCareful, applyItem } from "../../shared/store/apply-items.ts";
import { applied, type ApplyContext, type ApplyResult, type EditConflict } from "../../shared/store/apply-result.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { findClaimReport, settleClaimReport } from "../../shared/store/device-claim-store.ts";
import { entitySaved } from "../../shared/store/entity-store.ts";
import { setToldByEdge } from "../../shared/store/notification-store.ts";
import { saveRelation } from "../../shared/store/relation-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Batch, Rejection } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { createBatchRejections, createRejection } from "../../shared/sync/rejections.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { tagOfItems } from "../../shared/wire/item-tag.ts";
import { bringBackLarge } from "../../shared/wire/large-changes.ts";
import { tryDecode, type Decoded } from "../../shared/wire/try-decode.ts";
import { addAssignment, endAssignment } from "./assignment-store.ts";
import { saveConflicts } from "./conflict-store.ts";
import { recordChanges, runTransaction, toEvent } from "./downlink-store.ts";
import { type EdgeEvent } from "./edge-event.ts";
import { lockEdge } from "./edge-holdings.ts";
import { mayChange, readEdgeRights, undoEdit, undoRemoval, type EdgeRights } from "./edge-rights.ts";
import { commitRange } from "./edge-session-store.ts";
import { saveGaps } from "./gap-store.ts";
import { edge } from "./schema.ts";
import { guardUplinkChange, hasCredentialsUnderWay } from "./uplink-guard.ts";
import { storeUplinkRejections } from "./uplink-rejections.ts";
import { applyTelemetry, type UplinkTelemetryDeps } from "./uplink-telemetry.ts";
import type { Uplink, UplinkOrigin } from "./uplink.ts";

// What arrives from edges: one transaction per apply { effects, downlinks that follow from them, what is committed }.

export interface AppliedUplink {
  readonly rejections: readonly Rejection[];
  /** What is different now. */
  readonly effects: readonly Change[];
  /** Edges that have new downlinks because of it. */
  readonly edgeIds: readonly Uuid[];
}

export interface UplinkDeps extends StoreDeps, UplinkTelemetryDeps {
  /** Contents that came from this edge. */
  readonly blobs: Pick<BlobStore, "readWhole">;
}

/**
 * Batches whose bytes can't be read are refused as a whole: the edge sends what it has stored.
 *
 * @throws AppError SESSION_FENCED, DATABASE_UNAVAILABLE; what was not applied then is sent again
 */
export async function applyUplink(db: Queryable, deps: UplinkDeps, uplink: Uplink): Promise<AppliedUplink> {
  try {
    if (uplink.origin.lane === "config") return await applyItems(db, deps, uplink);
    return { rejections: await applyTelemetry(db, deps, uplink), effects: [], edgeIds: [] };
  } catch (error) {
    throw databaseError(error);
  }
}

function applyItems(db: Queryable, deps: UplinkDeps, { origin, batches }: Uplink): Promise<AppliedUplink> {
  const opened = batches.map((batch) => ({
    batch,
    items: tryDecode(() => decodeItems(decompress(batch), batch.count)),
  }));
  return applyFastThenCareful((mode) => runTransaction(db, (tx) => applyOnce(tx, deps, { origin, opened, mode })));
}

interface ItemsWork {
  readonly origin: UplinkOrigin;
  readonly opened: readonly { readonly batch: Batch; readonly items: Decoded<readonly SentItem[]> }[];
  readonly mode: ApplyMode;
}

async function applyOnce(tx: Queryable, deps: UplinkDeps, { origin, opened, mode }: ItemsWork): Promise<AppliedUplink> {
  const { cloudVersion, edgeId, edgeName, tenantId } = origin;
  const rejections: Rejection[] = [];
  const effects: Change[] = [];
  const followUps: Change[] = [];
  const conflicts: EditConflict[] = [];
  /** Edits that were refused: what the cloud says of these entities, their edge may have left aside. */
  const unedited: Change[] = [];
  const holdings: HoldingChanges = { newcomers: [], events: [] };
  const rights = await readEdgeRights(tx, edgeId);
  for (const { batch, items } of opened) {
    const tag = items.isReadable ? tagOfItems(items.content) : null;
    await commitRange(tx, origin, { first: batch.firstSeq, last: lastSeqOf(batch) }, tag);
    if (!items.isReadable) {
      rejections.push(...createBatchRejections(batch, items.reason, cloudVersion));
      continue;
    }
    for (const [index, sent] of items.content.entries()) {
      const { item, refusal } = await bringBackLarge(sent, (ref, bytesMax) => deps.blobs.readWhole(tx, ref, bytesMax));
      const context: ApplyContext = { from: "edge", tenantId, edgeName, changedMs: item.changedMs };
      const gaps = item.changes.filter((change) => change.kind === "telemetry-gap");
      await saveGaps(tx, gaps, { edgeId, removedMs: item.changedMs });
      const others = gaps.length === 0 ? item.changes : item.changes.filter(({ kind }) => kind !== "telemetry-gap");
      const told = item.toldByRules ?? [];
      if (told.length > 0) await setToldByEdge(tx, told);
      const outcome = await applyItem(tx, {
        item: { ...item, changes: others },
        refusal,
        mode,
        apply: (inner, change) => applyFromEdge(inner, deps, { origin, change, context, holdings, rights }),
      });
      if (told.length > 0) await setToldByEdge(tx, []);
      if (outcome.kind === "rejected") {
        rejections.push(createRejection(batch.firstSeq + index, outcome, cloudVersion));
        unedited.push(...item.changes.filter((change) => change.kind === "entity-saved" && change.base !== undefined));
      } else {
        effects.push(...outcome.effects);
        followUps.push(...outcome.followUps);
        conflicts.push(...outcome.conflicts);
      }
    }
  }
  const nowMs = Math.round(deps.clock.nowMs());
  await storeUplinkRejections(tx, origin, { rejections, nowMs });
  await saveConflicts(tx, deps, { edgeId, tenantId, conflicts });
  const answers = [...followUps, ...unedited].map((change) => ({ edgeId, ...toEvent(change) }));
  const edgeIds = await recordChanges(tx, effects, {
    nowMs,
    excludeEdgeId: edgeId,
    events: [...answers, ...holdings.events],
    newcomers: holdings.newcomers,
  });
  return { rejections, effects, edgeIds };
}

interface EdgeChange {
  readonly origin: UplinkOrigin;
  readonly change: Change;
  readonly context: ApplyContext;
  readonly holdings: HoldingChanges;
  readonly rights: EdgeRights;
}

/** What the items change in what is on the edge. */
interface HoldingChanges {
  readonly newcomers: Uuid[];
  readonly events: EdgeEvent[];
}

/** What an edge makes is assigned to it; what it gives back only leaves it. */
async function applyFromEdge(
  tx: Queryable,
  deps: StoreDeps,
  { origin, change, context, holdings, rights }: EdgeChange,
): Promise<ApplyResult> {
  const { edgeId } = origin;
  const { id: entityId, type } = change.entity;
  const blocked = await guardUplinkChange(tx, origin, change);
  if (blocked !== null) return blocked;
  if (change.kind === "entity-saved" && !mayChange(rights, type)) return undoEdit(tx, change);
  if (change.kind === "entity-removed") {
    if (change.deleted && !mayChange(rights, type)) {
      // It comes back.
      holdings.events.push({ edgeId, type, entityId, action: "ADDED", body: null });
      return undoRemoval(tx, change);
    }
    if (!change.deleted || (rights.deletes === "UNASSIGN" && isAssignableType(type))) {
      await lockEdge(tx, edgeId);
      const left = await endAssignment(tx, { edgeId, entityId });
      // What something there needs comes back.
      const isGone = left.some((event) => event.entityId === entityId);
      const back: EdgeEvent[] = isGone ? [] : [{ edgeId, type, entityId, action: "ADDED", body: null }];
      holdings.events.push(...left.filter((event) => event.entityId !== entityId), ...back);
      return applied();
    }
  }
  const result = await applyChange(tx, deps, { change, context });
  if (result.kind === "rejected") return result;
  const isGone = result.conflicts?.some(({ kind }) => kind === "deleted") ?? false;
  if (change.kind === "entity-saved" && isAssignableType(type) && !isGone) {
    const nowMs = Math.round(deps.clock.nowMs());
    if (await addAssignment(tx, { edgeId, type, entityId }, { nowMs })) {
      holdings.newcomers.push(entityId);
      await relateToEdge(tx, deps, { origin, entity: change.entity });
    }
  }
  if (change.kind === "attributes-saved") return settleClaim(tx, edgeId, { deviceId: entityId, result });
  if (change.kind === "credentials-saved" && (await hasCredentialsUnderWay(tx, { edgeId, deviceId: entityId }))) {
    return { ...result, followUps: [...result.followUps, change] };
  }
  return result;
}

/** Users of the edge's customer claim devices there, and give them back; the edge hears what came of it. */
async function settleClaim(
  tx: Queryable,
  edgeId: Uuid,
  { deviceId, result }: { readonly deviceId: Uuid; readonly result: Extract<ApplyResult, { kind: "applied" }> },
): Promise<ApplyResult> {
  const report = findClaimReport(result.effects);
  if (report === null) return result;
  const [row] = await tx.select({ customerId: edge.customerId }).from(edge).where(eq(edge.id, edgeId));
  const customerId = row?.customerId as Uuid | null | undefined; // a uuid column
  if (customerId === null || customerId === undefined) return result;
  const settled = await settleClaimReport(tx, { ...report, customerId, deviceId });
  const told = settled.result === null ? [] : [entitySaved(settled.result)];
  const { effects, followUps } = result;
  return { ...result, effects: [...effects, ...settled.changes], followUps: [...followUps, ...told] };
}

/** The convention shows by it where an entity was made. It stays in the cloud: an edge is no entity of its own. */
async function relateToEdge(
  tx: Queryable,
  deps: StoreDeps,
  { origin, entity }: { readonly origin: UplinkOrigin; readonly entity: EntityRef },
): Promise<void> {
  const from = { type: "EDGE", id: origin.edgeId };
  const input = { from, to: entity, type: "ManagedByEdge", typeGroup: "COMMON" } as const;
  await saveRelation(tx, deps, { tenantId: origin.tenantId, input });
}
