import { and, asc, desc, eq, getTableColumns, gte, inArray, lt, ne, or, sql, type SQL } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityRemoved, EntitySaved } from "../entities/change.ts";
import { baseOf } from "../entities/entity-base.ts";
import type { Reference } from "../entities/entity-kind.ts";
import { ENTITY_KINDS, needsOf, titleOf } from "../entities/entity-kinds.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isKindType, type EntityType, type KindType } from "../entities/entity-types.ts";
import { linksIn, linkTo } from "../entities/resource-links.ts";
import { eraseAlarmsOf } from "./alarm-store.ts";
import { pageByOwner } from "./owner-order.ts";
import { eraseRelationsOf, moveRelations } from "./relation-store.ts";
import { rpc } from "./rpc-tables.ts";
import { attribute, deviceCredentials, entity, telemetry, telemetryLatest } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Rows of every kind of named entity. Locks: whoever changes an entity holds its row until the commit, and whoever writes what
// hangs on it (attributes, credentials, assignments) holds at least a key share of it, so that nothing is left behind by a delete
// and no change passes an assignment unseen. Rows are locked in the order of their ids where one statement takes several.

/** False when the id or the name is taken; no statement fails. */
export async function insertEntityIfFree(tx: Queryable, record: EntityRecord): Promise<boolean> {
  const rows = await tx.insert(entity).values(toRow(record)).onConflictDoNothing().returning({ id: entity.id });
  return rows.length === 1;
}

/** Many at once; those whose id or name is taken are left out. @returns how many were written */
export async function insertEntities(tx: Queryable, records: readonly EntityRecord[]): Promise<number> {
  if (records.length === 0) return 0;
  const rows = await tx.insert(entity).values(records.map(toRow)).onConflictDoNothing().returning({ id: entity.id });
  return rows.length;
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
  return new AppError("NOT_FOUND", `${titleOf(type)} with id [${id}] is not found`);
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

/** Of whatever kind and tenant, in no order. */
export async function findEntitiesById(db: Queryable, ids: readonly Uuid[]): Promise<EntityRecord[]> {
  const rows = await db
    .select()
    .from(entity)
    .where(inArray(entity.id, [...ids]));
  return rows.map(toRecord);
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
  /** Only dashboards that this customer sees. */
  readonly sharedWith?: Uuid | undefined;
  /** Only entities whose body has this text under this key. */
  readonly bodyText?: { readonly key: string; readonly value: string; readonly whenAbsent: string } | undefined;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listEntities(
  db: Queryable,
  filter: EntityFilter,
  page: PageRequest,
): Promise<Page<EntityRecord>> {
  const where = and(...conditionsOf(filter, page));
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const offset = page.pageSize * page.page;
  const isByOwner = page.sortProperty === "customerTitle";
  // What is skipped is skipped in an index, which holds ids; only the page itself is read from the table. Ties are in the order of ids, in
  // the same direction, as the indexes are.
  const ids = isByOwner
    ? pageByOwner({ where, direction: page.sortOrder === "DESC" ? "desc" : "asc", offset, limit: page.pageSize })
    : pageByColumn({ where, key: sortKey(page.sortProperty, filter.type), direction, offset, limit: page.pageSize });
  // Contents may be large, and lists show none.
  const { content: _content, ...columns } = getTableColumns(entity);
  const [rows, totals] = await Promise.all([
    db
      .select(columns)
      .from(entity)
      .innerJoin(sql`(${ids}) as page`, sql`page.id = ${entity.id}`)
      .orderBy(isByOwner ? asc(sql`page.sort_key`) : direction(sql`page.sort_key`), direction(entity.id)),
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
  const { type, tenantId, customerId, subtype, profileId, active, bodyText } = filter;
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
    search === undefined ? undefined : sql`${entity}.search_text like lower(${search})`,
    page.startTime === undefined ? undefined : gte(entity.createdMs, page.startTime),
    page.endTime === undefined ? undefined : lt(entity.createdMs, page.endTime + 1),
    filter.sharedWith === undefined ? undefined : sql`${entity.body}::jsonb -> 'customerIds' ? ${filter.sharedWith}`,
    bodyText === undefined
      ? undefined
      : sql`coalesce(${entity.body} ->> ${bodyText.key}, ${bodyText.whenAbsent}) = ${bodyText.value}`,
    filter.condition,
  ];
}

/** A LIKE pattern for texts that contain `text` as it is. */
export function containsPattern(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, (char) => `\\${char}`)}%`;
}

interface ColumnPage {
  readonly where: SQL | undefined;
  readonly key: PgColumn | SQL;
  readonly direction: typeof asc;
  readonly offset: number;
  readonly limit: number;
}

function pageByColumn({ where, key, direction, offset, limit }: ColumnPage): SQL {
  return sql`
    select ${entity.id}, ${key} as sort_key from ${entity} where ${where}
    order by ${direction(key)}, ${direction(entity.id)} limit ${limit} offset ${offset}`;
}

/**
 * Members of bodies that lists are sorted by, of whatever kind has them; what lacks one comes last. No index has them: tenants have few of
 * what is sorted by them.
 */
const SORTED_MEMBERS: ReadonlySet<string> = new Set([
  "email",
  "phone",
  "country",
  "state",
  "city",
  "address",
  "address2",
  "zip",
  "description",
  "transportType",
  "tag",
  "url",
  "fileName",
  "contentType",
  "checksum",
  "checksumAlgorithm",
]);

const SORTED_NUMBERS: ReadonlySet<string> = new Set(["dataSize", "mobileOrder"]);
/** What lacks one has it not, and comes first. */
const SORTED_FLAGS: ReadonlySet<string> = new Set(["root", "default", "mobileHide", "debugMode"]);

function sortKey(property: string | undefined, type: EntityFilter["type"]): PgColumn | SQL {
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
    case "tenantId":
      return entity.tenantId;
    case "version":
      // Of a package it is the text that people gave it.
      return type === "OTA_PACKAGE" ? sql`(${entity.body} ->> 'version')` : entity.version;
    case "type":
    case "deviceProfileName":
    case "assetProfileName":
    case "resourceType":
      return entity.subtype;
    default:
      if (SORTED_MEMBERS.has(property)) return sql`(${entity.body} ->> ${property})`;
      if (SORTED_NUMBERS.has(property)) return sql`(${entity.body} ->> ${property})::numeric`;
      if (SORTED_FLAGS.has(property)) return sql`coalesce((${entity.body} ->> ${property})::boolean, false)`;
      throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${property.slice(0, 64)}'!`, {
        field: "sortProperty",
      });
  }
}

/** The names of the profiles in use, in order. */
export async function listSubtypes(
  db: Queryable,
  type: EntityType,
  { tenantId, customerId }: Pick<EntityFilter, "tenantId" | "customerId">,
): Promise<string[]> {
  const rows = await db
    .selectDistinct({ subtype: entity.subtype })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, type),
        customerId === undefined ? undefined : eq(entity.customerId, customerId),
      ),
    )
    .orderBy(asc(entity.subtype));
  return rows.flatMap((row) => row.subtype ?? []);
}

/**
 * Deletes the entity with everything that is its own: credentials, attributes, telemetry, alarms, relations.
 *
 * @throws AppError NOT_FOUND, INVALID_ARGUMENT while something needs it
 */
export async function deleteEntity(tx: Queryable, key: EntityKey): Promise<Outcome<EntityRecord>> {
  const record = await lockEntity(tx, key);
  const user = await findUserOf(tx, record.id);
  if (user !== null) throw inUse(record.entityType, user);
  await eraseEntity(tx, key.id);
  return {
    result: record,
    changes: [entityDeleted(record)],
  };
}

/** The kind of something that needs this entity: it has it as its profile or refers to it; null: nothing does. */
export async function findUserOf(tx: Queryable, id: Uuid): Promise<KindType | null> {
  const [row] = await tx
    .select({ type: entity.entityType })
    .from(entity)
    .where(or(eq(entity.profileId, id), sql`${entity.refersTo} @> array[${id}::uuid]`))
    .limit(1);
  return row !== undefined && isKindType(row.type) ? row.type : null;
}

function inUse(type: KindType, user: KindType): AppError {
  const what = titleOf(type).toLowerCase();
  const text =
    user === "ENTITY_VIEW"
      ? `Can't delete ${what} that has entity views or is referenced in calculated fields!`
      : `The ${what} referenced by the ${titleOf(user).toLowerCase()}s cannot be deleted!`;
  return new AppError("INVALID_ARGUMENT", text);
}

/** Deletes the entity and what is its own, if it is there. */
export async function eraseEntity(tx: Queryable, id: Uuid): Promise<void> {
  await tx.delete(entity).where(eq(entity.id, id));
  await tx.delete(deviceCredentials).where(eq(deviceCredentials.deviceId, id));
  await tx.delete(attribute).where(eq(attribute.entityId, id));
  await tx.delete(telemetryLatest).where(eq(telemetryLatest.entityId, id));
  await tx.delete(telemetry).where(eq(telemetry.entityId, id));
  await eraseAlarmsOf(tx, id);
  await eraseRelationsOf(tx, id);
  await tx.delete(rpc).where(eq(rpc.deviceId, id));
}

/**
 * The change that says what `record` is now. Its text is made when somebody asks for it: most who hear of a change don't, and a dashboard
 * may have 20 MB.
 *
 * @param before what an edit of it began with
 */
export function entitySaved(record: EntityRecord, before?: EntityRecord): EntitySaved {
  // One of the two: a record is not held for its text.
  let said: EntityRecord | string = record;
  return {
    kind: "entity-saved",
    entity: { type: record.entityType, id: record.id },
    get body() {
      said = typeof said === "string" ? said : JSON.stringify(said);
      return said;
    },
    ...(before === undefined ? {} : editOf(record, before)),
  };
}

function editOf(record: EntityRecord, before: EntityRecord): Pick<EntitySaved, "base" | "needs"> {
  const [now, then] = [idsOf(needsOf(record)), idsOf(needsOf(before))];
  const [linksNow, linksThen] = [linksIn(record), linksIn(before)];
  const needs = {
    added: without(now, then),
    dropped: without(then, now),
    addedLinks: without(linksNow, linksThen),
    droppedLinks: without(linksThen, linksNow),
  };
  const base = baseOf(before);
  return Object.values(needs).every((part) => part.length === 0) ? { base } : { base, needs };
}

function without<T>(list: readonly T[], others: readonly T[]): T[] {
  return list.filter((one) => !others.includes(one));
}

export function entityDeleted(record: EntityRecord): EntityRemoved {
  const entityRef = { type: record.entityType, id: record.id };
  return {
    kind: "entity-removed",
    entity: entityRef,
    deleted: true,
    needs: { added: [], dropped: idsOf(needsOf(record)), addedLinks: [], droppedLinks: linksIn(record) },
  };
}

function idsOf(references: readonly Reference[]): Uuid[] {
  return references.map(({ id }) => id);
}

/** Entities and users of one tenant become another's: an edge that learns whose it is. */
export async function moveTenant(tx: Queryable, from: Uuid, to: Uuid): Promise<void> {
  await tx
    .update(entity)
    .set({ tenantId: to })
    .where(and(eq(entity.tenantId, from), ne(entity.tenantId, to)));
  await tx.execute(sql`update app_user set tenant_id = ${to} where tenant_id = ${from}`);
  await moveRelations(tx, from, to);
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
  const refersTo = ENTITY_KINDS[record.entityType].references(record).map(({ id }) => id);
  const links = linksIn(record);
  return {
    ...record,
    content: record.content ?? null,
    refersTo: refersTo.length === 0 ? null : refersTo,
    links: links.length === 0 ? null : links,
    link: linkTo(record),
  };
}

type EntityRow = Omit<typeof entity.$inferSelect, "content"> & { readonly content?: string | null };

function toRecord({ refersTo: _refersTo, links: _links, link: _link, content, ...row }: EntityRow): EntityRecord {
  if (!isKindType(row.entityType)) {
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
    ...(content === undefined || content === null ? {} : { content }),
  };
}
