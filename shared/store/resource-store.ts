import { and, asc, eq, sql } from "drizzle-orm";
import type { BlobRef } from "../core/blob-ref.ts";
import { AppError } from "../core/errors.ts";
import { NULL_UUID, type Uuid } from "../core/ids.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isKindType } from "../entities/entity-types.ts";
import { linkTo, SYSTEM_LINK } from "../entities/resource-links.ts";
import { resourceForm, type ResourceInput, type ResourceType } from "../entities/resource.ts";
import { saveForm } from "./entity-save.ts";
import {
  entitySaved,
  findEntity,
  listEntities,
  lockEntity,
  replaceEntity,
  type Page,
  type PageRequest,
} from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export interface ResourceFile {
  readonly content: BlobRef;
  /** null: by the name of the file. */
  readonly contentType: string | null;
}

export interface ResourceSave {
  readonly tenantId: Uuid;
  readonly input: ResourceInput;
  /** null: the one that it has stays. */
  readonly file: ResourceFile | null;
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT for a new one without a file */
export async function saveResource(tx: Queryable, deps: StoreDeps, save: ResourceSave): Promise<Outcome<EntityRecord>> {
  const { input, tenantId, file } = save;
  const isNew = input.id === undefined || input.id === null;
  if (isNew && file === null) throw new AppError("INVALID_ARGUMENT", "Resource data should be specified!");
  if (isNew && !input.fileName) throw new AppError("INVALID_ARGUMENT", "Resource file name should be specified!");
  const resourceKey = isNew
    ? await freeKey(tx, { tenantId, type: input.resourceType, fileName: input.fileName ?? "" })
    : null;
  const saved = await saveForm(tx, deps, { form: resourceForm, tenantId, input: { ...input, resourceKey } });
  if (file === null) return saved;
  return putFile(tx, saved.result, file);
}

/** Another file in place of the one that is there. @throws AppError NOT_FOUND */
export async function replaceResourceFile(
  tx: Queryable,
  {
    id,
    tenantId,
    file,
    fileName,
  }: { readonly id: Uuid; readonly tenantId: Uuid; readonly file: ResourceFile; readonly fileName: string },
): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, { type: "TB_RESOURCE", id, tenantId });
  return putFile(tx, { ...stored, version: stored.version + 1, body: { ...stored.body, fileName } }, file);
}

async function putFile(
  tx: Queryable,
  record: EntityRecord,
  { content, contentType }: ResourceFile,
): Promise<Outcome<EntityRecord>> {
  const type = contentType === null ? {} : { contentType };
  const body = { ...record.body, ...type, sha256: content.sha256, dataSize: content.bytes };
  const written = { ...record, body };
  await replaceEntity(tx, written);
  return { result: written, changes: [entitySaved(written)] };
}

interface KeyOwner {
  readonly tenantId: Uuid;
  readonly type: ResourceType;
}

const KEY_ATTEMPTS_MAX = 1_000;

/** The name of the file, or the first free `name_(1).ext`. */
async function freeKey(
  tx: Queryable,
  { tenantId, type, fileName }: KeyOwner & { readonly fileName: string },
): Promise<string> {
  // Two at once would not see each other.
  const lock = `resource ${tenantId} ${type} ${fileName}`;
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${lock}, 0))`);
  const dot = fileName.lastIndexOf(".");
  const [base, extension] = dot <= 0 ? [fileName, ""] : [fileName.slice(0, dot), fileName.slice(dot)];
  for (let attempt = 0; attempt < KEY_ATTEMPTS_MAX; attempt += 1) {
    const key = attempt === 0 ? fileName : `${base}_(${attempt})${extension}`;
    if ((await findResourceByKey(tx, { tenantId, type, key })) === null) return key;
  }
  throw new AppError("ALREADY_EXISTS", `Can't find a free key for '${fileName}' after ${KEY_ATTEMPTS_MAX} attempts`);
}

export async function findResourceByKey(
  db: Queryable,
  { tenantId, type, key }: KeyOwner & { readonly key: string },
): Promise<EntityRecord | null> {
  const [row] = await db
    .select({ id: entity.id })
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), eq(entity.entityType, "TB_RESOURCE"), eq(entity.link, `${type} ${key}`)))
    .orderBy(asc(entity.id))
    .limit(1);
  return row === undefined ? null : findEntity(db, { type: "TB_RESOURCE", id: row.id as Uuid, tenantId }); // a uuid column
}

/** Users that are named of those that there are. */
const USERS_MAX = 100;

/** What names this file by its link, in the order of names; some of it when it is much. */
export async function findResourceUsers(
  db: Queryable,
  record: EntityRecord,
): Promise<readonly Pick<EntityRecord, "entityType" | "id" | "name">[]> {
  const link = linkTo(record);
  if (link === null) return [];
  const isOfSystem = record.tenantId === NULL_UUID;
  const name = isOfSystem ? SYSTEM_LINK + link : link;
  const rows = await db
    .select({ id: entity.id, entityType: entity.entityType, name: entity.name })
    .from(entity)
    .where(
      and(isOfSystem ? undefined : eq(entity.tenantId, record.tenantId), sql`${entity.links} @> array[${name}::text]`),
    )
    .orderBy(asc(entity.entityType), asc(entity.name), asc(entity.id))
    .limit(USERS_MAX);
  return rows.flatMap(
    ({ id, entityType, name }) => (isKindType(entityType) ? { entityType, name, id: id as Uuid } : []), // a uuid column
  );
}

/** Of the tenant, or of the system, whose resources are for all. */
export async function findResource(db: Queryable, tenantId: Uuid, id: Uuid): Promise<EntityRecord | null> {
  const own = await findEntity(db, { type: "TB_RESOURCE", id, tenantId });
  return own ?? findEntity(db, { type: "TB_RESOURCE", id, tenantId: NULL_UUID });
}

export interface ResourceFilter {
  readonly tenantId: Uuid;
  readonly type?: ResourceType | undefined;
  readonly subType?: string | undefined;
}

export function listResources(
  db: Queryable,
  { tenantId, type, subType }: ResourceFilter,
  page: PageRequest,
): Promise<Page<EntityRecord>> {
  const bodyText = subType === undefined ? undefined : { key: "resourceSubType", value: subType, whenAbsent: "" };
  return listEntities(db, { type: "TB_RESOURCE", tenantId, subtype: type, bodyText }, page);
}
