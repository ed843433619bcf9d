import { and, asc, eq, inArray, sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { AttributeEntry, AttributeScope } from "../entities/attributes.ts";
import type { Change, EntityRef } from "../entities/change.ts";
import { isEntityType } from "../entities/entity-types.ts";
import type { CanonicalJson } from "../entities/telemetry.ts";
import type { AttributeReading } from "../entities/values.ts";
import { arrayParam } from "./array-param.ts";
import { fromJsonbText } from "./canonical-column.ts";
import { keepEntities, notFound } from "./entity-store.ts";
import { attribute } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export interface AttributeRow {
  readonly entityId: Uuid;
  readonly scope: AttributeScope;
  readonly key: string;
  readonly value: CanonicalJson;
  readonly updatedMs: number;
}

/** Scopes of an edge's own attributes that it gets from the cloud; nobody sets others. */
export const SENT_EDGE_SCOPES = ["SHARED_SCOPE", "SERVER_SCOPE"] as const satisfies readonly AttributeScope[];

/**
 * Which of two values of a key stays.
 * - local: the one being written, made newer than the stored one if need be, so that a clock that was set back loses no edit
 * - newer: the later one; of two with one time the stored one (the cloud, for what comes from an edge)
 * - newer-or-same: the later one; of two with one time the one being written (an edge, for what comes from the cloud)
 */
export type AttributeRule = "local" | "newer" | "newer-or-same";

/** Writes all rows in one statement. @returns those that stay, with their times; of a key that is given twice the last */
export async function putAttributes(
  tx: Queryable,
  rows: readonly AttributeRow[],
  rule: AttributeRule,
): Promise<AttributeRow[]> {
  const given = keepLast(rows);
  if (given.size === 0) return [];
  const list = [...given.values()];
  const stored = await tx.execute<{ entity_id: Uuid; scope: AttributeScope; key: string; updated_ms: number }>(sql`
    insert into attribute as stored (entity_id, scope, key, value, updated_ms)
    select entity_id, scope, key, value::jsonb, updated_ms
    from unnest(
      ${arrayParam(
        list.map((row) => row.entityId),
        "uuid",
      )}, ${arrayParam(
        list.map((row) => row.scope),
        "text",
      )},
      ${arrayParam(
        list.map((row) => row.key),
        "text",
      )}, ${arrayParam(
        list.map((row) => row.value),
        "text",
      )},
      ${arrayParam(
        list.map((row) => row.updatedMs),
        "bigint",
      )}
    ) as input (entity_id, scope, key, value, updated_ms)
    order by entity_id, scope, key
    on conflict (entity_id, scope, key) do update set value = excluded.value, ${conflictClause(rule)}
    returning entity_id, scope, key, updated_ms`);
  return stored.flatMap((row) => {
    const source = given.get(rowKey({ entityId: row.entity_id, scope: row.scope, key: row.key }));
    return source === undefined ? [] : [{ ...source, updatedMs: row.updated_ms }];
  });
}

function conflictClause(rule: AttributeRule): SQL {
  switch (rule) {
    case "local":
      return sql`updated_ms = greatest(excluded.updated_ms, stored.updated_ms + 1)`;
    case "newer":
      return sql`updated_ms = excluded.updated_ms where excluded.updated_ms > stored.updated_ms`;
    case "newer-or-same":
      return sql`updated_ms = excluded.updated_ms where excluded.updated_ms >= stored.updated_ms`;
    default:
      return rule satisfies never;
  }
}

/** One statement may touch a row once only. */
function keepLast(rows: readonly AttributeRow[]): Map<string, AttributeRow> {
  return new Map(rows.map((row) => [rowKey(row), row]));
}

function rowKey({ entityId, scope, key }: Pick<AttributeRow, "entityId" | "scope" | "key">): string {
  return `${entityId} ${scope} ${key}`;
}

export interface AttributeSave {
  readonly entity: EntityRef;
  readonly scope: AttributeScope;
  readonly readings: readonly AttributeReading[];
  readonly nowMs: number;
  /** Keeps what has them from being deleted meanwhile; false: it is not there. @default for one that is stored as an entity */
  readonly keep?: KeepSubject | undefined;
}

export type KeepSubject = (tx: Queryable, id: Uuid) => Promise<boolean>;

const keepStored: KeepSubject = async (tx, id) => (await keepEntities(tx, [id])).has(id);

/**
 * An edit by a person or a device on this side.
 *
 * @throws AppError NOT_FOUND when the entity is gone
 */
export async function saveAttributes(tx: Queryable, save: AttributeSave): Promise<Outcome<void>> {
  const { entity, scope, readings, nowMs, keep = keepStored } = save;
  if (readings.length === 0) return { result: undefined, changes: [] };
  if (!(await keep(tx, entity.id))) throw unknownEntity(entity);
  const rows = readings.map(({ key, value }) => ({ entityId: entity.id, scope, key, value, updatedMs: nowMs }));
  const stored = await putAttributes(tx, rows, "local");
  return { result: undefined, changes: [attributesSaved(entity, scope, stored)] };
}

function unknownEntity(entity: EntityRef): Error {
  return notFound(isEntityType(entity.type) ? entity.type : "DEVICE", entity.id);
}

export function attributesSaved(entity: EntityRef, scope: AttributeScope, entries: readonly AttributeEntry[]): Change {
  const attributes = entries.map(({ key, value, updatedMs }) => ({ key, value, updatedMs }));
  return { kind: "attributes-saved", entity, scope, attributes };
}

export interface AttributeDelete {
  readonly entity: EntityRef;
  readonly scope: AttributeScope;
  readonly keys: readonly string[];
  readonly keep?: KeepSubject | undefined;
}

/** Keys that are not there are passed over. */
export async function deleteAttributes(
  tx: Queryable,
  { entity, scope, keys, keep = keepStored }: AttributeDelete,
): Promise<Outcome<void>> {
  await keep(tx, entity.id);
  const rows = await tx
    .delete(attribute)
    .where(and(eq(attribute.entityId, entity.id), eq(attribute.scope, scope), inArray(attribute.key, [...keys])))
    .returning({ key: attribute.key });
  if (rows.length === 0) return { result: undefined, changes: [] };
  const deleted = rows.map((row) => row.key).sort();
  return { result: undefined, changes: [{ kind: "attributes-deleted", entity, scope, keys: deleted }] };
}

export interface AttributeQuery {
  readonly entityId: Uuid;
  /** Absent: all. */
  readonly scopes?: readonly AttributeScope[] | undefined;
  /** Absent: all. */
  readonly keys?: readonly string[] | undefined;
}

export async function readAttributeRows(db: Queryable, query: AttributeQuery): Promise<AttributeRow[]> {
  const rows = await db
    .select({
      scope: attribute.scope,
      key: attribute.key,
      value: sql<string>`${attribute.value}::text`,
      updatedMs: attribute.updatedMs,
    })
    .from(attribute)
    .where(attributeCondition(query))
    .orderBy(asc(attribute.scope), asc(attribute.key));
  return rows.map((row) => ({
    entityId: query.entityId,
    // Written from an AttributeScope only.
    scope: row.scope as AttributeScope,
    key: row.key,
    value: fromJsonbText(row.value),
    updatedMs: row.updatedMs,
  }));
}

export async function listAttributeKeys(db: Queryable, query: AttributeQuery): Promise<string[]> {
  const rows = await db
    .selectDistinct({ key: attribute.key })
    .from(attribute)
    .where(attributeCondition(query))
    .orderBy(asc(attribute.key));
  return rows.map((row) => row.key);
}

/** Those of `ids` whose server attribute `active` is true. */
export async function findActive(db: Queryable, ids: readonly Uuid[]): Promise<Set<Uuid>> {
  if (ids.length === 0) return new Set();
  const rows = await db
    .select({ entityId: attribute.entityId })
    .from(attribute)
    .where(
      and(
        inArray(attribute.entityId, [...ids]),
        eq(attribute.scope, "SERVER_SCOPE"),
        eq(attribute.key, "active"),
        sql`${attribute.value} = 'true'::jsonb`,
      ),
    );
  return new Set(rows.map((row) => row.entityId as Uuid));
}

function attributeCondition({ entityId, scopes, keys }: AttributeQuery): SQL | undefined {
  return and(
    eq(attribute.entityId, entityId),
    scopes === undefined ? undefined : inArray(attribute.scope, [...scopes]),
    keys === undefined ? undefined : inArray(attribute.key, [...keys]),
  );
}
