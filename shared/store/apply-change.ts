import { and, eq } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import type {
  AttributesDeleted,
  AttributesSaved,
  Change,
  CredentialsSaved,
  EntityRemoved,
  EntitySaved,
} from "../entities/change.ts";
import { CREDENTIALS_TYPES, type CredentialsType } from "../entities/device-credentials.ts";
import { ENTITY_KINDS, findKind, isProfileType, titleOf } from "../entities/entity-kinds.ts";
import { parseEntityRecord } from "../entities/entity-record-schema.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isEntityType } from "../entities/entity-types.ts";
import { TEXT_LENGTH_MAX } from "../entities/fields.ts";
import { KEY_LENGTH_MAX, splitValues } from "../entities/values.ts";
import { applyAlarmChange } from "./apply-alarm.ts";
import { applyRelationSaved } from "./apply-relation.ts";
import { applied, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import { applyUserRemoved, applyUserSaved } from "./apply-user.ts";
import { attributesSaved, putAttributes, readAttributeRows } from "./attribute-store.ts";
import { credentialsSaved, lockCredentialsFor, putCredentials } from "./device-store.ts";
import { loadEntity } from "./entity-state.ts";
import {
  entityDeleted,
  entitySaved,
  eraseEntity,
  findEntity,
  findEntityByName,
  findUserOf,
  insertEntityIfFree,
  keepEntity,
  lockEntityIfThere,
  replaceEntity,
} from "./entity-store.ts";
import { adoptProfile, renameSubtypes } from "./profile-store.ts";
import { loadRelationsOf } from "./relation-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { attribute, entity } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// What happens to a change that the other side made. One transaction applies a whole batch, without savepoints: whatever is expected
// to go wrong with one item is found by a query and returned as a value. A statement that fails all the same (two batches racing for
// one name) fails the batch, which is then sent again.
//
// Both sides come to the same state whatever the order in which concurrent edits meet:
// - an entity: the higher version wins; of two edits with one version the cloud's, and the cloud tells the edge what it kept
// - an attribute: the later time wins, per key; of two with one time the cloud's
// - a name: the one that was there first in the cloud keeps it; the edge's newcomer becomes `name (edge name)` on either side
// - a profile of the same name is the same profile; the cloud's id wins

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
        ? applied([], [...(await loadEntity(tx, change.entity)), ...(await loadRelationsOf(tx, change.entity.id))])
        : rejected("UNSUPPORTED_ITEM", "Entities are asked for by the cloud only");
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
      return applyAlarmChange(tx, deps, { change, context });
    case "relation-saved":
      return applyRelationSaved(tx, change, context);
    default:
      return change satisfies never;
  }
}

/** Whether such entities are taken from the other side; all go down, an edge makes only some. */
function isTaken(type: string, from: ApplyContext["from"]): boolean {
  const kind = findKind(type);
  return kind !== null && (from === "cloud" || kind.isMadeOnEdges);
}

async function applyEntitySaved(tx: Queryable, change: EntitySaved, context: ApplyContext): Promise<ApplyResult> {
  if (!isTaken(change.entity.type, context.from)) {
    return rejected(
      "UNSUPPORTED_ITEM",
      `Entities of type ${change.entity.type.slice(0, 64)} are not taken from the ${context.from}`,
    );
  }
  let sent: EntityRecord;
  try {
    sent = parseEntityRecord(change.body);
  } catch (error) {
    if (error instanceof AppError) return rejected(error.code, error.message);
    throw error;
  }
  if (sent.id !== change.entity.id || sent.entityType !== change.entity.type) {
    return rejected("INVALID_ARGUMENT", "Can't read an entity: its body is about another entity");
  }
  // Side by side: a connection takes them in this order, and one answer is waited for instead of three.
  const [stored, profileById, holder] = await Promise.all([
    lockEntityIfThere(tx, sent.id),
    findProfile(tx, { ...sent, tenantId: context.tenantId }),
    findHolder(tx, { ...sent, tenantId: context.tenantId }),
  ]);
  if (stored !== null && (stored.entityType !== sent.entityType || stored.tenantId !== context.tenantId)) {
    return rejected("ALREADY_EXISTS", `The id ${sent.id} belongs to another entity`);
  }
  const profile = await resolveSentProfile(tx, sent, { byId: profileById, context });
  const record: EntityRecord = {
    ...sent,
    tenantId: context.tenantId,
    profileId: profile.id,
    subtype: profile.name ?? sent.subtype,
    createdMs: stored?.createdMs ?? sent.createdMs,
    // Who owns an entity is said in the cloud.
    customerId: context.from === "cloud" ? sent.customerId : (stored?.customerId ?? null),
  };
  const tellSender = context.from === "edge" && sent.profileId !== profile.id;
  const saved =
    stored === null
      ? await create(tx, record, { holder, context })
      : await merge(tx, { record, stored, holder, context });
  const followUps = [...saved.followUps];
  if (tellSender && saved.result !== null) {
    const kept = await findProfile(tx, record);
    followUps.unshift(...(kept === null ? [] : [entitySaved(kept)]), entitySaved(saved.result));
  }
  return applied([...profile.effects, ...saved.effects], dedupe(followUps));
}

interface SavedEntity {
  /** null: the sender's change was dropped. */
  readonly result: EntityRecord | null;
  readonly effects: readonly Change[];
  readonly followUps: readonly Change[];
}

/** The entity that has this name, of kinds that may have it once. */
function findHolder(tx: Queryable, record: EntityRecord): Promise<EntityRecord | null> {
  if (!ENTITY_KINDS[record.entityType].hasUniqueName) return Promise.resolve(null);
  return findEntityByName(tx, { ...record, type: record.entityType });
}

async function create(
  tx: Queryable,
  record: EntityRecord,
  { holder, context }: { holder: EntityRecord | null; context: ApplyContext },
): Promise<SavedEntity> {
  if (holder === null) {
    await insertNew(tx, record);
    return { result: record, effects: [entitySaved(record)], followUps: [] };
  }
  return isProfileType(record.entityType)
    ? unifyProfiles(tx, { record, holder, context })
    : settleName(tx, { record, holder, context, write: (named) => insertNew(tx, named) });
}

async function insertNew(tx: Queryable, record: EntityRecord): Promise<void> {
  if (await insertEntityIfFree(tx, record)) return;
  throw new AppError("ALREADY_EXISTS", `Entity ${record.id} met another one with its name`, { retryable: true });
}

async function merge(
  tx: Queryable,
  {
    record,
    stored,
    holder,
    context,
  }: { record: EntityRecord; stored: EntityRecord; holder: EntityRecord | null; context: ApplyContext },
): Promise<SavedEntity> {
  if (sameContent(record, stored)) {
    if (record.version > stored.version) await replaceEntity(tx, record);
    return { result: stored, effects: [], followUps: [] };
  }
  const wins = context.from === "cloud" ? record.version >= stored.version : record.version > stored.version;
  if (!wins) {
    // An edge's newer edit is on its way up already; an edge whose edit lost has to hear what stays.
    return { result: null, effects: [], followUps: context.from === "edge" ? [entitySaved(stored)] : [] };
  }
  if (record.name === stored.name || holder === null) {
    await replaceEntity(tx, record);
    if (record.name !== stored.name) await renameSubtypes(tx, record);
    return { result: record, effects: [entitySaved(record, stored)], followUps: [] };
  }
  return isProfileType(record.entityType) && context.from === "edge"
    ? { result: null, effects: [], followUps: [entitySaved(stored)] }
    : settleName(tx, { record, holder, stored, context, write: (named) => replaceEntity(tx, named) });
}

/** Two entities want one name: the cloud's keeps it. */
async function settleName(
  tx: Queryable,
  {
    record,
    holder,
    stored,
    context,
    write,
  }: {
    record: EntityRecord;
    holder: EntityRecord;
    stored?: EntityRecord;
    context: ApplyContext;
    write: (named: EntityRecord) => Promise<void>;
  },
): Promise<SavedEntity> {
  if (context.from === "edge") {
    const renamed = { ...record, name: await freeName(tx, record, context.edgeName) };
    await write(renamed);
    return { result: renamed, effects: [entitySaved(renamed, stored)], followUps: [entitySaved(renamed)] };
  }
  const moved = { ...holder, name: await freeName(tx, holder, context.edgeName), version: holder.version + 1 };
  await replaceEntity(tx, moved);
  await write(record);
  return { result: record, effects: [entitySaved(moved), entitySaved(record)], followUps: [entitySaved(moved)] };
}

/** More newcomers of one name than this from one edge are a fault. */
const NAME_ATTEMPTS_MAX = 1000;

/** `name (edge name)`, then `name (edge name 2)` and so on; cut to fit. */
async function freeName(
  tx: Queryable,
  { entityType, tenantId, name }: EntityRecord,
  edgeName: string,
): Promise<string> {
  for (let attempt = 1; attempt <= NAME_ATTEMPTS_MAX; attempt += 1) {
    const mark = ` (${edgeName.slice(0, 100)}${attempt === 1 ? "" : ` ${attempt}`})`;
    const candidate = name.slice(0, TEXT_LENGTH_MAX - mark.length) + mark;
    if ((await findEntityByName(tx, { type: entityType, tenantId, name: candidate })) === null) return candidate;
  }
  throw new AppError("ALREADY_EXISTS", `Can't find a free name for ${entityType} after ${NAME_ATTEMPTS_MAX} attempts`);
}

/** Profiles of one name are one profile: the edge takes the cloud's id for it. */
async function unifyProfiles(
  tx: Queryable,
  { record, holder, context }: { record: EntityRecord; holder: EntityRecord; context: ApplyContext },
): Promise<SavedEntity> {
  if (context.from === "edge") return { result: null, effects: [], followUps: [entitySaved(holder)] };
  await tx.delete(entity).where(eq(entity.id, holder.id));
  await insertNew(tx, record);
  await tx.update(entity).set({ profileId: record.id }).where(eq(entity.profileId, holder.id));
  return { result: record, effects: [entitySaved(record)], followUps: [] };
}

interface SentProfile {
  readonly id: Uuid | null;
  readonly name: string | null;
  readonly effects: readonly Change[];
}

/** By id, else by name, else made under the sender's id. */
async function resolveSentProfile(
  tx: Queryable,
  sent: EntityRecord,
  { byId, context: { tenantId } }: { byId: EntityRecord | null; context: ApplyContext },
): Promise<SentProfile> {
  const type = ENTITY_KINDS[sent.entityType].profileType;
  if (type === null || sent.profileId === null) return { id: sent.profileId, name: null, effects: [] };
  if (byId !== null) return { id: byId.id, name: byId.name, effects: [] };
  const name = sent.subtype ?? "default";
  const byName = await findEntityByName(tx, { type, tenantId, name });
  if (byName !== null) return { id: byName.id, name: byName.name, effects: [] };
  const made = await adoptProfile(tx, { type, id: sent.profileId, tenantId, name, createdMs: sent.createdMs });
  if (made === null) {
    throw new AppError("ALREADY_EXISTS", `Profile ${sent.profileId} met another one with its name`, {
      retryable: true,
    });
  }
  return { id: sent.profileId, name, effects: [made] };
}

async function findProfile(tx: Queryable, record: EntityRecord): Promise<EntityRecord | null> {
  const type = ENTITY_KINDS[record.entityType].profileType;
  if (type === null || record.profileId === null) return null;
  return findEntity(tx, { type, id: record.profileId, tenantId: record.tenantId });
}

function sameContent(left: EntityRecord, right: EntityRecord): boolean {
  return contentOf(left) === contentOf(right);
}

function contentOf({ name, subtype, label, profileId, customerId, body, content }: EntityRecord): string {
  return JSON.stringify([name, subtype, label, profileId, customerId, sortKeys(body), content]);
}

/** One level is enough: what is deeper comes back from a `json` column in the order in which it was written. */
function sortKeys(body: EntityRecord["body"]): unknown {
  return Object.entries(body).sort(([left], [right]) => (left < right ? -1 : 1));
}

function dedupe(changes: readonly Change[]): Change[] {
  const byText = new Map(changes.map((change) => [JSON.stringify(change), change]));
  return [...byText.values()];
}

async function applyEntityRemoved(tx: Queryable, change: EntityRemoved, context: ApplyContext): Promise<ApplyResult> {
  const stored = await lockEntityIfThere(tx, change.entity.id);
  // Gone already: that is what was wanted.
  if (stored === null || stored.tenantId !== context.tenantId || stored.entityType !== change.entity.type)
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

function isValidAttribute(key: string, value: string): boolean {
  if (key === "" || key.length > KEY_LENGTH_MAX || key.includes("\0")) return false;
  try {
    return splitValues(`{"v":${value}}`).size === 1;
  } catch {
    return false;
  }
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

function isCredentialsType(text: string): text is CredentialsType {
  return (CREDENTIALS_TYPES as readonly string[]).includes(text);
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
