import { eq, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { eraseAlarmsOf } from "../../shared/store/alarm-store.ts";
import { endAudit, writeAudit } from "../../shared/store/audit-store.ts";
import { findEntityByName, findUserOf, lockEntity, replaceEntity } from "../../shared/store/entity-store.ts";
import { getDefaultProfile } from "../../shared/store/profile-store.ts";
import { eraseRelationsOf } from "../../shared/store/relation-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import { edgeAssignment, edgePastAssignment } from "./schema.ts";
import { keepTenant, tenantNotFound } from "./tenant-store.ts";

export interface DeviceMove {
  readonly id: Uuid;
  readonly tenantId: Uuid;
  readonly newTenantId: Uuid;
  readonly userId: Uuid;
  readonly userName: string;
}

/**
 * Gives a device to another tenant, with its credentials, attributes and telemetry. What names people or things of the old one (customer,
 * profile, packages, relations, alarms) stays behind, and no edge of it may speak for the device any more.
 *
 * @throws AppError NOT_FOUND, ALREADY_EXISTS, ENTITY_LIMIT, INVALID_ARGUMENT while an entity view needs it or an edge has it
 */
export async function moveDevice(tx: Queryable, deps: StoreDeps, move: DeviceMove): Promise<Outcome<EntityRecord>> {
  const { id, newTenantId, tenantId } = move;
  const stored = await lockEntity(tx, { type: "DEVICE", id, tenantId });
  if (newTenantId === tenantId) return { result: stored, changes: [] };
  if (!(await keepTenant(tx, newTenantId))) throw tenantNotFound(newTenantId);
  if ((await findUserOf(tx, id)) !== null)
    throw new AppError("INVALID_ARGUMENT", "Can't assign device that has entity views to another tenant!");
  const [holder] = await tx
    .select({ edgeId: edgeAssignment.edgeId })
    .from(edgeAssignment)
    .where(eq(edgeAssignment.entityId, id))
    .limit(1);
  if (holder !== undefined) {
    const text = "Can't assign device that is on an edge to another tenant! Unassign it from its edges first.";
    throw new AppError("INVALID_ARGUMENT", text);
  }
  if ((await findEntityByName(tx, { type: "DEVICE", tenantId: newTenantId, name: stored.name })) !== null)
    throw new AppError("ALREADY_EXISTS", "Device with such name already exists!", { field: "name" });
  const moved = await writeMoved(tx, deps, { stored, newTenantId });
  await noteMove(tx, deps, { move, stored });
  // Nothing that an edge has changed.
  return { result: moved, changes: [] };
}

async function writeMoved(
  tx: Queryable,
  deps: StoreDeps,
  { newTenantId, stored }: { readonly newTenantId: Uuid; readonly stored: EntityRecord },
): Promise<EntityRecord> {
  const { id } = stored;
  // What happened to it is written down once for each tenant, not row by row.
  await endAudit(tx);
  await eraseAlarmsOf(tx, id);
  await eraseRelationsOf(tx, id);
  await tx.delete(edgePastAssignment).where(eq(edgePastAssignment.entityId, id));
  const profile = await getDefaultProfile(tx, deps, { type: "DEVICE_PROFILE", tenantId: newTenantId });
  const { firmwareId: _firmware, softwareId: _software, ...body } = stored.body;
  const moved: EntityRecord = {
    ...stored,
    tenantId: newTenantId,
    customerId: null,
    profileId: profile.result.id,
    subtype: profile.result.name,
    version: stored.version + 1,
    body,
  };
  await replaceEntity(tx, moved);
  await tx.execute(sql`select check_entity_limit(${newTenantId}::uuid, 'DEVICE')`);
  return moved;
}

async function noteMove(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  { move, stored }: { readonly move: DeviceMove; readonly stored: EntityRecord },
): Promise<void> {
  const { id, newTenantId, tenantId, userId, userName } = move;
  const what = { entityType: "DEVICE", entityId: id, entityName: stored.name, createdMs: clock.nowMs(), failure: "" };
  const own = { tenantId, customerId: stored.customerId, userId, userName };
  await writeAudit(tx, { ...what, ...own, actionType: "ASSIGNED_TO_TENANT", actionData: { tenantId: newTenantId } });
  // Who it was is the old tenant's to know.
  const other = { tenantId: newTenantId, customerId: null, userId: NULL_UUID, userName: "" };
  await writeAudit(tx, { ...what, ...other, actionType: "ASSIGNED_FROM_TENANT", actionData: { tenantId } });
}
