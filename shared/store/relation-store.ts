import { and, asc, eq, inArray, lt, or, sql, type SQL } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Change, EntityRef, RelationSaved } from "../entities/change.ts";
import type { Json } from "../entities/entity-record.ts";
import { isKindType } from "../entities/entity-types.ts";
import {
  relationBody,
  type RelationGroup,
  type RelationInput,
  type RelationKey,
  type RelationRecord,
  type StoredRelation,
} from "../entities/relation.ts";
import { relation } from "./relation-tables.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Rows of relations. Whoever writes one holds its ends against deletion until the commit; with an end its relations go.

/** How long it is remembered that a relation was removed: what the other side said before that does not bring it back. */
const REMOVED_KEPT_MS = 90 * 24 * 3_600_000;
const FORGOTTEN_AT_ONCE_MAX = 100;

export interface RelationSave {
  readonly tenantId: Uuid;
  readonly input: RelationInput;
}

/** Makes the relation or replaces it. @throws AppError NOT_FOUND when an end is gone */
export async function saveRelation(
  tx: Queryable,
  deps: StoreDeps,
  save: RelationSave,
): Promise<Outcome<StoredRelation>> {
  const { input, tenantId } = save;
  if (!(await keepEnds(tx, tenantId, input))) throw relationNotFound();
  const { from, to, type, typeGroup, additionalInfo = null } = input;
  const updatedMs = laterThan(await lockRelation(tx, input), deps);
  const record: RelationRecord = { from, to, type, typeGroup, additionalInfo, isRemoved: false, updatedMs };
  return { result: await putRelation(tx, tenantId, record), changes: [relationSaved(record)] };
}

/** @throws AppError NOT_FOUND when there is none */
export async function removeRelation(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, key }: { readonly tenantId: Uuid; readonly key: RelationKey },
): Promise<Outcome<StoredRelation>> {
  const stored = await lockRelation(tx, key);
  if (stored === null || stored.isRemoved || stored.tenantId !== tenantId) throw relationNotFound();
  return markRemoved(tx, deps, { tenantId, stored });
}

/** Removes all relations of an entity that are COMMON. */
export async function removeRelationsOf(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, entityId }: { readonly tenantId: Uuid; readonly entityId: Uuid },
): Promise<Outcome<void>> {
  const rows = await findRelations(tx, tenantId, { entityId, typeGroup: "COMMON" });
  const changes: Change[] = [];
  for (const found of rows) {
    const stored = await lockRelation(tx, found);
    if (stored === null || stored.isRemoved) continue;
    changes.push(...(await markRemoved(tx, deps, { tenantId, stored })).changes);
  }
  return { result: undefined, changes };
}

export interface RelationFilter {
  readonly from?: EntityRef;
  readonly to?: EntityRef;
  /** At either end. */
  readonly entityId?: Uuid;
  readonly type?: string | undefined;
  readonly typeGroup: RelationGroup;
}

/** Those that are there, in the order of their names. */
export async function findRelations(
  db: Queryable,
  tenantId: Uuid,
  { from, to, entityId, type, typeGroup }: RelationFilter,
): Promise<StoredRelation[]> {
  const rows = await db
    .select()
    .from(relation)
    .where(
      and(
        eq(relation.tenantId, tenantId),
        eq(relation.isRemoved, false),
        eq(relation.typeGroup, typeGroup),
        from === undefined ? undefined : and(eq(relation.fromId, from.id), eq(relation.fromType, from.type)),
        to === undefined ? undefined : and(eq(relation.toId, to.id), eq(relation.toType, to.type)),
        entityId === undefined ? undefined : isEnd(entityId),
        type === undefined ? undefined : eq(relation.type, type),
      ),
    )
    .orderBy(asc(relation.type), asc(relation.fromId), asc(relation.toId));
  return rows.map(toRelation);
}

export interface RelationStep {
  readonly ids: readonly Uuid[];
  readonly direction: "FROM" | "TO";
  readonly typeGroup: RelationGroup;
  readonly limit: number;
}

/** Relations that go out from any of these entities (FROM), or lead to one of them (TO). */
export async function stepRelations(
  db: Queryable,
  tenantId: Uuid,
  { ids, direction, typeGroup, limit }: RelationStep,
): Promise<StoredRelation[]> {
  const near = direction === "FROM" ? relation.fromId : relation.toId;
  const rows = await db
    .select()
    .from(relation)
    .where(
      and(
        eq(relation.tenantId, tenantId),
        eq(relation.isRemoved, false),
        eq(relation.typeGroup, typeGroup),
        inArray(near, [...ids]),
      ),
    )
    .orderBy(asc(relation.type), asc(relation.fromId), asc(relation.toId))
    .limit(limit);
  return rows.map(toRelation);
}

/** The relation with this name, removed or not. */
export async function findRelation(db: Queryable, key: RelationKey): Promise<StoredRelation | null> {
  const [row] = await db.select().from(relation).where(hasKey(key));
  return row === undefined ? null : toRelation(row);
}

export interface RelationLoad {
  /** About the row of `relation`. @default all */
  readonly condition?: SQL;
  /** Also those of which it is remembered that they were removed. @default false */
  readonly withRemoved?: boolean;
}

/** All relations of an entity, in any group, in the form of changes. */
export async function loadRelationsOf(
  db: Queryable,
  entityId: Uuid,
  { condition, withRemoved = false }: RelationLoad = {},
): Promise<RelationSaved[]> {
  const rows = await db
    .select()
    .from(relation)
    .where(and(isEnd(entityId), withRemoved ? undefined : eq(relation.isRemoved, false), condition))
    .orderBy(asc(relation.fromId), asc(relation.typeGroup), asc(relation.type), asc(relation.toId));
  return rows.map((row) => relationSaved(toRelation(row)));
}

/** An entity goes: its relations with it. */
export async function eraseRelationsOf(tx: Queryable, entityId: Uuid): Promise<void> {
  await tx.delete(relation).where(isEnd(entityId));
}

export async function moveRelations(tx: Queryable, from: Uuid, to: Uuid): Promise<void> {
  await tx.update(relation).set({ tenantId: to }).where(eq(relation.tenantId, from));
}

/** Writes the row; the ends are held. */
export async function putRelation(tx: Queryable, tenantId: Uuid, record: RelationRecord): Promise<StoredRelation> {
  const { from, to, type, typeGroup, additionalInfo, isRemoved, updatedMs } = record;
  const rest = { fromType: from.type, toType: to.type, tenantId, additionalInfo, isRemoved, updatedMs };
  const version = sql`coalesce((select max(r.version) from relation r where r.tenant_id = ${tenantId}), 0) + 1`;
  const [row] = await tx
    .insert(relation)
    .values({ fromId: from.id, toId: to.id, type, typeGroup, version, ...rest })
    .onConflictDoUpdate({
      target: [relation.fromId, relation.typeGroup, relation.type, relation.toId],
      set: { ...rest, version },
    })
    .returning();
  if (row === undefined) throw new AppError("INTERNAL", "A relation was not written");
  return toRelation(row);
}

/** False when an end is an entity that the tenant does not have here; else both are kept from being deleted until the commit. */
export async function keepEnds(
  tx: Queryable,
  tenantId: Uuid,
  { from, to }: Pick<RelationKey, "from" | "to">,
): Promise<boolean> {
  const ends = [from, to].filter(({ type }) => isKindType(type));
  const ids = ends.map(({ id }) => id);
  const rows = await tx
    .select({ id: entity.id, type: entity.entityType })
    .from(entity)
    .where(and(inArray(entity.id, ids), eq(entity.tenantId, tenantId)))
    .orderBy(asc(entity.id))
    .for("key share");
  return ends.every((end) => rows.some(({ id, type }) => id === end.id && type === end.type));
}

/** With the tenant that it belongs to. */
export async function lockRelation(
  tx: Queryable,
  key: RelationKey,
): Promise<(StoredRelation & { readonly tenantId: Uuid }) | null> {
  const [row] = await tx.select().from(relation).where(hasKey(key)).for("update");
  return row === undefined ? null : { ...toRelation(row), tenantId: row.tenantId as Uuid };
}

export function relationSaved(record: RelationRecord): RelationSaved {
  const { from, to } = record;
  return { kind: "relation-saved", entity: { type: "RELATION", id: from.id }, from, to, body: relationBody(record) };
}

export function relationNotFound(): AppError {
  return new AppError("NOT_FOUND", "Requested item wasn't found!");
}

async function markRemoved(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, stored }: { readonly tenantId: Uuid; readonly stored: StoredRelation },
): Promise<Outcome<StoredRelation>> {
  const record: RelationRecord = { ...stored, isRemoved: true, updatedMs: laterThan(stored, deps) };
  const removed = await putRelation(tx, tenantId, record);
  const old = and(eq(relation.isRemoved, true), lt(relation.updatedMs, record.updatedMs - REMOVED_KEPT_MS));
  const forgotten = tx
    .select({ ctid: sql`ctid` })
    .from(relation)
    .where(old)
    .limit(FORGOTTEN_AT_ONCE_MAX);
  await tx.delete(relation).where(sql`ctid in (${forgotten})`);
  return { result: removed, changes: [relationSaved(record)] };
}

/** A clock that was set back loses no edit. */
function laterThan(stored: StoredRelation | null, { clock }: StoreDeps): number {
  return Math.max(Math.round(clock.nowMs()), (stored?.updatedMs ?? 0) + 1);
}

function isEnd(entityId: Uuid): SQL | undefined {
  return or(eq(relation.fromId, entityId), eq(relation.toId, entityId));
}

function hasKey({ from, to, type, typeGroup }: RelationKey): SQL | undefined {
  return and(
    eq(relation.fromId, from.id),
    eq(relation.typeGroup, typeGroup),
    eq(relation.type, type),
    eq(relation.toId, to.id),
  );
}

function toRelation(row: typeof relation.$inferSelect): StoredRelation {
  const { fromId, fromType, toId, toType, type, typeGroup, additionalInfo, isRemoved, updatedMs, version } = row;
  // Ids are uuid columns, and rows are written from a RelationRecord only.
  return {
    from: { type: fromType, id: fromId as Uuid },
    to: { type: toType, id: toId as Uuid },
    type,
    typeGroup: typeGroup as RelationGroup,
    additionalInfo: additionalInfo as Json,
    isRemoved,
    updatedMs,
    version,
  };
}
