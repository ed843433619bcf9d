import type { CanonicalJson } from "./telemetry.ts";

// Numbers of devices, from the text as it was sent to canonical text.

const EXPONENT_MAX = 1000;
const NESTED_LENGTH_MAX = 1000;
/** Digits after the point that a double takes; with more the number is kept as text. */
const SCALE_MAX = 16;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

const SHORT_LONG = /^(?:0|-?[1-9][0-9]{0,17})$/;
const PLAIN_NUMBER = /^-?[0-9]*\.?[0-9]+$/;

/**
 * A JSON number as canonical JSON: a long when it is whole and not written with a point alone, a double otherwise;
 * text with all digits when neither holds it. undefined when its exponent is beyond EXPONENT_MAX.
 */
export function canonicalNumber(lexeme: string): CanonicalJson | undefined {
  if (SHORT_LONG.test(lexeme)) return lexeme as CanonicalJson;
  const { negative, digits, scale, exponent, simpleDouble } = readDecimal(lexeme);
  if (Math.abs(exponent) > EXPONENT_MAX) return digits === "" ? ("0" as CanonicalJson) : undefined;
  const sign = negative && digits !== "" ? "-" : "";
  const significant = digits.replace(/0+$/, "");
  const whole = significant === "" || scale - (digits.length - significant.length) <= 0;
  if (whole && !simpleDouble) {
    const text = sign + plainText(digits, scale).replace(/\..*$/, "");
    return (isLong(text) ? text : `"${text}"`) as CanonicalJson;
  }
  const value = Number(lexeme);
  if (scale > SCALE_MAX || !Number.isFinite(value)) return `"${sign}${plainText(digits, scale)}"` as CanonicalJson;
  return canonicalDouble(value);
}

/** Text that is a plain number (digits, at most one point, a minus; no exponent, plus or space), as that number; else undefined. */
export function canonicalNumericText(content: string): CanonicalJson | undefined {
  return PLAIN_NUMBER.test(content) ? canonicalNumber(content) : undefined;
}

/** Numbers inside JSON values are kept as written, within what PostgreSQL's numeric can hold. */
export function checkNestedNumber(lexeme: string): string | undefined {
  if (lexeme.length > NESTED_LENGTH_MAX) return `a number of at most ${NESTED_LENGTH_MAX} characters inside a value`;
  const exponent = lexeme.length > 2 ? readExponent(lexeme) : 0;
  return Math.abs(exponent) > EXPONENT_MAX ? `an exponent between -${EXPONENT_MAX} and ${EXPONENT_MAX}` : undefined;
}

interface Decimal {
  readonly negative: boolean;
  /** All digits without leading zeros; "" is zero. */
  readonly digits: string;
  /** How many of the digits stand behind the point; negative: so many zeros follow. */
  readonly scale: number;
  readonly exponent: number;
  /** Written with a point and without an exponent. */
  readonly simpleDouble: boolean;
}

function readDecimal(lexeme: string): Decimal {
  const negative = lexeme.startsWith("-");
  const exponentAt = lexeme.search(/[eE]/);
  const mantissa = lexeme.slice(negative ? 1 : 0, exponentAt === -1 ? undefined : exponentAt);
  const exponent = readExponent(lexeme);
  const point = mantissa.indexOf(".");
  const fraction = point === -1 ? "" : mantissa.slice(point + 1);
  const digits = ((point === -1 ? mantissa : mantissa.slice(0, point)) + fraction).replace(/^0+/, "");
  return {
    negative,
    digits,
    scale: fraction.length - exponent,
    exponent,
    simpleDouble: point !== -1 && exponentAt === -1,
  };
}

function readExponent(lexeme: string): number {
  const at = lexeme.search(/[eE]/);
  return at === -1 ? 0 : Number(lexeme.slice(at + 1));
}

/** Digits with the point at its place, without exponent: ("15", 3) is 0.015, ("15", -2) is 1500. */
function plainText(digits: string, scale: number): string {
  if (scale <= 0) return digits === "" ? "0" : digits + "0".repeat(-scale);
  const padded = digits.padStart(scale + 1, "0");
  return `${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}

function isLong(text: string): boolean {
  if (text.length <= 18) return true;
  if (text.length > 20) return false;
  const value = BigInt(text);
  return value >= LONG_MIN && value <= LONG_MAX;
}

/** A finite double: the shortest digits that give it back, with a point and without an exponent. */
export function canonicalDouble(value: number): CanonicalJson {
  const text = String(value === 0 ? 0 : value);
  if (!text.includes("e")) return (text.includes(".") ? text : `${text}.0`) as CanonicalJson;
  const { negative, digits, scale } = readDecimal(text);
  const plain = plainText(digits, scale);
  return `${negative ? "-" : ""}${plain}${plain.includes(".") ? "" : ".0"}` as CanonicalJson;
}
