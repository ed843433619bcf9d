import { sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { AttributeScope } from "../entities/attributes.ts";
import {
  kindFilterOf,
  type EntityCountQuery,
  type EntityData,
  type EntityDataQuery,
  type QueryFilter,
  type QueryKey,
} from "../entities/entity-query.ts";
import { textOf } from "../entities/values.ts";
import { arrayParam } from "./array-param.ts";
import { containsPattern, toPage, type Page } from "./entity-store.ts";
import { fieldText, keyConditions, valueForms, type Asker } from "./key-filters.ts";
import { readAttributesOf, readLatestOf } from "./live-data.ts";
import type { Queryable } from "./unit-of-work.ts";

// Entities of any kind by what they are, how they are related and which values they have. Every statement is about rows `e`, which have the
// columns of `entity` that ENTITY_COLUMNS names.

/** Kinds that lie in tables of their own, by type: a table expression with the columns of ENTITY_COLUMNS. */
export type EntitySources = Readonly<Record<string, SQL>>;

/** Whose entities are looked at. */
export interface QueryScope {
  readonly tenantId: Uuid;
  /** Of a customer user: what its customer has. */
  readonly customerId?: Uuid;
}

export interface QueryContext {
  readonly scope: QueryScope;
  readonly asker: Asker;
  /** @default none */
  readonly sources?: EntitySources | undefined;
}

const LEVELS_MAX = 10;
/** Entities whose keys are looked through. */
const KEYS_OF_MAX = 1_000;

export async function countEntities(db: Queryable, context: QueryContext, query: EntityCountQuery): Promise<number> {
  const [row] = await db.execute<{ count: number }>(sql`
    select count(*) as count from ${sourceOf(query.entityFilter, context)} where ${conditionsOf(query, context)}`);
  return row?.count ?? 0;
}

interface FoundRow extends Record<string, unknown> {
  id: Uuid;
  entity_type: string;
  /** JSON of the texts of the fields that were asked for, in their order. */
  fields: string;
}

export async function findEntityData(
  db: Queryable,
  context: QueryContext,
  query: EntityDataQuery,
): Promise<Page<EntityData>> {
  const { page, pageSize, textSearch } = query.pageLink;
  const search =
    textSearch === null || textSearch === undefined || textSearch === "" ? null : containsPattern(textSearch);
  const where = sql`${conditionsOf(query, context)} and ${
    search === null ? sql`true` : sql`lower(concat_ws(E'\\n', e.name, e.label, e.subtype)) like lower(${search}::text)`
  }`;
  const source = sourceOf(query.entityFilter, context);
  const keys = [...(query.entityFields ?? []), ...(query.latestValues ?? [])];
  const fieldKeys = [...new Set(keys.filter(({ type }) => type === "ENTITY_FIELD").map(({ key }) => key))];
  const fields = sql`json_build_array(${sql.join(fieldKeys.map(fieldText), sql`, `)})::text`;
  const [rows, totals] = await Promise.all([
    db.execute<FoundRow>(sql`
      select e.id, e.entity_type, ${fields} as fields from ${source} where ${where}
      order by ${orderOf(query)} limit ${pageSize}::int offset ${pageSize * page}::bigint`),
    db.execute<{ count: number }>(sql`select count(*) as count from ${source} where ${where}`),
  ]);
  const data = await readValues(db, rows, { keys, fieldKeys });
  return toPage(data, totals[0]?.count ?? 0, { page, pageSize });
}

/** Names of what the first of the entities have. @param scope of the attributes; undefined: all */
export async function findEntityKeys(
  db: Queryable,
  context: QueryContext,
  query: EntityCountQuery,
  scope?: AttributeScope,
): Promise<{ readonly timeseries: string[]; readonly attribute: string[]; readonly entityTypes: string[] }> {
  const found = await db.execute<{ id: Uuid; entity_type: string }>(sql`
    select e.id, e.entity_type from ${sourceOf(query.entityFilter, context)} where ${conditionsOf(query, context)}
    order by e.id limit ${KEYS_OF_MAX}`);
  const ids = arrayParam(
    found.map(({ id }) => id),
    "uuid",
  );
  const keysIn = async (table: SQL, condition = sql`true`): Promise<string[]> => {
    const rows = await db.execute<{ key: string }>(sql`
      select distinct key from ${table} where entity_id = any (${ids}) and ${condition} order by key`);
    return rows.map(({ key }) => key);
  };
  const inScope = scope === undefined ? sql`true` : sql`scope = ${scope}`;
  const [timeseries, attribute] = await Promise.all([keysIn(sql`telemetry_latest`), keysIn(sql`attribute`, inScope)]);
  return { timeseries, attribute, entityTypes: [...new Set(found.map((row) => row.entity_type))].toSorted() };
}

/** For other statements: a query of the ids of what the filter finds. */
export function matchingIds(query: EntityCountQuery, context: QueryContext): SQL {
  return sql`(select e.id from ${sourceOf(query.entityFilter, context)} where ${conditionsOf(query, context)})`;
}

const ENTITY_COLUMNS = sql`id, entity_type, tenant_id, customer_id, name, subtype, label, created_ms, body`;

function sourceOf(filter: QueryFilter, { sources = {} }: QueryContext): SQL {
  const own = sources[kindFilterOf(filter)?.entityType ?? ""];
  if (own !== undefined) return sql`${own} as e`;
  if (filter.type !== "relationsQuery") return sql`entity as e`;
  const all = [sql`entity`, ...Object.values(sources)].map(
    (source) => sql`select ${ENTITY_COLUMNS} from ${source} as any_kind`,
  );
  return sql`(${sql.join(all, sql` union all `)}) as e`;
}

function conditionsOf({ entityFilter, keyFilters, keyFiltersOperation }: EntityCountQuery, context: QueryContext): SQL {
  return sql.join(
    [
      visibleIn(context.scope),
      kindCondition(entityFilter),
      listCondition(entityFilter),
      relatedCondition(entityFilter, context.scope.tenantId),
      keyConditions(keyFilters ?? [], { operation: keyFiltersOperation ?? "AND", asker: context.asker }),
    ],
    sql` and `,
  );
}

function visibleIn({ customerId, tenantId }: QueryScope): SQL {
  const ofTenant = sql`e.tenant_id = ${tenantId}::uuid`;
  if (customerId === undefined) return ofTenant;
  return sql`${ofTenant} and case e.entity_type
    when 'CUSTOMER' then e.id = ${customerId}::uuid
    when 'DASHBOARD' then coalesce(e.body::jsonb -> 'customerIds' ? ${customerId}::text, false)
    else e.entity_type = any ('{DEVICE,ASSET,ENTITY_VIEW,EDGE}'::text[]) and e.customer_id = ${customerId}::uuid end`;
}

function kindCondition(filter: QueryFilter): SQL {
  const kind = kindFilterOf(filter);
  if (kind === null) return sql`true`;
  const ofType = sql`e.entity_type = ${kind.entityType}`;
  const ofSubtype = kind.types.length === 0 ? sql`true` : sql`e.subtype = any (${arrayParam(kind.types, "text")})`;
  const prefix = containsPattern(kind.namePrefix).slice(1);
  const named = kind.namePrefix === "" ? sql`true` : sql`lower(e.name) like lower(${prefix}::text)`;
  return sql`${ofType} and ${ofSubtype} and ${named}`;
}

function listCondition(filter: QueryFilter): SQL {
  if (filter.type === "singleEntity") return sql`e.id = ${filter.singleEntity.id}::uuid`;
  if (filter.type === "entityList") return sql`e.id = any (${arrayParam(filter.entityList, "uuid")})`;
  return sql`true`;
}

/** What can be reached from the root over relations of the group COMMON; the root itself is none of it. */
function relatedCondition(filter: QueryFilter, tenantId: Uuid): SQL {
  if (!("rootEntity" in filter)) return sql`true`;
  const levels = Math.min(
    filter.maxLevel === null || filter.maxLevel === undefined || filter.maxLevel < 1 ? LEVELS_MAX : filter.maxLevel,
    LEVELS_MAX,
  );
  const [near, far, farType] =
    filter.direction === "FROM"
      ? [sql`r.from_id`, sql`r.to_id`, sql`r.to_type`]
      : [sql`r.to_id`, sql`r.from_id`, sql`r.from_type`];
  const isOne = sql`r.tenant_id = ${tenantId}::uuid and r.type_group = 'COMMON' and not r.is_removed`;
  const lastOnly = filter.fetchLastLevelOnly === true ? sql`level = (select max(level) from related)` : sql`true`;
  return sql`e.id in (
    with recursive related as (
      select ${far} as id, ${farType} as entity_type, r.type, 1 as level from relation r
      where ${isOne} and ${near} = ${filter.rootEntity.id}::uuid
      union
      select ${far}, ${farType}, r.type, related.level + 1 from relation r join related on ${near} = related.id
      where ${isOne} and related.level < ${levels}::int
    )
    select id from related where ${lastOnly} and ${relationMatches(filter)}) and e.id <> ${filter.rootEntity.id}::uuid`;
}

type RelatedFilter = Extract<QueryFilter, { rootEntity: unknown }>;

function relationMatches(filter: RelatedFilter): SQL {
  const wanted =
    filter.type === "relationsQuery"
      ? (filter.filters ?? [])
      : [{ relationType: filter.relationType, entityTypes: undefined }];
  const matches = wanted.map(({ entityTypes, relationType }) => {
    const ofType =
      relationType === null || relationType === undefined || relationType === ""
        ? sql`true`
        : sql`type = ${relationType}`;
    const ofKind =
      (entityTypes ?? []).length === 0 ? sql`true` : sql`entity_type = any (${arrayParam(entityTypes ?? [], "text")})`;
    return sql`(${ofType} and ${ofKind})`;
  });
  return matches.length === 0 ? sql`true` : sql`(${sql.join(matches, sql` or `)})`;
}

/** Numbers before words, what has no value last. */
function orderOf({ pageLink: { sortOrder } }: EntityDataQuery): SQL {
  if (sortOrder === null || sortOrder === undefined) return sql`e.id`;
  const direction = sortOrder.direction === "DESC" ? sql`desc nulls last` : sql`asc nulls last`;
  const { number, words } = valueForms(sortOrder.key);
  const isField = sortOrder.key.type === "ENTITY_FIELD";
  if (isField) return sql`${sortOrder.key.key === "createdTime" ? sql`e.created_ms` : words} ${direction}, e.id`;
  return sql`${number} ${direction}, ${words} ${direction}, e.id`;
}

async function readValues(
  db: Queryable,
  rows: readonly FoundRow[],
  { keys, fieldKeys }: { readonly keys: readonly QueryKey[]; readonly fieldKeys: readonly string[] },
): Promise<EntityData[]> {
  const ids = rows.map(({ id }) => id);
  const has = (test: (key: QueryKey) => boolean): boolean => ids.length > 0 && keys.some(test);
  const [latest, attributes] = await Promise.all([
    has(({ type }) => type === "TIME_SERIES") ? readLatestOf(db, ids) : [],
    has(({ type }) => type.endsWith("ATTRIBUTE")) ? readAttributesOf(db, ids) : [],
  ]);
  const values = new Map<string, { readonly ts: number; readonly value: string }>();
  for (const row of latest)
    values.set(`TIME_SERIES ${row.entityId} ${row.key}`, { ts: row.tsMs, value: textOf(row.value) });
  for (const row of attributes) {
    const known = { ts: row.updatedMs, value: textOf(row.value) };
    values.set(`${row.scope.replace("_SCOPE", "_ATTRIBUTE")} ${row.entityId} ${row.key}`, known);
    const place = `ATTRIBUTE ${row.entityId} ${row.key}`;
    if ((values.get(place)?.ts ?? -1) < known.ts) values.set(place, known);
  }
  return rows.map((row) => {
    const found: EntityData["latest"] = {};
    const fields = JSON.parse(row.fields) as readonly (string | null)[]; // made by json_build_array
    for (const { key, type } of keys) {
      const value =
        type === "ENTITY_FIELD"
          ? { ts: 0, value: fields[fieldKeys.indexOf(key)] ?? "" }
          : values.get(`${type} ${row.id} ${key}`);
      (found[type] ??= {})[key] = value ?? { ts: 0, value: "" };
    }
    return { entityId: { entityType: row.entity_type, id: row.id }, latest: found, timeseries: {}, aggLatest: {} };
  });
}
