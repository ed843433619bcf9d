import { sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { PlainPredicate, QueryKey, QueryKeyFilter, QueryPredicate } from "../entities/entity-query.ts";

// Conditions on fields and values of entities, for rows `e` of entity-query.ts.

/** A value in the forms that conditions and orders need; null where there is none of that form. */
export interface ValueForms {
  readonly words: SQL;
  readonly number: SQL;
  readonly truth: SQL;
}

/** Who asks, for values that are theirs. */
export interface Asker {
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly userId: Uuid | null;
}

const inBody = (key: string): SQL => sql`e.body ->> ${key}`;

const TEXT_FIELDS: Readonly<Record<string, SQL>> = {
  name: sql`e.name`,
  title: sql`e.name`,
  displayName: sql`coalesce(nullif(e.label, ''), e.name)`,
  type: sql`e.subtype`,
  label: sql`e.label`,
  entityType: sql`e.entity_type`,
  id: sql`e.id::text`,
  ownerName: sql`(select o.name from alarm_originator o where o.id = coalesce(e.customer_id, e.tenant_id))`,
  ownerType: sql`case when e.customer_id is null then 'TENANT' else 'CUSTOMER' end`,
  additionalInfo: inBody("additionalInfo"),
  // Of customers.
  ...Object.fromEntries(
    ["country", "state", "city", "address", "address2", "zip", "phone", "email"].map((key) => [key, inBody(key)]),
  ),
};

/** The text of a field of the entity; null where it has none. */
export function fieldText(key: string): SQL {
  return key === "createdTime" ? sql`e.created_ms::text` : (TEXT_FIELDS[key] ?? sql`null::text`);
}

const SCOPES: Readonly<Record<string, string>> = {
  CLIENT_ATTRIBUTE: "CLIENT_SCOPE",
  SHARED_ATTRIBUTE: "SHARED_SCOPE",
  SERVER_ATTRIBUTE: "SERVER_SCOPE",
};

export function valueForms({ key, type }: QueryKey): ValueForms {
  if (type === "ENTITY_FIELD") {
    const number = key === "createdTime" ? sql`e.created_ms::numeric` : sql`null::numeric`;
    return { words: fieldText(key), number, truth: sql`null::boolean` };
  }
  return jsonForms(jsonValue({ key, type }));
}

/** `value` gives one row at most, with the column `value`. */
function jsonForms(value: SQL): ValueForms {
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
export function keyConditions(
  filters: readonly QueryKeyFilter[],
  { operation, asker }: { readonly operation: "AND" | "OR"; readonly asker: Asker },
): SQL {
  const conditions = filters.flatMap(({ key, predicate }) =>
    predicate === null || predicate === undefined ? [] : [conditionOf(valueForms(key), predicate, asker)],
  );
  return combine(conditions, operation);
}

/** As deep as the schema lets predicates be. */
function conditionOf(forms: ValueForms, predicate: QueryPredicate, asker: Asker): SQL {
  if (predicate.type !== "COMPLEX") return plainCondition(forms, predicate, operandForms(predicate.value, asker));
  return combine(
    predicate.predicates.map((part) => conditionOf(forms, part, asker)),
    predicate.operation,
  );
}

function combine(conditions: readonly SQL[], operation: "AND" | "OR"): SQL {
  if (conditions.length === 0) return sql`true`;
  return sql`(${sql.join([...conditions], sql.raw(` ${operation.toLowerCase()} `))})`;
}

/** What a predicate compares with: the value that the user gave, else that of the attribute, else the default. */
function operandForms({ defaultValue, dynamicValue, userValue }: PlainPredicate["value"], asker: Asker): ValueForms {
  const given = userValue ?? defaultValue;
  const number = given === null || given === undefined || given === "" ? Number.NaN : Number(given);
  const literal: ValueForms = {
    words: sql`${String(given ?? "")}::text`,
    number: Number.isFinite(number) ? sql`${String(number)}::numeric` : sql`null::numeric`,
    truth: sql`${given === true || given === "true"}::boolean`,
  };
  const key = dynamicValue?.sourceAttribute ?? "";
  const owners = ownersOf(dynamicValue, asker);
  if ((userValue !== null && userValue !== undefined) || key === "" || owners.length === 0) return literal;
  const forms = owners.map((owner) =>
    jsonForms(sql`(select a.value from attribute a
      where a.entity_id = ${owner} and a.scope = 'SERVER_SCOPE' and a.key = ${key}) as given`),
  );
  const first = (form: keyof ValueForms): SQL =>
    sql`coalesce(${sql.join(
      [...forms, literal].map((one) => one[form]),
      sql`, `,
    )})`;
  return { words: first("words"), number: first("number"), truth: first("truth") };
}

function ownersOf(dynamicValue: PlainPredicate["value"]["dynamicValue"], asker: Asker): SQL[] {
  const chain = (["CURRENT_USER", "CURRENT_CUSTOMER", "CURRENT_TENANT"] as const).map((source) => ({
    source,
    id: { CURRENT_USER: asker.userId, CURRENT_CUSTOMER: asker.customerId, CURRENT_TENANT: asker.tenantId }[source],
  }));
  const source = dynamicValue?.sourceType;
  if (source === "CURRENT_DEVICE") return [sql`e.id`];
  const start = chain.findIndex((link) => link.source === source);
  if (start === -1) return [];
  const links = dynamicValue?.inherit === true ? chain.slice(start) : chain.slice(start, start + 1);
  return links.flatMap(({ id }) => (id === null ? [] : [sql`${id}::uuid`]));
}

function plainCondition(forms: ValueForms, predicate: PlainPredicate, operand: ValueForms): SQL {
  switch (predicate.type) {
    case "NUMERIC":
      return sql`${forms.number} ${NUMBER_OPERATORS[predicate.operation]} ${operand.number}`;
    case "BOOLEAN":
      return sql`${forms.truth} ${predicate.operation === "EQUAL" ? sql`=` : sql`<>`} ${operand.truth}`;
    case "STRING":
      return textCondition(forms.words, predicate, operand.words);
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
  { ignoreCase, operation }: Extract<PlainPredicate, { type: "STRING" }>,
  text: SQL,
): SQL {
  const fold = (expression: SQL): SQL => (ignoreCase === true ? sql`lower(${expression})` : expression);
  const subject = fold(words);
  const wanted = fold(text);
  // A comma list.
  const list = sql`regexp_split_to_array(btrim(${wanted}), '\\s*,\\s*')`;
  switch (operation) {
    case "EQUAL":
      return sql`${subject} = ${wanted}`;
    case "NOT_EQUAL":
      return sql`${subject} <> ${wanted}`;
    case "STARTS_WITH":
      return sql`starts_with(${subject}, ${wanted})`;
    case "ENDS_WITH":
      return sql`right(${subject}, length(${wanted})) = ${wanted}`;
    case "CONTAINS":
      return sql`strpos(${subject}, ${wanted}) > 0`;
    case "NOT_CONTAINS":
      return sql`strpos(${subject}, ${wanted}) = 0`;
    case "IN":
      return sql`${subject} = any (${list})`;
    case "NOT_IN":
      return sql`${subject} <> all (${list})`;
    default:
      return operation satisfies never;
  }
}
