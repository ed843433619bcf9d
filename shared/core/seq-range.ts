// Sets of sequence numbers as sorted ranges that neither touch nor overlap. Few ranges stand for millions of numbers.

/** Both ends belong to it. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

/** The end of a range that has none. */
export const SEQ_MAX = Number.MAX_SAFE_INTEGER;

/** @param ranges sorted and apart, as is the result */
export function addRange(ranges: readonly SeqRange[], added: SeqRange): readonly SeqRange[] {
  if (added.last < added.first) return ranges;
  const before = ranges.filter(({ last }) => last < added.first - 1);
  const after = ranges.filter(({ first }) => first > added.last + 1);
  const touched = ranges.slice(before.length, ranges.length - after.length);
  const first = Math.min(added.first, touched[0]?.first ?? added.first);
  const last = Math.max(added.last, touched.at(-1)?.last ?? added.last);
  return [...before, { first, last }, ...after];
}

/** The set of what any of these ranges holds. */
export function unionOf(ranges: Iterable<SeqRange>): readonly SeqRange[] {
  let union: readonly SeqRange[] = [];
  for (const range of ranges) union = addRange(union, range);
  return union;
}

/** What lies from 1 to below `endSeq` and is not in `ranges`. */
export function gapsBelow(ranges: readonly SeqRange[], endSeq: number): readonly SeqRange[] {
  const gaps: SeqRange[] = [];
  let next = 1;
  for (const { first, last } of ranges) {
    if (first >= endSeq) break;
    if (first > next) gaps.push({ first: next, last: first - 1 });
    next = last + 1;
  }
  if (next < endSeq) gaps.push({ first: next, last: endSeq - 1 });
  return gaps;
}

export function includesRange(ranges: readonly SeqRange[], { first, last }: SeqRange): boolean {
  return ranges.some((range) => range.first <= first && last <= range.last);
}

export function overlaps(ranges: readonly SeqRange[], { first, last }: SeqRange): boolean {
  return ranges.some((range) => range.first <= last && first <= range.last);
}

/** What is in both. */
export function intersectRanges(left: readonly SeqRange[], right: readonly SeqRange[]): readonly SeqRange[] {
  return left.flatMap(({ first, last }) =>
    right
      .filter((range) => range.first <= last && first <= range.last)
      .map((range) => ({ first: Math.max(first, range.first), last: Math.min(last, range.last) })),
  );
}

/** What lies above `seq`. */
export function rangesAbove(ranges: readonly SeqRange[], seq: number): readonly SeqRange[] {
  return intersectRanges(ranges, [{ first: seq + 1, last: SEQ_MAX }]);
}

export function countSeqs(ranges: readonly SeqRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** Up to where everything from 1 on is in `ranges`; 0 when 1 is not. */
export function prefixEnd(ranges: readonly SeqRange[]): number {
  const [first] = ranges;
  return first?.first === 1 ? first.last : 0;
}
