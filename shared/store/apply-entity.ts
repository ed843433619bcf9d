import { eq } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Change, EntitySaved } from "../entities/change.ts";
import { mergeEdit, type EntityBase } from "../entities/entity-base.ts";
import { ENTITY_KINDS, findKind, isProfileType } from "../entities/entity-kinds.ts";
import { parseEntityRecord } from "../entities/entity-record-schema.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { TEXT_LENGTH_MAX } from "../entities/fields.ts";
import { ownerOf } from "./apply-checks.ts";
import { applied, rejected, type ApplyContext, type ApplyResult, type EditConflict } from "./apply-result.ts";
import {
  entitySaved,
  findEntity,
  findEntityByName,
  insertEntityIfFree,
  lockEntityIfThere,
  replaceEntity,
} from "./entity-store.ts";
import { adoptProfile, renameSubtypes } from "./profile-store.ts";
import { entity } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// What happens to an entity that the other side saved. Both sides come to the same state whatever the order in which edits meet:
// - an edge's edit is joined with what the cloud has, field by field; of a field that both changed the cloud's stays (entity-base.ts).
//   The result has a version above both, and goes back to the edge unless it is what the edge sent
// - a change of the cloud is left aside while an edit of the edge is on its way up that the cloud had not heard of: what people did
//   there stays in sight, and the result comes back whenever it is another. Else it is taken unless the edge has a higher version
// - a name: the one that was there first in the cloud keeps it; the edge's newcomer becomes `name (edge name)` on either side
// - a profile of the same name is the same profile; the cloud's id wins
// - an edit of what was deleted in the cloud is given up

/** Whether such entities are taken from the other side; all go down, an edge makes only some. */
function isTaken(type: string, from: ApplyContext["from"]): boolean {
  const kind = findKind(type);
  return kind !== null && (from === "cloud" || kind.isMadeOnEdges);
}

/** @throws what fails the whole batch */
export async function applyEntitySaved(
  tx: Queryable,
  change: EntitySaved,
  context: ApplyContext,
): Promise<ApplyResult> {
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
  const tenantId = ownerOf(sent, context);
  // Side by side: a connection takes them in this order, and one answer is waited for instead of three.
  const [stored, profileById, holder] = await Promise.all([
    lockEntityIfThere(tx, sent.id),
    findProfile(tx, { ...sent, tenantId }),
    findHolder(tx, { ...sent, tenantId }),
  ]);
  if (stored !== null && (stored.entityType !== sent.entityType || stored.tenantId !== tenantId)) {
    return rejected("ALREADY_EXISTS", `The id ${sent.id} belongs to another entity`);
  }
  if (stored === null && context.from === "edge" && change.base !== undefined) {
    const fields = [{ field: "name", kept: "null", dropped: JSON.stringify(sent.name) }];
    return applied([], [], [{ entity: change.entity, name: sent.name, kind: "deleted", fields }]);
  }
  const profile = await resolveSentProfile(tx, sent, { byId: profileById, context });
  const record: EntityRecord = {
    ...sent,
    tenantId,
    profileId: profile.id,
    subtype: profile.name ?? sent.subtype,
    createdMs: stored?.createdMs ?? sent.createdMs,
    // Who owns an entity is said in the cloud.
    customerId: context.from === "cloud" ? sent.customerId : (stored?.customerId ?? null),
  };
  const tellSender = context.from === "edge" && sent.profileId !== profile.id;
  const { base } = change;
  const saved =
    stored === null
      ? await create(tx, record, { holder, context })
      : context.from === "edge" && base !== undefined
        ? await joinEdit(tx, { sent, record, stored, base, holder, context })
        : await takeNewer(tx, { record, stored, holder, context });
  const followUps = [...saved.followUps];
  if (tellSender && saved.result !== null) {
    const kept = await findProfile(tx, record);
    followUps.unshift(...(kept === null ? [] : [entitySaved(kept)]), entitySaved(saved.result));
  }
  if (context.from === "edge" && followUps.length === 0 && isMoreThan(saved.result, sent))
    followUps.push(entitySaved(saved.result));
  return applied([...profile.effects, ...saved.effects], dedupe(followUps), saved.conflicts ?? []);
}

/** Whether an edge that left aside what the cloud said meanwhile has to hear what came of its edit. */
function isMoreThan(result: EntityRecord | null, sent: EntityRecord): result is EntityRecord {
  return result !== null && (result.version > sent.version || result.customerId !== sent.customerId);
}

interface SavedEntity {
  /** null: the sender's change was dropped. */
  readonly result: EntityRecord | null;
  readonly effects: readonly Change[];
  readonly followUps: readonly Change[];
  /** @default none */
  readonly conflicts?: readonly EditConflict[];
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

interface Meeting {
  readonly record: EntityRecord;
  readonly stored: EntityRecord;
  readonly holder: EntityRecord | null;
  readonly context: ApplyContext;
}

/** An edge's edit meets what the cloud made of the entity meanwhile. */
async function joinEdit(
  tx: Queryable,
  { sent, base, ...meeting }: Meeting & { readonly sent: EntityRecord; readonly base: EntityBase },
): Promise<SavedEntity> {
  const { record, stored } = meeting;
  const merged = mergeEdit({ sent, record, stored, base });
  const conflicts: readonly EditConflict[] =
    merged.conflicts.length === 0
      ? []
      : [{ entity: refOf(stored), name: stored.name, kind: "fields", fields: merged.conflicts }];
  // Nothing is different: the same edit once more, or on both sides.
  if (!merged.isChanged && !merged.differsFromSent) return takeVersion(tx, record, stored);
  if (!merged.isChanged && stored.version >= record.version) {
    return { result: null, effects: [], followUps: [entitySaved(stored)], conflicts };
  }
  const version = merged.differsFromSent
    ? Math.max(record.version, stored.version) + 1
    : Math.max(record.version, stored.version + 1);
  const joined = { ...merged.record, version };
  const saved = await replaceOrRename(tx, { ...meeting, record: joined });
  const isOther = merged.differsFromSent || version !== record.version;
  const followUps = isOther && saved.followUps.length === 0 ? [entitySaved(joined)] : saved.followUps;
  return { ...saved, followUps, conflicts: [...conflicts, ...(saved.conflicts ?? [])] };
}

/** The higher version; of two with one version the cloud's. */
async function takeNewer(tx: Queryable, meeting: Meeting): Promise<SavedEntity> {
  const { record, stored, context } = meeting;
  if (sameContent(record, stored)) return takeVersion(tx, record, stored);
  if (context.unheard?.has(record.id) === true) return { result: null, effects: [], followUps: [] };
  const wins = context.from === "cloud" ? record.version >= stored.version : record.version > stored.version;
  if (wins) return replaceOrRename(tx, meeting);
  // An edge's newer edit is on its way up already; an edge whose edit lost has to hear what stays.
  return { result: null, effects: [], followUps: context.from === "edge" ? [entitySaved(stored)] : [] };
}

async function takeVersion(tx: Queryable, record: EntityRecord, stored: EntityRecord): Promise<SavedEntity> {
  if (record.version > stored.version) await replaceEntity(tx, { ...stored, version: record.version });
  return { result: stored, effects: [], followUps: [] };
}

async function replaceOrRename(tx: Queryable, { record, stored, holder, context }: Meeting): Promise<SavedEntity> {
  if (record.name === stored.name || holder === null) {
    await replaceEntity(tx, record);
    if (record.name !== stored.name) await renameSubtypes(tx, record);
    return { result: record, effects: [entitySaved(record, stored)], followUps: [] };
  }
  return isProfileType(record.entityType) && context.from === "edge"
    ? { result: null, effects: [], followUps: [entitySaved(stored)] }
    : settleName(tx, { record, holder, stored, context, write: (named) => replaceEntity(tx, named) });
}

function refOf({ entityType, id }: EntityRecord): { readonly type: string; readonly id: Uuid } {
  return { type: entityType, id };
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
    const fields = [{ field: "name", kept: JSON.stringify(renamed.name), dropped: JSON.stringify(record.name) }];
    return {
      result: renamed,
      effects: [entitySaved(renamed, stored)],
      followUps: [entitySaved(renamed)],
      conflicts: [{ entity: refOf(renamed), name: renamed.name, kind: "name", fields }],
    };
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
