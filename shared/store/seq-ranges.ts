import { customType } from "drizzle-orm/pg-core";
import type { SeqRange } from "../core/seq-range.ts";

/** A column of sorted ranges that neither touch nor overlap, which is what int8multirange keeps. */
export const seqRanges = customType<{ data: readonly SeqRange[]; driverData: string }>({
  dataType: () => "int8multirange",
  fromDriver: parseSeqRanges,
  toDriver: formatSeqRanges,
});

/** @param text as PostgreSQL gives an int8multirange: `{[1,11),[21,31)}` */
export function parseSeqRanges(text: string): readonly SeqRange[] {
  return [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, first, end]) => ({
    first: Number(first),
    last: Number(end) - 1,
  }));
}

/** In any order; an int8multirange joins what touches or overlaps. */
export function formatSeqRanges(ranges: readonly SeqRange[]): string {
  return `{${ranges.map(({ first, last }) => `[${first},${last}]`).join(",")}}`;
}
