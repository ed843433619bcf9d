import { and, eq, gt, inArray } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { readBackfillRecord } from "../../shared/entities/backfill.ts";
import {
  subjectOf,
  type BackfillSaved,
  type Change,
  type EntityRef,
  type RelationSaved,
} from "../../shared/entities/change.ts";
import { isAssignableType } from "../../shared/entities/entity-kinds.ts";
import type { ApplyResult } from "../../shared/store/apply-result.ts";
import { findBackfill } from "../../shared/store/backfill-store.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { isOriginatorOn, isWithoutAssignment } from "./alarm-downlinks.ts";
import { isAssigned } from "./assignment-store.ts";
import { isOnEdge } from "./relation-downlinks.ts";
import { edgeEvent, edgeSync } from "./schema.ts";

// What an edge may do to the cloud: touch what is assigned to it, and make new things, which are assigned to it by that. A gateway
// in the hands of somebody else must not reach the rest of its tenant.

/** null: the change may be applied; else the result that stands for it. */
export async function guardUplinkChange(
  tx: Queryable,
  { edgeId, tenantId }: { readonly edgeId: Uuid; readonly tenantId: Uuid },
  change: Change,
): Promise<ApplyResult | null> {
  if (change.kind === "relation-saved") return guardRelation(tx, edgeId, change);
  if (change.kind === "backfill-saved") return guardBackfill(tx, edgeId, change);
  const subject = subjectOf(change);
  const { type, id } = subject;
  if ("originator" in change && isWithoutAssignment(type)) {
    return (await isOriginatorOn(tx, edgeId, subject)) ? null : notAssigned(subject);
  }
  const [stored] = await tx.select({ tenantId: entity.tenantId }).from(entity).where(eq(entity.id, id));
  // New, or gone already: applyChange says which.
  if (stored === undefined) return null;
  if (stored.tenantId === tenantId) {
    if (await isAssigned(tx, { edgeId, entityId: id })) return null;
    // A profile of the tenant that nothing on the edge uses, say because its device left meanwhile: the cloud's stays as it is.
    if (!isAssignableType(type)) return { kind: "applied", effects: [], followUps: [] };
  }
  return notAssigned({ type, id });
}

/** Its own requests, whether or not their entities are still there; of others nothing is taken. */
async function guardBackfill(tx: Queryable, edgeId: Uuid, { body }: BackfillSaved): Promise<ApplyResult | null> {
  const record = readBackfillRecord(body);
  const stored = record === null ? null : await findBackfill(tx, record.id);
  return stored?.edgeId === edgeId ? null : { kind: "applied", effects: [], followUps: [] };
}

/** Both ends have to be on the edge. */
async function guardRelation(tx: Queryable, edgeId: Uuid, { from, to }: RelationSaved): Promise<ApplyResult | null> {
  for (const end of [from, to]) {
    if (!(await isOnEdge(tx, edgeId, end))) return notAssigned(end);
  }
  return null;
}

function notAssigned({ type, id }: EntityRef): ApplyResult {
  const text = `${type.slice(0, 64)} with id [${id}] is not assigned to this edge`;
  return { kind: "rejected", code: "NOT_FOUND", text };
}

/**
 * Whether credentials of the device are on their way to the edge: they would overwrite there what the edge has just changed, so the
 * edge has to be sent what stays, behind them.
 */
export async function hasCredentialsUnderWay(
  tx: Queryable,
  { edgeId, deviceId }: { readonly edgeId: Uuid; readonly deviceId: Uuid },
): Promise<boolean> {
  const rows = await tx
    .select({ seq: edgeEvent.seq })
    .from(edgeEvent)
    .innerJoin(edgeSync, eq(edgeSync.edgeId, edgeEvent.edgeId))
    .where(
      and(
        eq(edgeEvent.edgeId, edgeId),
        gt(edgeEvent.seq, edgeSync.downlinkAcked),
        eq(edgeEvent.entityId, deviceId),
        inArray(edgeEvent.action, ["CREDENTIALS_UPDATED", "ASSIGNED_TO_EDGE", "ADDED"]),
      ),
    )
    .limit(1);
  return rows.length > 0;
}
