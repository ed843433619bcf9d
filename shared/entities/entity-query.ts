import * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";

// Queries over entities of all kinds: which, sorted by what, with which of their fields and values. The form is that of the public REST
// convention; what it does not ask for may be missing or null.

const uuid = z.custom<Uuid>((value) => typeof value === "string" && isUuid(value), { error: "Invalid UUID string" });
const ref = z.object({ entityType: z.string().max(64), id: uuid });
const names = z.array(z.string().max(255)).max(1_000);
const name = z.string().max(255).nullish();

/** Filters by the types of one kind: `{"type":"deviceType","deviceTypes":["pump"],"deviceNameFilter":"P"}`. */
const KIND_FILTERS = {
  deviceType: "DEVICE",
  assetType: "ASSET",
  edgeType: "EDGE",
  entityViewType: "ENTITY_VIEW",
} as const;

/** The same among what is related to an entity. */
const SEARCH_FILTERS = {
  deviceSearchQuery: "DEVICE",
  assetSearchQuery: "ASSET",
  edgeSearchQuery: "EDGE",
  entityViewSearchQuery: "ENTITY_VIEW",
} as const;

const kindFields = {
  deviceTypes: names.nullish(),
  deviceType: name,
  deviceNameFilter: name,
  assetTypes: names.nullish(),
  assetType: name,
  assetNameFilter: name,
  edgeTypes: names.nullish(),
  edgeType: name,
  edgeNameFilter: name,
  entityViewTypes: names.nullish(),
  entityViewType: name,
  entityViewNameFilter: name,
};

const relatedFields = {
  rootEntity: ref,
  direction: z.enum(["FROM", "TO"]),
  maxLevel: z.number().int().nullish(),
  fetchLastLevelOnly: z.boolean().nullish(),
};

const filterSchema = z
  .discriminatedUnion("type", [
    z.object({ type: z.literal("singleEntity"), singleEntity: ref }),
    z.object({
      type: z.literal("entityList"),
      entityType: z.string().max(64),
      entityList: z.array(uuid).max(10_000),
    }),
    z.object({ type: z.literal("entityName"), entityType: z.string().max(64), entityNameFilter: z.string().max(255) }),
    z.object({ type: z.literal("entityType"), entityType: z.string().max(64) }),
    z.object({ type: z.enum(Object.keys(KIND_FILTERS) as (keyof typeof KIND_FILTERS)[]), ...kindFields }),
    z.object({
      type: z.literal("relationsQuery"),
      ...relatedFields,
      filters: z
        .array(z.object({ relationType: z.string().max(255).nullish(), entityTypes: names.nullish() }))
        .max(100)
        .nullish(),
    }),
    z.object({
      type: z.enum(Object.keys(SEARCH_FILTERS) as (keyof typeof SEARCH_FILTERS)[]),
      ...relatedFields,
      ...kindFields,
      relationType: z.string().max(255).nullish(),
    }),
  ])
  .meta({ id: "EntityFilter" });

export const KEY_TYPES = [
  "ENTITY_FIELD",
  "ATTRIBUTE",
  "CLIENT_ATTRIBUTE",
  "SHARED_ATTRIBUTE",
  "SERVER_ATTRIBUTE",
  "TIME_SERIES",
] as const;

export const keySchema = z
  .object({ type: z.enum(KEY_TYPES), key: z.string().min(1).max(255) })
  .meta({ id: "EntityKey" });

const scalar = z.union([z.string().max(1_000), z.number(), z.boolean()]);

/** Whose attribute a dynamic value is: of the entity that is looked at, or of who asks; inherited from user to customer to tenant. */
const DYNAMIC_SOURCES = ["CURRENT_DEVICE", "CURRENT_USER", "CURRENT_CUSTOMER", "CURRENT_TENANT"] as const;

export const operandSchema = z.object({
  defaultValue: scalar.nullish(),
  userValue: scalar.nullish(),
  dynamicValue: z
    .object({
      sourceType: z.enum(DYNAMIC_SOURCES).nullish(),
      sourceAttribute: z.string().max(255).nullish(),
      inherit: z.boolean().nullish(),
    })
    .nullish(),
});

const plainPredicate = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("STRING"),
    operation: z.enum(["EQUAL", "NOT_EQUAL", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "NOT_CONTAINS", "IN", "NOT_IN"]),
    value: operandSchema,
    ignoreCase: z.boolean().nullish(),
  }),
  z.object({
    type: z.literal("NUMERIC"),
    operation: z.enum(["EQUAL", "NOT_EQUAL", "GREATER", "LESS", "GREATER_OR_EQUAL", "LESS_OR_EQUAL"]),
    value: operandSchema,
  }),
  z.object({ type: z.literal("BOOLEAN"), operation: z.enum(["EQUAL", "NOT_EQUAL"]), value: operandSchema }),
]);

export type PlainPredicate = z.output<typeof plainPredicate>;

export interface ComplexPredicate {
  readonly type: "COMPLEX";
  readonly operation: "AND" | "OR";
  readonly predicates: readonly QueryPredicate[];
}

export type QueryPredicate = PlainPredicate | ComplexPredicate;

/** How deep COMPLEX ones may lie in each other. */
const PREDICATE_LEVELS_MAX = 5;

function predicateOfLevels(levels: number): z.ZodType<QueryPredicate> {
  let predicate: z.ZodType<QueryPredicate> = plainPredicate;
  for (let level = 0; level < levels; level += 1) {
    const complex = z.object({
      type: z.literal("COMPLEX"),
      operation: z.enum(["AND", "OR"]),
      predicates: z.array(predicate).max(50),
    });
    predicate = z.discriminatedUnion("type", [...plainPredicate.options, complex]);
  }
  return predicate;
}

export const predicateSchema = predicateOfLevels(PREDICATE_LEVELS_MAX);

const keyFilterSchema = z
  .object({
    key: keySchema,
    valueType: z.string().max(64).nullish(),
    predicate: predicateSchema.nullish().meta({ description: "Absent: no condition" }),
  })
  .meta({ id: "KeyFilter" });

export const entityConditions = {
  entityFilter: filterSchema,
  keyFilters: z.array(keyFilterSchema).max(50).nullish(),
  keyFiltersOperation: z.enum(["AND", "OR"]).nullish(),
};

export const entityCountQuery = z.object(entityConditions).meta({ id: "EntityCountQuery" });

const PAGE_SIZE_MAX = 1_024;

export const pageFields = {
  pageSize: z
    .number()
    .int()
    .positive({
      error: (issue) => `Incorrect page link page size '${String(issue.input)}'. Page size must be greater than zero.`,
    })
    .transform((size) => Math.min(size, PAGE_SIZE_MAX)),
  page: z
    .number()
    .int()
    .nonnegative({
      error: (issue) => `Incorrect page link page '${String(issue.input)}'. Page must be positive integer.`,
    }),
  textSearch: z.string().max(255).nullish(),
  dynamic: z.boolean().nullish(),
};

export const entityDataQuery = z
  .object({
    ...entityConditions,
    pageLink: z.object({
      ...pageFields,
      sortOrder: z.object({ key: keySchema, direction: z.enum(["ASC", "DESC"]).nullish() }).nullish(),
    }),
    entityFields: z.array(keySchema).max(100).nullish(),
    latestValues: z.array(keySchema).max(200).nullish(),
  })
  .meta({ id: "EntityDataQuery" });

export type QueryFilter = z.output<typeof filterSchema>;
export type QueryKey = z.output<typeof keySchema>;
export type QueryKeyFilter = z.output<typeof keyFilterSchema>;
export type EntityCountQuery = z.output<typeof entityCountQuery>;
export type EntityDataQuery = z.output<typeof entityDataQuery>;

export interface KindFilter {
  readonly entityType: string;
  /** Empty: all. */
  readonly types: readonly string[];
  readonly namePrefix: string;
}

/** What a filter says of the kind it names; null: it is about several. */
export function kindFilterOf(filter: QueryFilter): KindFilter | null {
  switch (filter.type) {
    case "singleEntity":
      return { entityType: filter.singleEntity.entityType, types: [], namePrefix: "" };
    case "entityName":
      return { entityType: filter.entityType, types: [], namePrefix: filter.entityNameFilter };
    case "entityList":
    case "entityType":
      return { entityType: filter.entityType, types: [], namePrefix: "" };
    case "relationsQuery":
      return null;
    default: {
      const isSearch = filter.type in SEARCH_FILTERS;
      const entityType = { ...KIND_FILTERS, ...SEARCH_FILTERS }[filter.type];
      const word = filter.type.replace(isSearch ? "SearchQuery" : "Type", "") as
        | "device"
        | "asset"
        | "edge"
        | "entityView";
      const one = filter[`${word}Type`];
      const types = filter[`${word}Types`] ?? (one === null || one === undefined ? [] : [one]);
      return { entityType, types, namePrefix: filter[`${word}NameFilter`] ?? "" };
    }
  }
}

const valueSchema = z.object({ ts: z.int(), value: z.string() });

export const entityDataSchema = z
  .object({
    entityId: z.object({ entityType: z.string(), id: z.string() }),
    latest: z.record(z.string(), z.record(z.string(), valueSchema)),
    timeseries: z.record(z.string(), z.array(valueSchema)),
    aggLatest: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "EntityData" });

export type EntityData = z.output<typeof entityDataSchema>;
