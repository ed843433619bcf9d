import { and, asc, desc, eq, gte, ilike, inArray, lt, ne, or, sql, type SQL } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import type { Change } from "../entities/change.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isEntityType, type EntityType } from "../entities/entity-types.ts";
import type { StoreDeps } from "./store-deps.ts";
import { attribute, deviceCredentials, entity, telemetry, telemetryLatest } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Rows of every kind of named entity. Locks: whoever changes an entity holds its row until the commit, and whoever writes what
// hangs on it (attributes, credentials, assignments) holds at least a key share of it, so that nothing is left behind by a delete
// and no change passes an assignment unseen. Rows are locked in the order of their ids where one statement takes several.

/** What entities are called in texts for people. */
export const KIND_NAMES: Readonly<Record<EntityType, string>> = {
  TENANT: "Tenant",
  CUSTOMER: "Customer",
  USER: "User",
  EDGE: "Edge",
  DEVICE: "Device",
  ASSET: "Asset",
  DEVICE_PROFILE: "Device profile",
  ASSET_PROFILE: "Asset profile",
};

/** An entity as somebody wants it. Without `id`: a new one. */
export interface EntityDraft {
  readonly entityType: EntityType;
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
}

/**
 * Creates or updates; the result is the stored record.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS
 */
export async function saveEntity(tx: Queryable, deps: StoreDeps, draft: EntityDraft): Promise<Outcome<EntityRecord>> {
  const record = draft.id === null ? await insertDraft(tx, deps, draft) : await updateDraft(tx, draft.id, draft);
  return { result: record, changes: [entitySaved(record)] };
}

async function insertDraft(tx: Queryable, deps: StoreDeps, draft: EntityDraft): Promise<EntityRecord> {
  const record: EntityRecord = {
    entityType: draft.entityType,
    id: createUuid(deps.clock, deps.random),
    tenantId: draft.tenantId,
    customerId: draft.customerId ?? null,
    name: draft.name,
    subtype: draft.subtype,
    label: draft.label,
    profileId: draft.profileId,
    version: 1,
    createdMs: deps.clock.nowMs(),
    body: draft.body,
  };
  if (!(await insertEntityIfFree(tx, record))) throw nameTaken(draft.entityType);
  return record;
}

async function updateDraft(tx: Queryable, id: Uuid, draft: EntityDraft): Promise<EntityRecord> {
  const stored = await lockEntity(tx, { type: draft.entityType, id, tenantId: draft.tenantId });
  if (draft.expectedVersion !== null && draft.expectedVersion !== stored.version) {
    throw new AppError("VERSION_CONFLICT", `${KIND_NAMES[draft.entityType]} was already changed by someone else`);
  }
  if (draft.name !== stored.name && (await findEntityByName(tx, { ...draft, type: draft.entityType })) !== null) {
    throw nameTaken(draft.entityType);
  }
  const record: EntityRecord = {
    ...stored,
    customerId: draft.customerId === undefined ? stored.customerId : draft.customerId,
    name: draft.name,
    subtype: draft.subtype,
    label: draft.label,
    profileId: draft.profileId,
    version: stored.version + 1,
    body: draft.body,
  };
  await replaceEntity(tx, record);
  return record;
}

function nameTaken(entityType: EntityType): AppError {
  const what = entityType === "CUSTOMER" ? "title" : "name";
  return new AppError("ALREADY_EXISTS", `${KIND_NAMES[entityType]} with such ${what} already exists!`, { field: what });
}

/** False when the id or the name is taken; no statement fails. */
export async function insertEntityIfFree(tx: Queryable, record: EntityRecord): Promise<boolean> {
  const rows = await tx.insert(entity).values(toRow(record)).onConflictDoNothing().returning({ id: entity.id });
  return rows.length === 1;
}

/** Overwrites the row with this id. */
export async function replaceEntity(tx: Queryable, record: EntityRecord): Promise<void> {
  await tx.update(entity).set(toRow(record)).where(eq(entity.id, record.id));
}

export interface EntityKey {
  readonly type: EntityType;
  readonly id: Uuid;
  /** Whose entity it has to be; absent: anybody's. */
  readonly tenantId?: Uuid;
}

export async function findEntity(db: Queryable, key: EntityKey): Promise<EntityRecord | null> {
  const rows = await db.select().from(entity).where(matchesKey(key));
  return rows[0] === undefined ? null : toRecord(rows[0]);
}

/** The entity, behind its profile if it has one; empty when it is not there. */
export async function findEntityWithProfile(db: Queryable, { type, id }: EntityKey): Promise<EntityRecord[]> {
  const profileId = sql`(select profile_id from entity where id = ${id})`;
  const rows = await db
    .select()
    .from(entity)
    .where(or(eq(entity.id, id), eq(entity.id, profileId)));
  const own = rows.find((row) => row.id === id);
  if (own === undefined || own.entityType !== type) return [];
  return [...rows.filter((row) => row !== own), own].map(toRecord);
}

/** @throws AppError NOT_FOUND, also for an entity of another tenant */
export async function getEntity(db: Queryable, key: EntityKey): Promise<EntityRecord> {
  return (await findEntity(db, key)) ?? raiseNotFound(key.type, key.id);
}

/**
 * The record, its row locked against changes until the commit.
 *
 * @throws AppError NOT_FOUND, also for an entity of another tenant
 */
export async function lockEntity(tx: Queryable, key: EntityKey): Promise<EntityRecord> {
  const rows = await tx.select().from(entity).where(matchesKey(key)).for("update");
  return rows[0] === undefined ? raiseNotFound(key.type, key.id) : toRecord(rows[0]);
}

/** The record of whatever kind and tenant, locked like by `lockEntity`; null when there is none. */
export async function lockEntityIfThere(tx: Queryable, id: Uuid): Promise<EntityRecord | null> {
  const rows = await tx.select().from(entity).where(eq(entity.id, id)).for("update");
  return rows[0] === undefined ? null : toRecord(rows[0]);
}

/** Whether this entity exists; it is kept from being deleted until the commit then. */
export async function keepEntity(tx: Queryable, key: EntityKey): Promise<boolean> {
  const rows = await tx.select({ id: entity.id }).from(entity).where(matchesKey(key)).for("key share");
  return rows.length > 0;
}

/** Those of `ids` that exist, kept from being deleted until the commit. */
export async function keepEntities(tx: Queryable, ids: readonly Uuid[]): Promise<Set<Uuid>> {
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(inArray(entity.id, [...ids]))
    .orderBy(asc(entity.id))
    .for("key share");
  return new Set(rows.map((row) => row.id as Uuid));
}

export function notFound(type: EntityType, id: Uuid): AppError {
  return new AppError("NOT_FOUND", `${KIND_NAMES[type]} with id [${id}] is not found`);
}

function raiseNotFound(type: EntityType, id: Uuid): never {
  throw notFound(type, id);
}

export interface EntityName {
  readonly type: EntityType;
  readonly tenantId: Uuid;
  readonly name: string;
}

export async function findEntityByName(
  db: Queryable,
  { type, tenantId, name }: EntityName,
): Promise<EntityRecord | null> {
  const rows = await db
    .select()
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), eq(entity.entityType, type), eq(entity.name, name)))
    .limit(1);
  return rows[0] === undefined ? null : toRecord(rows[0]);
}

/** Those of `ids` that are of this kind and tenant, in the order of the ids. */
export async function findEntities(
  db: Queryable,
  { type, tenantId, ids }: { readonly type: EntityType; readonly tenantId: Uuid; readonly ids: readonly Uuid[] },
): Promise<EntityRecord[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .select()
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), eq(entity.entityType, type), inArray(entity.id, [...ids])))
    .orderBy(asc(entity.id));
  return rows.map(toRecord);
}

export interface PageRequest {
  readonly pageSize: number;
  /** From 0. */
  readonly page: number;
  readonly textSearch?: string | undefined;
  readonly sortProperty?: string | undefined;
  /** @default "ASC" */
  readonly sortOrder?: "ASC" | "DESC" | undefined;
  /** Earliest and latest `createdTime`, both included. */
  readonly startTime?: number | undefined;
  readonly endTime?: number | undefined;
}

export interface Page<T> {
  readonly data: readonly T[];
  readonly totalPages: number;
  readonly totalElements: number;
  readonly hasNext: boolean;
}

export interface EntityFilter {
  readonly type: EntityType;
  readonly tenantId: Uuid;
  /** Only entities of this customer. */
  readonly customerId?: Uuid | undefined;
  readonly subtype?: string | undefined;
  readonly profileId?: Uuid | undefined;
  /** Only entities that are assigned to this edge; `assignments` is the condition that the cloud's store makes. */
  readonly condition?: SQL | undefined;
  /** Only entities whose server attribute `active` is or is not true. */
  readonly active?: boolean | undefined;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listEntities(
  db: Queryable,
  filter: EntityFilter,
  page: PageRequest,
): Promise<Page<EntityRecord>> {
  const where = and(...conditionsOf(filter, page));
  const order = sortColumn(page.sortProperty);
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const [rows, totals] = await Promise.all([
    db
      .select()
      .from(entity)
      .where(where)
      .orderBy(direction(order), asc(entity.id))
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db
      .select({ count: sql<number>`count(*)` })
      .from(entity)
      .where(where),
  ]);
  return toPage(rows.map(toRecord), totals[0]?.count ?? 0, page);
}

export function toPage<T>(data: readonly T[], totalElements: number, { pageSize, page }: PageRequest): Page<T> {
  const totalPages = Math.ceil(totalElements / pageSize);
  return { data, totalPages, totalElements, hasNext: page + 1 < totalPages };
}

function conditionsOf(filter: EntityFilter, page: PageRequest): (SQL | undefined)[] {
  const { type, tenantId, customerId, subtype, profileId, active } = filter;
  const search = page.textSearch === undefined || page.textSearch === "" ? undefined : containsPattern(page.textSearch);
  const isActive = sql`exists (select from ${attribute} where ${attribute.entityId} = ${entity.id}
    and ${attribute.scope} = 'SERVER_SCOPE' and ${attribute.key} = 'active' and ${attribute.value} = 'true'::jsonb)`;
  return [
    eq(entity.tenantId, tenantId),
    eq(entity.entityType, type),
    customerId === undefined ? undefined : eq(entity.customerId, customerId),
    subtype === undefined ? undefined : eq(entity.subtype, subtype),
    profileId === undefined ? undefined : eq(entity.profileId, profileId),
    active === undefined ? undefined : active ? isActive : sql`not ${isActive}`,
    search === undefined ? undefined : or(ilike(entity.name, search), ilike(entity.label, search)),
    page.startTime === undefined ? undefined : gte(entity.createdMs, page.startTime),
    page.endTime === undefined ? undefined : lt(entity.createdMs, page.endTime + 1),
    filter.condition,
  ];
}

/** A LIKE pattern for texts that contain `text` as it is. */
export function containsPattern(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, (char) => `\\${char}`)}%`;
}

function sortColumn(property: string | undefined) {
  switch (property) {
    case undefined:
    case "":
    case "id":
      return entity.id;
    case "createdTime":
      return entity.createdMs;
    case "name":
    case "title":
      return entity.name;
    case "label":
      return entity.label;
    case "type":
    case "deviceProfileName":
    case "assetProfileName":
      return entity.subtype;
    case "customerTitle":
      return entity.customerId;
    default:
      throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${property.slice(0, 64)}'!`, {
        field: "sortProperty",
      });
  }
}

/** The names of the profiles in use, in order. */
export async function listSubtypes(db: Queryable, type: EntityType, tenantId: Uuid): Promise<string[]> {
  const rows = await db
    .selectDistinct({ subtype: entity.subtype })
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), eq(entity.entityType, type)))
    .orderBy(asc(entity.subtype));
  return rows.flatMap((row) => row.subtype ?? []);
}

/**
 * Deletes the entity with everything that is its own: credentials, attributes, telemetry.
 *
 * @throws AppError NOT_FOUND
 */
export async function deleteEntity(tx: Queryable, key: EntityKey): Promise<Outcome<EntityRecord>> {
  const record = await lockEntity(tx, key);
  await eraseEntity(tx, key.id);
  return {
    result: record,
    changes: [{ kind: "entity-removed", entity: { type: key.type, id: key.id }, deleted: true }],
  };
}

/** Deletes the entity and what is its own, if it is there. */
export async function eraseEntity(tx: Queryable, id: Uuid): Promise<void> {
  await tx.delete(entity).where(eq(entity.id, id));
  await tx.delete(deviceCredentials).where(eq(deviceCredentials.deviceId, id));
  await tx.delete(attribute).where(eq(attribute.entityId, id));
  await tx.delete(telemetryLatest).where(eq(telemetryLatest.entityId, id));
  await tx.delete(telemetry).where(eq(telemetry.entityId, id));
}

/** The change that says what `record` is now. */
export function entitySaved(record: EntityRecord): Change {
  return {
    kind: "entity-saved",
    entity: { type: record.entityType, id: record.id },
    body: JSON.stringify(record),
  };
}

/** Entities and users of one tenant become another's: an edge that learns whose it is. */
export async function moveTenant(tx: Queryable, from: Uuid, to: Uuid): Promise<void> {
  await tx
    .update(entity)
    .set({ tenantId: to })
    .where(and(eq(entity.tenantId, from), ne(entity.tenantId, to)));
  await tx.execute(sql`update app_user set tenant_id = ${to} where tenant_id = ${from}`);
}

/** Titles of customers, for lists that show them. */
export async function findCustomers(db: Queryable, ids: readonly Uuid[]): Promise<Map<Uuid, EntityRecord>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .select()
    .from(entity)
    .where(and(eq(entity.entityType, "CUSTOMER"), inArray(entity.id, [...ids])));
  return new Map(rows.map((row) => [row.id as Uuid, toRecord(row)]));
}

function matchesKey({ type, id, tenantId }: EntityKey): SQL | undefined {
  return and(
    eq(entity.id, id),
    eq(entity.entityType, type),
    tenantId === undefined ? undefined : eq(entity.tenantId, tenantId),
  );
}

function toRow(record: EntityRecord): typeof entity.$inferInsert {
  return { ...record };
}

function toRecord(row: typeof entity.$inferSelect): EntityRecord {
  if (!isEntityType(row.entityType)) {
    throw new AppError("DATABASE_NEWER", `Entity ${row.id} is of the unknown type ${row.entityType}`);
  }
  // Ids are uuid columns, and a body is written from an EntityRecord only.
  return {
    ...row,
    entityType: row.entityType,
    id: row.id as Uuid,
    tenantId: row.tenantId as Uuid,
    customerId: row.customerId as Uuid | null,
    profileId: row.profileId as Uuid | null,
    body: row.body as EntityRecord["body"],
  };
}
