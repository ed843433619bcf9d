import { sql, type SQL } from "drizzle-orm";
import type { QueryKey, QueryKeyFilter, QueryPredicate } from "../entities/entity-query.ts";
import { arrayParam } from "./array-param.ts";
import { containsPattern } from "./entity-store.ts";

// Conditions on fields and values of entities, for rows `e` of entity-query.ts.

/** A value in the forms that conditions and orders need; null where there is none of that form. */
export interface ValueForms {
  readonly words: SQL;
  readonly number: SQL;
  readonly truth: SQL;
}

const TEXT_FIELDS: Readonly<Record<string, SQL>> = {
  name: sql`e.name`,
  title: sql`e.name`,
  type: sql`e.subtype`,
  label: sql`e.label`,
  entityType: sql`e.entity_type`,
  id: sql`e.id::text`,
};

const SCOPES: Readonly<Record<string, string>> = {
  CLIENT_ATTRIBUTE: "CLIENT_SCOPE",
  SHARED_ATTRIBUTE: "SHARED_SCOPE",
  SERVER_ATTRIBUTE: "SERVER_SCOPE",
};

export function valueForms({ key, type }: QueryKey): ValueForms {
  if (type === "ENTITY_FIELD") {
    if (key === "createdTime")
      return { words: sql`e.created_ms::text`, number: sql`e.created_ms::numeric`, truth: sql`null::boolean` };
    return { words: TEXT_FIELDS[key] ?? sql`null::text`, number: sql`null::numeric`, truth: sql`null::boolean` };
  }
  const value = jsonValue({ key, type });
  const as = (kind: string, form: SQL): SQL => sql`(select ${form} from ${value} where jsonb_typeof(value) = ${kind})`;
  return {
    words: sql`(select value #>> '{}' from ${value})`,
    number: as("number", sql`value::numeric`),
    truth: as("boolean", sql`value::boolean`),
  };
}

function jsonValue({ key, type }: QueryKey): SQL {
  if (type === "TIME_SERIES")
    return sql`(select l.value from telemetry_latest l where l.entity_id = e.id and l.key = ${key}) as given`;
  const scope = SCOPES[type];
  const inScope = scope === undefined ? sql`` : sql`and a.scope = ${scope}`;
  return sql`(
    select a.value from attribute a where a.entity_id = e.id and a.key = ${key} ${inScope} order by a.updated_ms desc limit 1
  ) as given`;
}

/** Filters without a predicate are no condition. */
export function keyConditions(filters: readonly QueryKeyFilter[], operation: "AND" | "OR"): SQL {
  const conditions = filters.flatMap(({ key, predicate }) => {
    if (predicate === null || predicate === undefined) return [];
    const forms = valueForms(key);
    if (predicate.type !== "COMPLEX") return [plainCondition(forms, predicate)];
    return [
      combine(
        predicate.predicates.map((part) => plainCondition(forms, part)),
        predicate.operation,
      ),
    ];
  });
  return combine(conditions, operation);
}

function combine(conditions: readonly SQL[], operation: "AND" | "OR"): SQL {
  if (conditions.length === 0) return sql`true`;
  return sql`(${sql.join([...conditions], sql.raw(` ${operation.toLowerCase()} `))})`;
}

function plainCondition(forms: ValueForms, predicate: QueryPredicate): SQL {
  const given = predicate.value.userValue ?? predicate.value.defaultValue;
  switch (predicate.type) {
    case "NUMERIC": {
      const operator = NUMBER_OPERATORS[predicate.operation];
      const number = Number(given);
      return Number.isFinite(number) ? sql`${forms.number} ${operator} ${String(number)}::numeric` : sql`false`;
    }
    case "BOOLEAN":
      return sql`${forms.truth} ${predicate.operation === "EQUAL" ? sql`=` : sql`<>`} ${given === true || given === "true"}::boolean`;
    case "STRING":
      return textCondition(forms.words, predicate, String(given ?? ""));
    default:
      return predicate satisfies never;
  }
}

const NUMBER_OPERATORS = {
  EQUAL: sql`=`,
  NOT_EQUAL: sql`<>`,
  GREATER: sql`>`,
  LESS: sql`<`,
  GREATER_OR_EQUAL: sql`>=`,
  LESS_OR_EQUAL: sql`<=`,
} as const;

function textCondition(
  words: SQL,
  { ignoreCase, operation }: Extract<QueryPredicate, { type: "STRING" }>,
  text: string,
): SQL {
  const fold = (expression: SQL): SQL => (ignoreCase === true ? sql`lower(${expression})` : expression);
  const subject = fold(words);
  const contains = containsPattern(text);
  const wanted = (pattern: string): SQL => fold(sql`${pattern}::text`);
  const list = (): SQL => {
    const parts = text.split(",").map((part) => part.trim());
    return arrayParam(ignoreCase === true ? parts.map((part) => part.toLowerCase()) : parts, "text");
  };
  switch (operation) {
    case "EQUAL":
      return sql`${subject} = ${wanted(text)}`;
    case "NOT_EQUAL":
      return sql`${subject} <> ${wanted(text)}`;
    case "STARTS_WITH":
      return sql`${subject} like ${wanted(contains.slice(1))}`;
    case "ENDS_WITH":
      return sql`${subject} like ${wanted(contains.slice(0, -1))}`;
    case "CONTAINS":
      return sql`${subject} like ${wanted(contains)}`;
    case "NOT_CONTAINS":
      return sql`${subject} not like ${wanted(contains)}`;
    case "IN":
      return sql`${subject} = any (${list()})`;
    case "NOT_IN":
      return sql`${subject} <> all (${list()})`;
    default:
      return operation satisfies never;
  }
}
