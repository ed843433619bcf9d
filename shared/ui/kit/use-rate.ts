import { useRef } from "preact/hooks";

export interface Rate {
  /** Change a second, over the last half minute; null until there are two samples. */
  readonly perSecond: number | null;
  /** Until the value is 0 at this rate; null when it does not fall. */
  readonly toZeroMs: number | null;
}

const WINDOW_MS = 30_000;

/** How fast a value that is read again and again changes. @param atMs time of the sample; the same time is the same sample */
export function useRate(value: number | null, atMs: number): Rate {
  const samples = useRef<{ readonly value: number; readonly atMs: number }[]>([]);
  const kept = samples.current;
  if (value !== null && kept.at(-1)?.atMs !== atMs) kept.push({ value, atMs });
  while (kept.length > 2 && atMs - (kept[0]?.atMs ?? atMs) > WINDOW_MS) kept.shift();
  const [first] = kept;
  const last = kept.at(-1);
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return { perSecond: null, toZeroMs: null };
  const perSecond = ((last.value - first.value) * 1000) / (last.atMs - first.atMs);
  return { perSecond, toZeroMs: perSecond < 0 && last.value > 0 ? (last.value / -perSecond) * 1000 : null };
}
