import { and, eq } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid } from "../core/ids.ts";
import type {
  AttributesDeleted,
  AttributesSaved,
  Change,
  CredentialsSaved,
  EntityRef,
  EntityRemoved,
} from "../entities/change.ts";
import { titleOf } from "../entities/entity-kinds.ts";
import { isEntityType } from "../entities/entity-types.ts";
import { loadWholeAlarm } from "./alarm-state.ts";
import { applyAlarmChange } from "./apply-alarm.ts";
import { applyBackfillSaved } from "./apply-backfill.ts";
import { isCredentialsType, isValidAttribute, ownerOf } from "./apply-checks.ts";
import { applyEntitySaved } from "./apply-entity.ts";
import { applyRelationSaved } from "./apply-relation.ts";
import { applied, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import { applyRpcSaved } from "./apply-rpc.ts";
import { applyUserRemoved, applyUserSaved } from "./apply-user.ts";
import { attributesSaved, putAttributes, readAttributeRows } from "./attribute-store.ts";
import { credentialsSaved, lockCredentialsFor, putCredentials } from "./device-store.ts";
import { loadEntityWithProfile } from "./entity-state.ts";
import { entityDeleted, eraseEntity, findUserOf, keepEntity, lockEntityIfThere } from "./entity-store.ts";
import { loadRelationsOf } from "./relation-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { attribute } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// What happens to a change that the other side made. One transaction applies a whole batch, without savepoints: whatever is expected
// to go wrong with one item is found by a query and returned as a value. A statement that fails all the same (two batches racing for
// one name) fails the batch, which is then sent again.
//
// Of an attribute the later time wins, per key; of two with one time the cloud's. How edits of entities meet is in apply-entity.ts.

/** Applies one change inside the caller's transaction. @throws what fails the whole batch */
export async function applyChange(
  tx: Queryable,
  deps: StoreDeps,
  args: { readonly change: Change; readonly context: ApplyContext },
): Promise<ApplyResult> {
  const { change, context } = args;
  switch (change.kind) {
    case "entity-saved":
      return applyEntitySaved(tx, change, context);
    case "user-saved":
      return applyUserSaved(tx, deps, { change, context });
    case "entity-removed":
      return change.entity.type === "USER"
        ? applyUserRemoved(tx, change.entity.id, context.from)
        : applyEntityRemoved(tx, change, context);
    case "attributes-saved":
      return applyAttributesSaved(tx, change, context);
    case "attributes-deleted":
      return applyAttributesDeleted(tx, change, context);
    case "credentials-saved":
      return applyCredentialsSaved(tx, deps, { change, context });
    case "telemetry-gap":
      return rejected("UNSUPPORTED_ITEM", "A gap in telemetry is noted by the cloud alone");
    case "entity-wanted":
      return context.from === "cloud"
        ? applied([], await loadWanted(tx, change.entity))
        : rejected("UNSUPPORTED_ITEM", "Entities are asked for by the cloud only");
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
      return applyAlarmChange(tx, deps, { change, context });
    case "relation-saved":
      return applyRelationSaved(tx, change, context);
    case "rpc-saved":
      return applyRpcSaved(tx, deps, { change, context });
    case "backfill-saved":
      return applyBackfillSaved(tx, deps, { change, context });
    default:
      return change satisfies never;
  }
}

async function loadWanted(tx: Queryable, entity: EntityRef): Promise<Change[]> {
  if (entity.type === "ALARM") return loadWholeAlarm(tx, entity.id);
  return [...(await loadEntityWithProfile(tx, entity)), ...(await loadRelationsOf(tx, entity.id))];
}

async function applyEntityRemoved(tx: Queryable, change: EntityRemoved, context: ApplyContext): Promise<ApplyResult> {
  const stored = await lockEntityIfThere(tx, change.entity.id);
  // Gone already: that is what was wanted.
  if (stored === null || stored.tenantId !== ownerOf(stored, context) || stored.entityType !== change.entity.type)
    return applied();
  if ((await findUserOf(tx, stored.id)) !== null) {
    // Something made here needs it, which the other side hears of, and keeps it here then.
    if (!change.deleted) return applied();
    return rejected(
      "INVALID_ARGUMENT",
      `The ${titleOf(stored.entityType).toLowerCase()} can't be deleted: something refers to it`,
    );
  }
  await eraseEntity(tx, stored.id);
  return applied([change.deleted ? entityDeleted(stored) : change]);
}

/** Keeps the entity from being deleted until the commit; false when it is not there. */
async function keepOwn(
  tx: Queryable,
  change: { readonly entity: Change["entity"] },
  context: ApplyContext,
): Promise<boolean> {
  const { type, id } = change.entity;
  if (type === "EDGE") return id === context.edgeId;
  return isEntityType(type) && (await keepEntity(tx, { type, id, tenantId: context.tenantId }));
}

function entityMissing({ entity: { type, id } }: { readonly entity: Change["entity"] }): ApplyResult {
  return rejected("NOT_FOUND", `${type.slice(0, 64)} with id [${id}] is not found`);
}

async function applyAttributesSaved(
  tx: Queryable,
  change: AttributesSaved,
  context: ApplyContext,
): Promise<ApplyResult> {
  const bad = change.attributes.find((entry) => !isValidAttribute(entry.key, entry.value));
  if (bad !== undefined)
    return rejected("INVALID_ARGUMENT", `Attribute ${JSON.stringify(bad.key.slice(0, 64))} is not valid`);
  if (!(await keepOwn(tx, change, context))) return entityMissing(change);
  const rows = change.attributes.map((entry) => ({ entityId: change.entity.id, scope: change.scope, ...entry }));
  const stored = await putAttributes(tx, rows, context.from === "edge" ? "newer" : "newer-or-same");
  return applied(stored.length === 0 ? [] : [attributesSaved(change.entity, change.scope, stored)]);
}

async function applyAttributesDeleted(
  tx: Queryable,
  change: AttributesDeleted,
  context: ApplyContext,
): Promise<ApplyResult> {
  if (!(await keepOwn(tx, change, context))) return applied();
  const keys = new Set(change.keys);
  const stored = await readAttributeRows(tx, { entityId: change.entity.id, scopes: [change.scope], keys: [...keys] });
  const newer = stored.filter((row) => row.updatedMs > context.changedMs);
  const gone = stored.filter((row) => row.updatedMs <= context.changedMs).map((row) => row.key);
  for (const key of gone) {
    await tx
      .delete(attribute)
      .where(and(eq(attribute.entityId, change.entity.id), eq(attribute.scope, change.scope), eq(attribute.key, key)));
  }
  return applied(
    gone.length === 0 ? [] : [{ ...change, keys: gone }],
    newer.length === 0 ? [] : [attributesSaved(change.entity, change.scope, newer)],
  );
}

async function applyCredentialsSaved(
  tx: Queryable,
  deps: StoreDeps,
  { change, context }: { change: CredentialsSaved; context: ApplyContext },
): Promise<ApplyResult> {
  if (!isCredentialsType(change.credentialsType)) {
    return rejected("UNSUPPORTED_ITEM", `Credentials of type ${change.credentialsType.slice(0, 64)} are not known`);
  }
  if (change.entity.type !== "DEVICE") return entityMissing(change);
  const [isThere, { stored, isTaken }] = await Promise.all([
    keepOwn(tx, change, context),
    lockCredentialsFor(tx, change.entity.id, change.credentialsId),
  ]);
  if (!isThere) return entityMissing(change);
  if (stored !== null && sameCredentials(stored, change)) return applied();
  if (isTaken) {
    return rejected("ALREADY_EXISTS", "Device credentials are already assigned to another device!");
  }
  const next = {
    deviceId: change.entity.id,
    id: stored?.id ?? createUuid(deps.clock, deps.random),
    credentialsType: change.credentialsType,
    credentialsId: change.credentialsId,
    credentialsValue: change.credentialsValue,
    version: (stored?.version ?? 0) + 1,
    createdMs: stored?.createdMs ?? deps.clock.nowMs(),
  };
  if (!(await putCredentials(tx, next, stored))) {
    throw new AppError("ALREADY_EXISTS", "Credentials met others with their id", { retryable: true });
  }
  return applied([credentialsSaved(next)]);
}

function sameCredentials(
  left: Pick<CredentialsSaved, "credentialsType" | "credentialsId" | "credentialsValue">,
  right: Pick<CredentialsSaved, "credentialsType" | "credentialsId" | "credentialsValue">,
): boolean {
  return (
    left.credentialsType === right.credentialsType &&
    left.credentialsId === right.credentialsId &&
    left.credentialsValue === right.credentialsValue
  );
}
