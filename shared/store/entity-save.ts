import { and, asc, eq, inArray } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, NULL_UUID, type Uuid } from "../core/ids.ts";
import { createToken } from "../core/random.ts";
import type { EntityForm, EntityInput } from "../entities/entity-kind.ts";
import { ENTITY_KINDS, needsOf, titleOf } from "../entities/entity-kinds.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { KindType } from "../entities/entity-types.ts";
import { TEXT_LENGTH_MAX } from "../entities/fields.ts";
import { entitySaved, findEntityByName, insertEntityIfFree, lockEntity, replaceEntity } from "./entity-store.ts";
import { renameSubtypes, resolveProfile } from "./profile-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// How people save entities of any kind: create or update by id, versions, names, and what a record refers to.

/** What is done about a name that another entity of its kind has. FAIL: refused; UNIQUIFY: something is put behind it. */
export interface NamePolicy {
  readonly onConflict: "FAIL" | "UNIQUIFY";
  /** @default "_" */
  readonly separator?: string | undefined;
  /** INCREMENTAL: 1, 2, 3, … @default "RANDOM" */
  readonly strategy?: "RANDOM" | "INCREMENTAL" | undefined;
}

/** An entity as somebody wants it. Without `id`: a new one. */
export interface EntityDraft {
  readonly entityType: KindType;
  readonly id: Uuid | null;
  readonly tenantId: Uuid;
  /** undefined: as it is; null: none. */
  readonly customerId: Uuid | null | undefined;
  readonly name: string;
  readonly subtype: string | null;
  readonly label: string | null;
  readonly profileId: Uuid | null;
  /** The version that the author has seen; null: overwrite. */
  readonly expectedVersion: number | null;
  readonly body: EntityRecord["body"];
  /** undefined: as it is. */
  readonly content?: string | undefined;
  /** Keys of the body that stay as they are. @default none */
  readonly ownKeys?: readonly string[];
  /** @default FAIL */
  readonly naming?: NamePolicy | undefined;
}

export interface FormSave<Input extends EntityInput> {
  readonly form: EntityForm<Input>;
  readonly tenantId: Uuid;
  readonly input: Input;
  /** @default FAIL */
  readonly naming?: NamePolicy | undefined;
}

/**
 * Saves what came over REST; a profile that is only named is made.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT
 */
export async function saveForm<Input extends EntityInput>(
  tx: Queryable,
  deps: StoreDeps,
  { form, tenantId, input, naming }: FormSave<Input>,
): Promise<Outcome<EntityRecord>> {
  const { kind, ownKeys } = form;
  const { name, subtype = null, label = null, profile, body, content } = form.toFields(input);
  const resolved =
    kind.profileType === null || profile === undefined
      ? null
      : await resolveProfile(tx, deps, { type: kind.profileType, tenantId, ...profile });
  const saved = await saveEntity(tx, deps, {
    entityType: kind.type,
    id: input.id ?? null,
    tenantId,
    customerId: customerIdOf(input.customerId),
    name,
    subtype: resolved === null ? subtype : resolved.result.name,
    label,
    profileId: resolved?.result.id ?? null,
    expectedVersion: input.version ?? null,
    body,
    content,
    naming,
    ...(ownKeys === undefined ? {} : { ownKeys }),
  });
  return { result: saved.result, changes: [...(resolved?.changes ?? []), ...saved.changes] };
}

/** undefined: as it is; the null uuid of the REST convention: none. */
function customerIdOf(given: Uuid | null | undefined): Uuid | null | undefined {
  return given === NULL_UUID ? null : given === null ? undefined : given;
}

/**
 * Creates or updates; the result is the stored record.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT for a reference to nothing
 */
export async function saveEntity(tx: Queryable, deps: StoreDeps, draft: EntityDraft): Promise<Outcome<EntityRecord>> {
  if (draft.id !== null) return updateDraft(tx, deps, { ...draft, id: draft.id });
  const record = await insertDraft(tx, deps, draft);
  return { result: record, changes: [entitySaved(record)] };
}

async function insertDraft(tx: Queryable, deps: StoreDeps, draft: EntityDraft): Promise<EntityRecord> {
  const record: EntityRecord = {
    entityType: draft.entityType,
    id: createUuid(deps.clock, deps.random),
    tenantId: draft.tenantId,
    customerId: draft.customerId ?? null,
    name: draft.naming?.onConflict === "UNIQUIFY" ? await freeName(tx, deps, draft) : draft.name,
    subtype: draft.subtype,
    label: draft.label,
    profileId: draft.profileId,
    version: 1,
    createdMs: deps.clock.nowMs(),
    body: draft.body,
    ...(draft.content === undefined ? {} : { content: draft.content }),
  };
  await checkReferences(tx, record, null);
  if (!(await insertEntityIfFree(tx, record))) throw nameTaken(draft.entityType);
  return record;
}

async function updateDraft(
  tx: Queryable,
  deps: StoreDeps,
  draft: EntityDraft & { readonly id: Uuid },
): Promise<Outcome<EntityRecord>> {
  const { entityType, id, tenantId, content, ownKeys = [] } = draft;
  const stored = await lockEntity(tx, { type: entityType, id, tenantId });
  if (draft.expectedVersion !== null && draft.expectedVersion !== stored.version) throw versionConflict(entityType);
  const kept = Object.entries(stored.body).filter(([key]) => ownKeys.includes(key));
  const record: EntityRecord = {
    ...stored,
    customerId: draft.customerId === undefined ? stored.customerId : draft.customerId,
    name: draft.name === stored.name ? stored.name : await newName(tx, deps, draft),
    subtype: draft.subtype,
    label: draft.label,
    profileId: draft.profileId,
    version: stored.version + 1,
    body: { ...draft.body, ...Object.fromEntries(kept) },
    ...(content === undefined ? {} : { content }),
  };
  await checkReferences(tx, record, stored);
  await replaceEntity(tx, record);
  if (record.name !== stored.name) await renameSubtypes(tx, record);
  return { result: record, changes: [entitySaved(record, stored)] };
}

export function versionConflict(entityType: KindType): AppError {
  return new AppError("VERSION_CONFLICT", `${titleOf(entityType)} was already changed by someone else`);
}

async function newName(tx: Queryable, deps: StoreDeps, draft: EntityDraft): Promise<string> {
  if (draft.naming?.onConflict === "UNIQUIFY") return freeName(tx, deps, draft);
  if (await isNameTaken(tx, draft, draft.name)) throw nameTaken(draft.entityType);
  return draft.name;
}

async function isNameTaken(tx: Queryable, { entityType, tenantId }: EntityDraft, name: string): Promise<boolean> {
  if (!ENTITY_KINDS[entityType].hasUniqueName) return false;
  return (await findEntityByName(tx, { type: entityType, tenantId, name })) !== null;
}

const NAME_ATTEMPTS_MAX = 100;
const RANDOM_MARK_LENGTH = 6;

/** The name, or the first free one with a mark behind it. */
async function freeName(tx: Queryable, { random }: StoreDeps, draft: EntityDraft): Promise<string> {
  if (!(await isNameTaken(tx, draft, draft.name))) return draft.name;
  const { separator = "_", strategy = "RANDOM" } = draft.naming ?? {};
  for (let attempt = 1; attempt <= NAME_ATTEMPTS_MAX; attempt += 1) {
    const mark = separator + (strategy === "RANDOM" ? createToken(random, RANDOM_MARK_LENGTH) : String(attempt));
    const candidate = draft.name.slice(0, TEXT_LENGTH_MAX - mark.length) + mark;
    if (!(await isNameTaken(tx, draft, candidate))) return candidate;
  }
  throw nameTaken(draft.entityType);
}

function nameTaken(entityType: KindType): AppError {
  const { title, nameField } = ENTITY_KINDS[entityType];
  return new AppError("ALREADY_EXISTS", `${title} with such ${nameField} already exists!`, { field: nameField });
}

/** What a record newly refers to has to be there, of its own tenant, and stays until the commit. @throws AppError INVALID_ARGUMENT */
export async function checkReferences(tx: Queryable, record: EntityRecord, stored: EntityRecord | null): Promise<void> {
  const before = new Set(stored === null ? [] : needsOf(stored).map(({ id }) => id));
  const added = needsOf(record).filter(({ id }) => !before.has(id));
  if (added.length === 0) return;
  const ids = added.map(({ id }) => id);
  const rows = await tx
    .select({ id: entity.id, type: entity.entityType })
    .from(entity)
    .where(and(inArray(entity.id, ids), eq(entity.tenantId, record.tenantId)))
    .orderBy(asc(entity.id))
    .for("key share");
  const found = new Map(rows.map((row) => [row.id, row.type]));
  const missing = added.find(({ id, type }) => found.get(id) !== type);
  if (missing === undefined) return;
  const what = titleOf(missing.type).toLowerCase();
  const text =
    missing.type === "CUSTOMER"
      ? `Can't assign ${titleOf(record.entityType).toLowerCase()} to non-existent customer!`
      : `Can't assign non-existent ${what}!`;
  throw new AppError("INVALID_ARGUMENT", text);
}
