import type { AlarmSeverity } from "../entities/alarm.ts";
import type { PlainPredicate, QueryPredicate } from "../entities/entity-query.ts";
import type { Json } from "../entities/entity-record.ts";
import type { AlarmCondition, AlarmKeyFilter } from "./alarm-rule.ts";
import type { Cel } from "./cel.ts";

// Conditions of alarm rules, made into functions once, since each message of a device asks all of them.

/** Values by their key. */
export interface Values {
  get(key: string): Json | undefined;
}

/** What conditions look at: the newest of everything that is known of a device. */
export interface DeviceFacts {
  readonly telemetry: Values;
  /** Of all scopes; of one key in two of them the newer. */
  readonly attributes: Values;
  /** Server attributes of who owns the device. */
  readonly customerAttributes: Values;
  readonly tenantAttributes: Values;
  /** name, type, label, … */
  readonly fields: ReadonlyMap<string, Json>;
}

export type Condition = (facts: DeviceFacts) => boolean;
/** undefined: there is no such value now. */
export type Operand = (facts: DeviceFacts) => Json | undefined;

/** Which values a rule names, gathered while it is compiled. */
export class NamedKeys {
  readonly telemetry = new Set<string>();
  readonly attributes = new Set<string>();
  readonly customerAttributes = new Set<string>();
  readonly tenantAttributes = new Set<string>();
}

export type OperandForm = PlainPredicate["value"];

export interface ConditionContext {
  readonly keys: NamedKeys;
  /** null: it was not loaded, because no rule needed it. */
  readonly cel: Cel | null;
}

/** All of the list, and the expression. A value that is missing, or of the wrong kind, fulfils nothing. @throws AppError of Cel.compile */
export function compileCondition(form: AlarmCondition, context: ConditionContext): Condition {
  const conditions = (form.condition ?? []).map((filter) => compileFilter(filter, context));
  const { expression } = form;
  if (expression !== null && expression !== undefined)
    conditions.push(compileExpression(expression.expression, context));
  const [only] = conditions;
  if (only !== undefined && conditions.length === 1) return only;
  return (facts) => conditions.every((condition) => condition(facts));
}

function compileFilter({ key, predicate, value, valueType }: AlarmKeyFilter, { keys }: ConditionContext): Condition {
  return compilePredicate(predicate, { subject: subjectOf({ key, value }, keys), valueType, keys });
}

function subjectOf({ key: { key, type }, value }: Pick<AlarmKeyFilter, "key" | "value">, keys: NamedKeys): Operand {
  switch (type) {
    case "TIME_SERIES":
      keys.telemetry.add(key);
      return ({ telemetry }) => telemetry.get(key);
    case "ATTRIBUTE":
      keys.attributes.add(key);
      return ({ attributes }) => attributes.get(key);
    case "ENTITY_FIELD":
      return ({ fields }) => fields.get(key);
    case "CONSTANT":
      return () => value ?? undefined;
    default:
      return type satisfies never;
  }
}

interface PredicateContext {
  readonly subject: Operand;
  readonly valueType: AlarmKeyFilter["valueType"];
  readonly keys: NamedKeys;
}

/** As deep as the schema lets predicates be. */
function compilePredicate(predicate: QueryPredicate, context: PredicateContext): Condition {
  if (predicate.type === "COMPLEX") {
    const parts = predicate.predicates.map((part) => compilePredicate(part, context));
    return predicate.operation === "AND"
      ? (facts) => parts.every((part) => part(facts))
      : (facts) => parts.some((part) => part(facts));
  }
  const { subject } = context;
  const operand = compileOperand(predicate.value, context.keys);
  switch (predicate.type) {
    case "NUMERIC":
      return compare({ subject, operand, read: numberOf, holds: NUMBERS[predicate.operation] });
    case "BOOLEAN":
      return compare({ subject, operand, read: truthOf, holds: TRUTHS[predicate.operation] });
    case "STRING": {
      const read = predicate.ignoreCase === true ? (value: Json) => textOf(value).toLowerCase() : textOf;
      return compare({ subject, operand, read, holds: TEXTS[predicate.operation] });
    }
    default:
      return predicate satisfies never;
  }
}

interface Comparison<T> {
  readonly subject: Operand;
  readonly operand: Operand;
  /** undefined: it is of the wrong kind. */
  readonly read: (value: Json) => T | undefined;
  readonly holds: (left: T, right: T) => boolean;
}

function compare<T>({ subject, operand, read, holds }: Comparison<T>): Condition {
  const readFrom = (source: Operand, facts: DeviceFacts): T | undefined => {
    const value = source(facts);
    return value === undefined || value === null ? undefined : read(value);
  };
  return (facts) => {
    const left = readFrom(subject, facts);
    if (left === undefined) return false;
    const right = readFrom(operand, facts);
    return right !== undefined && holds(left, right);
  };
}

const NUMBERS = {
  EQUAL: (left: number, right: number) => left === right,
  NOT_EQUAL: (left: number, right: number) => left !== right,
  GREATER: (left: number, right: number) => left > right,
  LESS: (left: number, right: number) => left < right,
  GREATER_OR_EQUAL: (left: number, right: number) => left >= right,
  LESS_OR_EQUAL: (left: number, right: number) => left <= right,
} as const;

const TRUTHS = {
  EQUAL: (left: boolean, right: boolean) => left === right,
  NOT_EQUAL: (left: boolean, right: boolean) => left !== right,
} as const;

const TEXTS = {
  EQUAL: (left: string, right: string) => left === right,
  NOT_EQUAL: (left: string, right: string) => left !== right,
  STARTS_WITH: (left: string, right: string) => left.startsWith(right),
  ENDS_WITH: (left: string, right: string) => left.endsWith(right),
  CONTAINS: (left: string, right: string) => left.includes(right),
  NOT_CONTAINS: (left: string, right: string) => !left.includes(right),
  IN: (left: string, right: string) => listOf(right).includes(left),
  NOT_IN: (left: string, right: string) => !listOf(right).includes(left),
} as const;

/** `a, b` */
function listOf(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

/** A number, or a text that is one. */
export function numberOf(value: Json): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function truthOf(value: Json): boolean | undefined {
  if (typeof value === "boolean") return value;
  return value === "true" ? true : value === "false" ? false : undefined;
}

function textOf(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What a predicate compares with: what the user gave, else the attribute, else the default. */
export function compileOperand({ defaultValue, dynamicValue, userValue }: OperandForm, keys: NamedKeys): Operand {
  const fallback = defaultValue ?? undefined;
  if (userValue !== null && userValue !== undefined) return () => userValue;
  const sources = compileSources(dynamicValue, keys);
  if (sources.length === 0) return () => fallback;
  return (facts) => {
    for (const source of sources) {
      const value = source(facts);
      if (value !== undefined && value !== null) return value;
    }
    return fallback;
  };
}

export interface DynamicForm {
  readonly sourceType?: string | null | undefined;
  readonly sourceAttribute?: string | null | undefined;
  readonly inherit?: boolean | null | undefined;
}

/** The attribute, and with `inherit` those of the same name of the customer and the tenant. Users there are none when a device sends. */
export function compileSources(form: DynamicForm | null | undefined, keys: NamedKeys): readonly Operand[] {
  const key = form?.sourceAttribute ?? "";
  const start = SOURCES.findIndex(({ type }) => type === form?.sourceType);
  if (key === "" || start < 0) return [];
  return SOURCES.slice(start, form?.inherit === true ? undefined : start + 1).map(({ facts: name }) => {
    keys[name].add(key);
    return (facts: DeviceFacts) => facts[name].get(key);
  });
}

const SOURCES = [
  { type: "CURRENT_DEVICE", facts: "attributes" },
  { type: "CURRENT_CUSTOMER", facts: "customerAttributes" },
  { type: "CURRENT_TENANT", facts: "tenantAttributes" },
] as const;

function compileExpression(text: string, { cel, keys }: ConditionContext): Condition {
  if (cel === null) throw new TypeError("CEL has to be loaded before a rule that uses it");
  const expression = cel.compile(text);
  const telemetry = [...(expression.members.get("telemetry") ?? [])];
  const attributes = [...(expression.members.get("attributes") ?? [])];
  for (const key of telemetry) keys.telemetry.add(key);
  for (const key of attributes) keys.attributes.add(key);
  return (facts) => {
    const outcome = expression.evaluate({
      telemetry: pick(facts.telemetry, telemetry),
      attributes: pick(facts.attributes, attributes),
      device: Object.fromEntries(facts.fields),
    });
    return outcome.ok && outcome.value === true;
  };
}

function pick(values: Values, keys: readonly string[]): { readonly [key: string]: Json } {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = values.get(key);
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}

/** `T is ${temperature}` with the values of now; what is not known stays as it is written. */
export function fillTemplate(template: string, { attributes, telemetry }: DeviceFacts): string {
  return template.replaceAll(/\$\{([^{}]+)\}/g, (whole, name: string) => {
    const value = telemetry.get(name.trim()) ?? attributes.get(name.trim());
    return value === undefined ? whole : textOf(value);
  });
}

/** Keys that a template names. */
export function templateKeys(template: string): readonly string[] {
  return Array.from(template.matchAll(/\$\{([^{}]+)\}/g), ([, name = ""]) => name.trim());
}

/** What a condition is of. */
export type PartName = AlarmSeverity | "CLEAR";
