import type { CanonicalJson } from "./telemetry.ts";
import { KEY_LENGTH_MAX, keySetOf, type TelemetryReading, type TelemetryShortcut } from "./values.ts";

/** Shapes remembered; when full all are forgotten, and come back with the next payloads. */
const SHAPES_MAX = 1024;
const SHAPE_KEYS_MAX = 64;
const SHAPE_LENGTH_MAX = 1024;
/** A long of so many digits fits 64 bits; a decimal of so many comes back from a double as it was. */
const LONG_DIGITS_MAX = 18;
const DOUBLE_DIGITS_MAX = 15;
/** A time of so many digits is before the year 9999. */
const TS_DIGITS_MAX = 14;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const TIMED_START = '{"ts":';
const TIMED_VALUES = ',"values":';

interface Shape {
  readonly keys: readonly string[];
  readonly keySet: string;
}

/**
 * The way of nearly all payloads: flat objects in canonical form already (no whitespace, escapes, nulls, nested values, numbers to
 * convert), alone, with `ts` and `values` in this order, or in an array. Their text is used as it is, and the key set is
 * remembered per sequence of keys. Anything else, right or wrong, is left to values.ts, which gives the same result where both can read.
 *
 * Limits: SHAPES_MAX shapes of SHAPE_KEYS_MAX keys and SHAPE_LENGTH_MAX characters.
 */
export class KeyShapes implements TelemetryShortcut {
  readonly #shapes = new Map<number, Shape>();
  // The object that was scanned last: where its keys begin, how many there are, and their hash.
  readonly #keyStarts = new Int32Array(SHAPE_KEYS_MAX);
  #keyCount = 0;
  #keyHash = 0;

  readTelemetry(text: string, nowMs: number): TelemetryReading[] | undefined {
    const readings: TelemetryReading[] = [];
    if (text.charCodeAt(0) !== OPEN_ARRAY) {
      return this.#readPoint(text, 0, nowMs, readings) === text.length ? readings : undefined;
    }
    let at = 1;
    for (;;) {
      at = this.#readPoint(text, at, nowMs, readings);
      if (at === -1) return undefined;
      const next = text.charCodeAt(at);
      at += 1;
      if (next === CLOSE_ARRAY) return at === text.length ? readings : undefined;
      if (next !== COMMA) return undefined;
    }
  }

  /** Adds the point that begins at `start`; returns the position behind it, or -1. */
  #readPoint(text: string, start: number, nowMs: number, readings: TelemetryReading[]): number {
    if (text.startsWith(TIMED_START, start)) {
      const tsStart = start + TIMED_START.length;
      const tsEnd = endOfDigits(text, tsStart);
      if (text.startsWith(TIMED_VALUES, tsEnd)) {
        if (tsEnd - tsStart > TS_DIGITS_MAX || text.charCodeAt(tsStart) === ZERO) return -1;
        const end = this.#readObject(text, tsEnd + TIMED_VALUES.length, Number(text.slice(tsStart, tsEnd)), readings);
        return end !== -1 && text.charCodeAt(end) === CLOSE_OBJECT ? end + 1 : -1;
      }
    }
    return this.#readObject(text, start, nowMs, readings);
  }

  #readObject(text: string, start: number, tsMs: number, readings: TelemetryReading[]): number {
    const end = this.#scanObject(text, start);
    if (end === -1) return -1;
    const shape = this.#findShape(text);
    if (shape === undefined) return -1;
    const values = (start === 0 && end === text.length ? text : text.slice(start, end)) as CanonicalJson;
    readings.push({ tsMs, values, keySet: shape.keySet });
    return end;
  }

  /** The position behind the flat canonical object at `start`, or -1. */
  #scanObject(text: string, start: number): number {
    if (text.charCodeAt(start) !== OPEN_OBJECT) return -1;
    let at = start + 1;
    let count = 0;
    let hash = 0;
    for (;;) {
      if (text.charCodeAt(at) !== QUOTE || count === SHAPE_KEYS_MAX) return -1;
      at += 1;
      const keyStart = at;
      let code = text.charCodeAt(at);
      while (code !== QUOTE) {
        if (!isPlain(code)) return -1;
        hash = (Math.imul(hash, 31) + code) | 0;
        at += 1;
        code = text.charCodeAt(at);
      }
      if (at === keyStart || at - keyStart > KEY_LENGTH_MAX || text.charCodeAt(at + 1) !== COLON) return -1;
      hash = (Math.imul(hash, 31) + QUOTE) | 0;
      this.#keyStarts[count] = keyStart;
      count += 1;
      at = endOfScalar(text, at + 2);
      if (at === -1) return -1;
      code = text.charCodeAt(at);
      at += 1;
      if (code === CLOSE_OBJECT) break;
      if (code !== COMMA) return -1;
    }
    this.#keyCount = count;
    this.#keyHash = hash;
    return at;
  }

  /** The shape of the object that was scanned last; undefined when it has a key twice, means something else or is too long. */
  #findShape(text: string): Shape | undefined {
    const known = this.#shapes.get(this.#keyHash);
    if (known !== undefined && this.#isShape(text, known)) return known;
    const keys: string[] = [];
    let length = 0;
    for (let index = 0; index < this.#keyCount; index += 1) {
      const start = this.#keyStarts[index] ?? 0;
      const end = text.indexOf('"', start);
      length += end - start;
      keys.push(text.slice(start, end));
    }
    const distinct = new Set(keys);
    if (distinct.size < keys.length || length > SHAPE_LENGTH_MAX) return undefined;
    if (distinct.has("ts") && distinct.has("values")) return undefined;
    const shape = { keys, keySet: keySetOf(keys) };
    if (this.#shapes.size >= SHAPES_MAX) this.#shapes.clear();
    this.#shapes.set(this.#keyHash, shape);
    return shape;
  }

  #isShape(text: string, shape: Shape): boolean {
    if (shape.keys.length !== this.#keyCount) return false;
    for (let index = 0; index < this.#keyCount; index += 1) {
      const key = shape.keys[index] ?? "";
      const start = this.#keyStarts[index] ?? 0;
      if (text.charCodeAt(start + key.length) !== QUOTE || !text.startsWith(key, start)) return false;
    }
    return true;
  }
}

/** Stands in a string as it is: no quote, escape or control character, and no surrogate, which values.ts looks at. */
function isPlain(code: number): boolean {
  return code >= 0x20 && code !== BACKSLASH && (code < 0xd800 || code > 0xdfff);
}

/** The position behind the scalar at `at` if it is canonical, or -1. */
function endOfScalar(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === MINUS || (first >= ZERO && first <= NINE)) return endOfNumber(text, at);
  if (first === QUOTE) return endOfText(text, at + 1);
  if (text.startsWith("true", at)) return at + 4;
  return text.startsWith("false", at) ? at + 5 : -1;
}

/** Text that may be a number (by its first character) is left to values.ts. */
function endOfText(text: string, start: number): number {
  let code = text.charCodeAt(start);
  if (code === MINUS || code === POINT || (code >= ZERO && code <= NINE)) return -1;
  let at = start;
  while (code !== QUOTE) {
    if (!isPlain(code)) return -1;
    at += 1;
    code = text.charCodeAt(at);
  }
  return at + 1;
}

function endOfNumber(text: string, start: number): number {
  const negative = text.charCodeAt(start) === MINUS;
  const wholeStart = negative ? start + 1 : start;
  const wholeEnd = endOfDigits(text, wholeStart);
  const leadingZero = text.charCodeAt(wholeStart) === ZERO;
  if (wholeEnd === wholeStart || (leadingZero && wholeEnd > wholeStart + 1)) return -1;
  const next = text.charCodeAt(wholeEnd);
  if (next !== POINT) {
    if (wholeEnd - wholeStart > LONG_DIGITS_MAX || (negative && leadingZero)) return -1;
    // An exponent fails at the caller, which expects a comma or brace.
    return wholeEnd;
  }
  const fractionStart = wholeEnd + 1;
  const end = endOfDigits(text, fractionStart);
  if (end === fractionStart || end - wholeStart - 1 > DOUBLE_DIGITS_MAX) return -1;
  // 1.50 is written 1.5, and -0.0 is 0.0.
  if (text.charCodeAt(end - 1) === ZERO && (end > fractionStart + 1 || (negative && leadingZero))) return -1;
  return end;
}

function endOfDigits(text: string, start: number): number {
  let at = start;
  for (let code = text.charCodeAt(at); code >= ZERO && code <= NINE; code = text.charCodeAt(at)) at += 1;
  return at;
}
