import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, ChangeItem } from "../../shared/entities/change.ts";
import { isAssignableType } from "../../shared/entities/entity-types.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { ApplyContext, ApplyResult } from "../../shared/store/apply-change.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Rejection } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { addAssignment, removeAssignment } from "./assignment-store.ts";
import { recordChanges, runTransaction, toEvent } from "./downlink-store.ts";
import { moveWatermark } from "./edge-session-store.ts";
import { guardUplinkChange, hasCredentialsUnderWay } from "./uplink-guard.ts";
import { applyTelemetry } from "./uplink-telemetry.ts";
import type { Uplink, UplinkOrigin } from "./uplink.ts";

// What arrives from edges: one transaction per apply { effects, downlinks that follow from them, watermark }.

export interface AppliedUplink {
  readonly rejections: readonly Rejection[];
  /** Edges that have new downlinks because of it. */
  readonly edgeIds: readonly Uuid[];
}

/** @throws AppError SESSION_FENCED, PROTOCOL_ERROR, DATABASE_UNAVAILABLE; nothing is applied then */
export async function applyUplink(db: Queryable, deps: StoreDeps, uplink: Uplink): Promise<AppliedUplink> {
  try {
    if (uplink.origin.lane === "config") return await applyItems(db, deps, uplink);
    return { rejections: await applyTelemetry(db, uplink), edgeIds: [] };
  } catch (error) {
    throw databaseError(error);
  }
}

function applyItems(db: Queryable, deps: StoreDeps, { origin, batches }: Uplink): Promise<AppliedUplink> {
  return runTransaction(db, async (tx) => {
    const rejections: Rejection[] = [];
    const effects: Change[] = [];
    const followUps: Change[] = [];
    for (const batch of batches) {
      await moveWatermark(tx, origin, { from: batch.firstSeq - 1, to: lastSeqOf(batch) });
      for (const [index, item] of decodeItems(decompress(batch), batch.count).entries()) {
        const rejection = await applyItem(tx, deps, { origin, item, effects, followUps });
        if (rejection !== null) rejections.push({ seq: batch.firstSeq + index, ...rejection });
      }
    }
    const nowMs = Math.round(deps.clock.nowMs());
    const answers = followUps.map((change) => ({ edgeId: origin.edgeId, ...toEvent(change) }));
    const edgeIds = await recordChanges(tx, effects, { nowMs, excludeEdgeId: origin.edgeId, events: answers });
    return { rejections, edgeIds };
  });
}

interface ItemWork {
  readonly origin: UplinkOrigin;
  readonly item: ChangeItem;
  readonly effects: Change[];
  readonly followUps: Change[];
}

async function applyItem(
  tx: Queryable,
  deps: StoreDeps,
  { origin, item, effects, followUps }: ItemWork,
): Promise<{ readonly code: string; readonly text: string } | null> {
  if (item.unknown > 0) {
    return { code: "UNSUPPORTED_ITEM", text: `${item.unknown} changes are of a kind that this cloud does not know` };
  }
  const { edgeName, tenantId } = origin;
  const context: ApplyContext = { from: "edge", tenantId, edgeName, changedMs: item.changedMs };
  for (const change of item.changes) {
    const result = await applyFromEdge(tx, deps, { origin, change, context });
    if (result.kind === "rejected") return { code: result.code, text: result.text };
    effects.push(...result.effects);
    followUps.push(...result.followUps);
  }
  return null;
}

interface EdgeChange {
  readonly origin: UplinkOrigin;
  readonly change: Change;
  readonly context: ApplyContext;
}

/** What an edge makes is assigned to it; what it gives back only leaves it. */
async function applyFromEdge(
  tx: Queryable,
  deps: StoreDeps,
  { origin, change, context }: EdgeChange,
): Promise<ApplyResult> {
  const { edgeId } = origin;
  const { id: entityId, type } = change.entity;
  const blocked = await guardUplinkChange(tx, origin, change);
  if (blocked !== null) return blocked;
  if (change.kind === "entity-removed" && !change.deleted) {
    await removeAssignment(tx, { edgeId, entityId });
    return { kind: "applied", effects: [], followUps: [] };
  }
  const result = await applyChange(tx, deps, { change, context });
  if (result.kind === "rejected") return result;
  if (change.kind === "entity-saved" && isAssignableType(type)) {
    await addAssignment(tx, { edgeId, type, entityId }, { nowMs: Math.round(deps.clock.nowMs()) });
  }
  if (change.kind === "credentials-saved" && (await hasCredentialsUnderWay(tx, { edgeId, deviceId: entityId }))) {
    return { ...result, followUps: [...result.followUps, change] };
  }
  return result;
}
