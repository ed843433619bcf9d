import type { CanonicalJson, TelemetryPoint } from "../../entities/telemetry.ts";
import { canonicalDouble } from "../../entities/values-number.ts";
import { kindOf } from "../../entities/values.ts";
import type { WindowFunction, WindowRule } from "./policy.ts";

// A window over the values of a key, as far as it came.

export interface WindowState {
  readonly startMs: number;
  /** Values, whatever they are; those below are of the numbers among them. */
  readonly count: number;
  readonly numbers: number;
  readonly sum: number;
  /** All numbers are longs, and their sum is exact. */
  readonly isWhole: boolean;
  readonly min: CanonicalJson | null;
  readonly max: CanonicalJson | null;
  readonly last: TelemetryPoint;
}

export function windowStart({ ms }: WindowRule, tsMs: number): number {
  return Math.floor(tsMs / ms) * ms;
}

/** Whether a window has something to say of such a value. */
export function takesPart({ functions }: WindowRule, value: CanonicalJson): boolean {
  return isNumber(value) || functions.includes("count") || functions.includes("last");
}

export function addToWindow(state: WindowState | null, startMs: number, point: TelemetryPoint): WindowState {
  const { value } = point;
  const before = state ?? { count: 0, numbers: 0, sum: 0, isWhole: true, min: null, max: null, last: point };
  const last = point.tsMs >= before.last.tsMs ? point : before.last;
  const counted = { ...before, startMs, last, count: before.count + 1 };
  if (!isNumber(value)) return counted;
  const number = Number(value);
  const sum = before.sum + number;
  return {
    ...counted,
    numbers: before.numbers + 1,
    sum,
    isWhole: before.isWhole && kindOf(value) === "long" && Number.isSafeInteger(sum),
    min: before.min === null || number < Number(before.min) ? value : before.min,
    max: before.max === null || number > Number(before.max) ? value : before.max,
  };
}

/** What the window says, each with its name: the first function has that of the key. Functions without a number say nothing. */
export function windowResults(
  state: WindowState,
  key: string,
  { functions }: WindowRule,
): readonly (readonly [key: string, value: CanonicalJson])[] {
  return functions.flatMap((name, index) => {
    const value = resultOf(state, name);
    return value === null ? [] : [[index === 0 ? key : `${key}_${name}`, value] as const];
  });
}

function resultOf(
  { count, isWhole, last, max, min, numbers, sum }: WindowState,
  name: WindowFunction,
): CanonicalJson | null {
  switch (name) {
    case "count":
      return String(count) as CanonicalJson;
    case "last":
      return last.value;
    case "min":
      return min;
    case "max":
      return max;
    case "sum":
      if (numbers === 0) return null;
      return isWhole ? (String(sum) as CanonicalJson) : finite(sum);
    case "avg":
      return numbers === 0 ? null : finite(sum / numbers);
  }
}

function finite(value: number): CanonicalJson | null {
  return Number.isFinite(value) ? canonicalDouble(value) : null;
}

function isNumber(value: CanonicalJson): boolean {
  const kind = kindOf(value);
  return kind === "long" || kind === "double";
}
