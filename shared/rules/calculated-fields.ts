import { AppError } from "../core/errors.ts";
import type { AttributeScope } from "../entities/attributes.ts";
import type { Json } from "../entities/entity-record.ts";
import { numberOf } from "./alarm-condition.ts";
import {
  isTelemetry,
  WINDOW_POINTS_MAX,
  type CalculatedArgument,
  type CalculatedField,
  type ReadFields,
} from "./calculated-form.ts";
import type { Cel, CelExpression } from "./cel.ts";
import { RollingWindow, type WindowBounds } from "./rolling-window.ts";

// Calculated fields of a profile, and what is known of one of its devices for them: a reading goes in, derived values come out. Nothing here
// knows a clock, a database or a message.
//
// - A field is worked out when a reading brings one of its telemetry arguments and is not older than the newest that did. What comes late
//   only joins windows: it is history, and nothing that was derived is written anew.
// - A field sees what fields before it derived from the same reading. Fields that would depend on themselves are refused when they are saved.
// - A reading that is further ahead than any clock that was merely set to the wrong zone gives way to whatever comes next.
// - What can't be worked out (a value that is missing, an expression that fails) gives no value.

/** Of readings, beyond the clock of the program. */
export const AHEAD_MAX_MS = 24 * 3_600_000;

/** Types are names of CEL too. */
const TYPE_NAMES: ReadonlySet<string> = new Set(
  "bool int uint double string bytes list map type null_type dyn timestamp duration".split(" "),
);

export interface CompiledField {
  readonly field: CalculatedField;
  readonly expression: CelExpression;
  readonly arguments: readonly (readonly [name: string, argument: CalculatedArgument])[];
  /** Keys of telemetry that it looks at. */
  readonly keys: ReadonlySet<string>;
}

/** @throws AppError INVALID_ARGUMENT for an expression that is none, or names what is no argument */
export function compileField(field: CalculatedField, cel: Cel): CompiledField {
  const expression = cel.compile(field.expression);
  for (const name of expression.names) {
    if (Object.hasOwn(field.arguments, name) || TYPE_NAMES.has(name)) continue;
    throw new AppError("INVALID_ARGUMENT", `The expression names ${name}, which is no argument`);
  }
  const all = Object.entries(field.arguments);
  const keys = all.filter(([, argument]) => isTelemetry(argument)).map(([, { refEntityKey }]) => refEntityKey.key);
  return { field, expression, arguments: all, keys: new Set(keys) };
}

/** A field that can't be compiled is left out, and said in `problems`: the others go on. */
export function compileReadFields(
  read: ReadFields,
  cel: Cel,
): CompiledFields & { readonly problems: readonly string[] } {
  const problems = [...read.problems];
  const fields = read.fields.flatMap((field): readonly CompiledField[] => {
    try {
      return [compileField(field, cel)];
    } catch (thrown) {
      problems.push(`${field.name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return [];
    }
  });
  return { ...compileFields(fields), problems };
}

/** The fields of a device profile, and what they look at. */
export interface CompiledFields {
  /** In an order in which they can be worked out. */
  readonly fields: readonly CompiledField[];
  readonly latestKeys: ReadonlySet<string>;
  readonly attributeKeys: ReadonlySet<string>;
  /** By key; the widest of each. */
  readonly windows: ReadonlyMap<string, WindowBounds>;
}

function compileFields(fields: readonly CompiledField[]): CompiledFields {
  const latestKeys = new Set<string>();
  const attributeKeys = new Set<string>();
  const windows = new Map<string, WindowBounds>();
  for (const [, argument] of fields.flatMap((field) => field.arguments)) {
    const { key, type } = argument.refEntityKey;
    if (type === "TS_LATEST") latestKeys.add(key);
    else if (type === "ATTRIBUTE") attributeKeys.add(key);
    else windows.set(key, widest(windows.get(key), boundsOf(argument)));
  }
  return { fields, latestKeys, attributeKeys, windows };
}

function boundsOf({ limit, timeWindow }: CalculatedArgument): WindowBounds {
  return { lengthMs: timeWindow ?? Infinity, pointsMax: limit ?? WINDOW_POINTS_MAX };
}

function widest(one: WindowBounds | undefined, other: WindowBounds): WindowBounds {
  return {
    lengthMs: Math.max(one?.lengthMs ?? 0, other.lengthMs),
    pointsMax: Math.max(one?.pointsMax ?? 0, other.pointsMax),
  };
}

export interface KnownPoint {
  readonly tsMs: number;
  readonly value: Json;
}

export interface KnownAttribute extends KnownPoint {
  readonly scope: AttributeScope;
  readonly key: string;
}

/** What is known of a device at first. */
export interface FieldKnowledge {
  readonly latest: ReadonlyMap<string, KnownPoint>;
  readonly attributes: readonly KnownAttribute[];
  /** Stored telemetry by key. */
  readonly points: ReadonlyMap<string, readonly KnownPoint[]>;
}

export interface FieldReading {
  readonly tsMs: number;
  readonly values: Readonly<Record<string, Json>>;
  /** On the clock of the program. */
  readonly nowMs: number;
}

export interface Derived {
  readonly field: CompiledField;
  readonly outcome:
    | { readonly ok: true; readonly value: string | number | boolean }
    | { readonly ok: false; readonly reason: string };
}

/** What the fields of one device know. */
export class DeviceFields {
  readonly #compiled: CompiledFields;
  readonly #latest = new Map<string, KnownPoint>();
  readonly #attributes = new Map<string, KnownAttribute>();
  /** By field and argument. */
  readonly #windows = new Map<CalculatedArgument, RollingWindow>();
  /** When each field was worked out last, in time of measurement. */
  readonly #doneMs = new Map<CompiledField, number>();
  #newestMs = -Infinity;

  constructor(compiled: CompiledFields, { attributes, latest, points }: FieldKnowledge) {
    this.#compiled = compiled;
    for (const [key, point] of latest) this.#latest.set(key, point);
    for (const attribute of attributes) this.takeAttribute(attribute);
    for (const field of compiled.fields) {
      for (const [, argument] of field.arguments) {
        if (argument.refEntityKey.type !== "TS_ROLLING") continue;
        const window = new RollingWindow(boundsOf(argument));
        for (const { tsMs, value } of points.get(argument.refEntityKey.key) ?? []) addTo(window, { tsMs, value });
        this.#windows.set(argument, window);
      }
      const times = [...field.keys].map((key) => latest.get(key)?.tsMs ?? -Infinity);
      this.#doneMs.set(field, Math.max(...times));
      this.#newestMs = Math.max(this.#newestMs, ...times);
    }
  }

  /** Points that are held in memory. */
  get points(): number {
    let sum = 0;
    for (const window of this.#windows.values()) sum += window.size;
    return sum;
  }

  /** @returns what follows from a reading, in the order of the fields */
  take({ nowMs, tsMs, values }: FieldReading): readonly Derived[] {
    if (this.#newestMs > nowMs + AHEAD_MAX_MS && tsMs < this.#newestMs) this.#forgetAfter(tsMs);
    this.#newestMs = Math.max(this.#newestMs, tsMs);
    const known: Record<string, Json> = { ...values };
    const derived: Derived[] = [];
    for (const key of Object.keys(values)) this.#takeValue(key, { tsMs, value: values[key] ?? null });
    for (const field of this.#compiled.fields) {
      if (![...field.keys].some((key) => Object.hasOwn(known, key))) continue;
      if (tsMs < (this.#doneMs.get(field) ?? -Infinity)) continue;
      this.#doneMs.set(field, tsMs);
      const outcome = this.#workOut(field, tsMs);
      if (outcome === null) continue;
      derived.push({ field, outcome });
      if (!outcome.ok) continue;
      const { name } = field.field.output;
      known[name] = outcome.value;
      this.#takeValue(name, { tsMs, value: outcome.value });
    }
    return derived;
  }

  takeAttribute(attribute: KnownAttribute): void {
    if (this.#compiled.attributeKeys.has(attribute.key))
      this.#attributes.set(`${attribute.scope}/${attribute.key}`, attribute);
  }

  dropAttributes(scope: AttributeScope, keys: readonly string[]): void {
    for (const key of keys) this.#attributes.delete(`${scope}/${key}`);
  }

  #forgetAfter(tsMs: number): void {
    this.#newestMs = tsMs;
    for (const window of this.#windows.values()) window.dropAfter(tsMs);
    for (const [key, point] of this.#latest) if (point.tsMs > tsMs) this.#latest.delete(key);
    for (const [field, doneMs] of this.#doneMs) if (doneMs > tsMs) this.#doneMs.set(field, -Infinity);
  }

  #takeValue(key: string, point: KnownPoint): void {
    const before = this.#latest.get(key);
    if (this.#compiled.latestKeys.has(key) && (before === undefined || before.tsMs <= point.tsMs))
      this.#latest.set(key, point);
    for (const [argument, window] of this.#windows) if (argument.refEntityKey.key === key) addTo(window, point);
  }

  /** null: an argument is missing. */
  #workOut({ arguments: all, expression, field }: CompiledField, tsMs: number): Derived["outcome"] | null {
    const variables: Record<string, Json> = {};
    for (const [name, argument] of all) {
      const value = this.#valueOf(argument, tsMs) ?? argument.defaultValue ?? null;
      if (value === null) return null;
      variables[name] = value;
    }
    const outcome = expression.evaluate(variables);
    return outcome.ok ? readOutput(outcome.value, field.output.decimalsByDefault ?? null) : outcome;
  }

  #valueOf(argument: CalculatedArgument, tsMs: number): Json | undefined {
    const { key, scope, type } = argument.refEntityKey;
    if (type === "TS_LATEST") return readable(this.#latest.get(key)?.value);
    if (type === "ATTRIBUTE") return readable(this.#attribute(key, scope ?? null));
    const window = this.#windows.get(argument);
    window?.passTo(tsMs);
    return window === undefined ? undefined : { ...window.facts() };
  }

  #attribute(key: string, scope: AttributeScope | null): Json | undefined {
    if (scope !== null) return this.#attributes.get(`${scope}/${key}`)?.value;
    let newest: KnownAttribute | undefined;
    for (const attribute of this.#attributes.values())
      if (attribute.key === key && (newest === undefined || attribute.tsMs > newest.tsMs)) newest = attribute;
    return newest?.value;
  }
}

function addTo(window: RollingWindow, { tsMs, value }: KnownPoint): void {
  const number = typeof value === "boolean" ? Number(value) : numberOf(value);
  if (number !== undefined) window.add(tsMs, number);
}

/** Numbers with more digits than JSON numbers keep are texts. */
function readable(value: Json | undefined): Json | undefined {
  return typeof value === "string" ? (numberOf(value) ?? value) : value;
}

function readOutput(value: Json, decimals: number | null): Derived["outcome"] {
  if (typeof value === "number")
    return { ok: true, value: decimals === null ? value : Number(value.toFixed(decimals)) };
  if (typeof value === "string" || typeof value === "boolean") return { ok: true, value };
  return { ok: false, reason: "The expression gave no number, text or boolean" };
}
