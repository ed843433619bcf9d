/** As much of JSON Schema as the OpenAPI document uses; what an answer has beyond the document is a fault of the document too. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
}

/** Where `value` is not what the schema says, with the path to it; empty: nowhere. */
export function findDifferences(
  value: unknown,
  schema: JsonSchema,
  schemas: Readonly<Record<string, JsonSchema>>,
  path = "answer",
): string[] {
  const within = (part: unknown, partSchema: JsonSchema, name: string): string[] =>
    findDifferences(part, partSchema, schemas, `${path}${name}`);
  if (schema.$ref !== undefined) {
    const named = schemas[schema.$ref.replace("#/components/schemas/", "")];
    return named === undefined ? [`${path}: no schema ${schema.$ref}`] : within(value, named, "");
  }
  if (schema.allOf !== undefined) return schema.allOf.flatMap((part) => within(value, part, ""));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    const tries = choices.map((choice) => within(value, choice, ""));
    if (tries.some((differences) => differences.length === 0)) return [];
    // What is told is the choice that is of its kind at least.
    const isOfKind = (differences: readonly string[]): boolean =>
      differences.every((text) => !text.startsWith(`${path}:`));
    return tries.find(isOfKind) ?? tries[0] ?? [];
  }
  if (schema.const !== undefined && schema.const !== value)
    return [`${path}: expected ${JSON.stringify(schema.const)}`];
  if (schema.enum !== undefined && !schema.enum.includes(value))
    return [`${path}: expected one of ${schema.enum.join(", ")}, got ${JSON.stringify(value)}`];
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOf(type, value)))
    return [`${path}: expected ${types.join(" or ")}, got ${JSON.stringify(value)?.slice(0, 80)}`];
  if (schema.format === "uuid" && !/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(String(value)))
    return [`${path}: expected a uuid, got ${String(value)}`];
  if (Array.isArray(value))
    return value.flatMap((item, index) =>
      within(item, schema.prefixItems?.[index] ?? schema.items ?? {}, `[${index}]`),
    );
  if (typeof value !== "object" || value === null) return [];
  return differencesOfMembers(value as Readonly<Record<string, unknown>>, schema, path).concat(
    Object.entries(value).flatMap(([name, member]) => {
      const { additionalProperties: others = true, properties = {} } = schema;
      const memberSchema = properties[name] ?? (typeof others === "object" ? others : {});
      return within(member, memberSchema, `.${name}`);
    }),
  );
}

function differencesOfMembers(
  value: Readonly<Record<string, unknown>>,
  { additionalProperties, properties, required = [] }: JsonSchema,
  path: string,
): string[] {
  const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${path}.${name} is missing`);
  if (properties === undefined || additionalProperties !== undefined) return missing;
  const more = Object.keys(value).filter((name) => !Object.hasOwn(properties, name));
  return [...missing, ...more.map((name) => `${path}.${name} is not documented`)];
}

function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "null":
      return value === null;
    default:
      return typeof value === type;
  }
}
