import { AppError } from "../core/errors.ts";
import type { CanonicalJson } from "./telemetry.ts";
import { JsonCursor, parseJsonText } from "./values-cursor.ts";
import { canonicalNumber, canonicalNumericText, checkNestedNumber } from "./values-number.ts";

// Device values: JSON as devices send it, turned into canonical JSON without losing a digit. The rules are those of the public
// device API: a number without a point is a long, one with a point a double, text that is a plain number becomes that number.

/** One point in time out of a telemetry payload. */
export interface TelemetryReading {
  readonly tsMs: number;
  /** A JSON object, key to value. */
  readonly values: CanonicalJson;
  /** The sorted keys of `values`, joined by line feeds. */
  readonly keySet: string;
}

export interface AttributeReading {
  readonly key: string;
  readonly value: CanonicalJson;
}

/** What a null value means: devices may send it and it is left out; over REST it is an error. */
export type NullPolicy = "skip" | "reject";

export interface ReadTelemetryOptions {
  /** Time of objects without their own `ts`. */
  readonly nowMs: number;
  readonly nulls: NullPolicy;
  /** Makes payloads that are canonical already several times faster; keep one per listener. @default none */
  readonly shapes?: TelemetryShortcut;
}

/** Reads what it can in a faster way with the very same result; values-fast.ts has the one there is. */
export interface TelemetryShortcut {
  /** undefined: not a payload for the shortcut, valid or not. */
  readTelemetry(text: string, nowMs: number): TelemetryReading[] | undefined;
}

export type ValueKind = "boolean" | "long" | "double" | "string" | "json";

export const KEY_LENGTH_MAX = 255;
/** The text of the REST convention. */
export const BLANK_KEY = "Key cannot be blank";
/** From 0001-01-01 to 9999-12-31: what every database and calendar can hold; catches times in s, us and ns by name. */
export const TS_MIN_MS = -62_135_596_800_000;
export const TS_MAX_MS = 253_402_300_799_999;

/**
 * The points of a telemetry payload in the order of the text: `{"t":1}`, `{"ts":1700000000000,"values":{"t":1}}`, or an array of both.
 * `ts` counts only together with `values`. Objects without a value give no point. Of a key that is there twice the later value wins;
 * two points of one time are both returned, and the later has to win.
 *
 * @throws AppError INVALID_PAYLOAD that names what was expected and where
 * @example
 * readTelemetry('{"t": 21.0, "n": "7"}', { nowMs: 5, nulls: "skip" });
 * // [{ tsMs: 5, values: '{"t":21.0,"n":7}', keySet: "n\nt" }]
 */
export function readTelemetry(text: string, options: ReadTelemetryOptions): TelemetryReading[] {
  const known = options.shapes?.readTelemetry(text, options.nowMs);
  if (known !== undefined) return known;
  const cursor = new JsonCursor(text);
  const readings: TelemetryReading[] = [];
  const mayBeTimed = (text.includes('"ts"') && text.includes('"values"')) || text.includes("\\");
  const read = (): void => readPoint(cursor, mayBeTimed, options, readings);
  if (cursor.peek() === "[") {
    cursor.eachElement(read);
  } else {
    read();
  }
  cursor.expectEnd();
  return readings;
}

/**
 * The entries of one attributes object `{"fw":"1.2","on":true}`; each key once, the later value wins.
 *
 * @throws AppError INVALID_PAYLOAD that names what was expected and where
 */
export function readAttributes(text: string, options: { readonly nulls: NullPolicy }): AttributeReading[] {
  const cursor = new JsonCursor(text);
  if (cursor.peek() !== "{") throw cursor.error("an object of attributes");
  const members = readMembers(cursor, options.nulls);
  cursor.expectEnd();
  return Array.from(members, ([key, value]) => ({ key, value }));
}

/** One value, by the same rules. @throws AppError INVALID_PAYLOAD */
export function readValue(text: string): CanonicalJson {
  const cursor = new JsonCursor(text);
  const value = readMemberValue(cursor);
  if (value === null) throw new AppError("INVALID_PAYLOAD", "Expected a value, got null");
  cursor.expectEnd();
  return value;
}

/**
 * The members of an object of canonical values, in the order of the text. Takes whitespace too, as PostgreSQL writes it
 * into jsonb, and changes no kind: the text `"7"` stays text.
 */
export function splitValues(values: string): Map<string, CanonicalJson> {
  const cursor = new JsonCursor(values);
  if (cursor.peek() !== "{") throw cursor.error("an object of values");
  const members = new Map<string, CanonicalJson>();
  cursor.eachMember((key) => setLast(members, key, cursor.compactValue(checkNestedNumber)));
  cursor.expectEnd();
  return members;
}

/** The reverse of splitValues. */
export function joinValues(members: Iterable<readonly [string, CanonicalJson]>): CanonicalJson {
  let text = "";
  for (const [key, value] of members) text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${value}`;
  return `{${text}}` as CanonicalJson;
}

/** The sorted keys, joined by line feeds; keys hold none. */
export function keySetOf(keys: Iterable<string>): string {
  return Array.from(keys)
    .toSorted((left, right) => (left < right ? -1 : 1))
    .join("\n");
}

export function kindOf(value: CanonicalJson): ValueKind {
  switch (value.charAt(0)) {
    case "t":
    case "f":
      return "boolean";
    case '"':
      return "string";
    case "{":
    case "[":
      return "json";
    default:
      return value.includes(".") ? "double" : "long";
  }
}

/** The value as plain text, the lenient form of the REST convention: `21.5` for 21.5, `on` for "on", JSON as compact text. */
export function textOf(value: CanonicalJson): string {
  return value.startsWith('"') ? parseJsonText(value) : value;
}

function readPoint(
  cursor: JsonCursor,
  mayBeTimed: boolean,
  options: ReadTelemetryOptions,
  readings: TelemetryReading[],
): void {
  if (cursor.peek() !== "{") throw cursor.error("an object of values, or an array of such objects");
  const timed = mayBeTimed ? findTimed(cursor) : undefined;
  let tsMs = options.nowMs;
  if (timed !== undefined) {
    cursor.position = timed.tsAt;
    tsMs = readTs(cursor);
    cursor.position = timed.valuesAt;
    if (cursor.peek() !== "{") throw cursor.error('an object in "values"');
  }
  const members = readMembers(cursor, options.nulls);
  if (timed !== undefined) cursor.position = timed.end;
  if (members.size === 0) return;
  for (const key of members.keys()) {
    if (key.includes("\n"))
      throw new AppError("INVALID_PAYLOAD", `Expected a key without line feed, got ${JSON.stringify(key)}`);
  }
  readings.push({ tsMs, values: joinValues(members), keySet: keySetOf(members.keys()) });
}

/** Where the last `ts` and `values` of an object that has both begin, and where it ends; the cursor stays at the object. */
function findTimed(cursor: JsonCursor): { tsAt: number; valuesAt: number; end: number } | undefined {
  const start = cursor.position;
  let tsAt: number | undefined;
  let valuesAt: number | undefined;
  cursor.eachMember((key) => {
    if (key === "ts") tsAt = cursor.position;
    if (key === "values") valuesAt = cursor.position;
    cursor.compactValue(checkNestedNumber);
  });
  const end = cursor.position;
  cursor.position = start;
  return tsAt === undefined || valuesAt === undefined ? undefined : { tsAt, valuesAt, end };
}

function readTs(cursor: JsonCursor): number {
  if (!/[-0-9]/.test(cursor.peek())) throw cursor.error('a whole number of ms in "ts"');
  const at = cursor.position;
  const tsMs = Number(cursor.readNumber());
  if (!Number.isInteger(tsMs)) throw cursor.error('a whole number of ms in "ts"', at);
  if (tsMs < TS_MIN_MS || tsMs > TS_MAX_MS)
    throw cursor.error('ms since 1970 between the years 1 and 9999 in "ts"', at);
  return tsMs === 0 ? 0 : tsMs;
}

function readMembers(cursor: JsonCursor, nulls: NullPolicy): Map<string, CanonicalJson> {
  const members = new Map<string, CanonicalJson>();
  cursor.eachMember((key) => {
    if (key.length === 0) throw new AppError("INVALID_PAYLOAD", BLANK_KEY);
    if (key.length > KEY_LENGTH_MAX) {
      throw cursor.error(`a key of 1 to ${KEY_LENGTH_MAX} characters (this one has ${key.length})`);
    }
    const value = readMemberValue(cursor);
    if (value !== null) {
      setLast(members, key, value);
    } else if (nulls === "reject") {
      throw new AppError("INVALID_PAYLOAD", `Expected a value for key ${JSON.stringify(key)}, got null`, {
        field: key,
      });
    } else {
      // The later wins: a null that follows a value of the same key leaves the key out.
      members.delete(key);
    }
  });
  return members;
}

/** A value by the rules for devices; null for null. */
function readMemberValue(cursor: JsonCursor): CanonicalJson | null {
  const first = cursor.peek();
  if (first === '"') {
    const content = cursor.readString();
    return canonicalNumericText(content) ?? (JSON.stringify(content) as CanonicalJson);
  }
  if (first === "-" || (first >= "0" && first <= "9")) {
    const at = cursor.position;
    const value = canonicalNumber(cursor.readNumber());
    if (value === undefined) throw cursor.error("a number with an exponent between -1000 and 1000", at);
    return value;
  }
  const value = cursor.compactValue(checkNestedNumber);
  return value === "null" ? null : value;
}

/** Moves a repeated key to its last place, as if the earlier one had not been sent. */
function setLast(members: Map<string, CanonicalJson>, key: string, value: CanonicalJson): void {
  members.delete(key);
  members.set(key, value);
}
