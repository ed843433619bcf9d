import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import {
  countSeqs,
  gapsBelow,
  includesRange,
  intersectRanges,
  overlaps,
  prefixEnd,
  rangesAbove,
  unionOf,
} from "../../shared/core/seq-range.ts";
import { Turns } from "../../shared/core/turns.ts";
import { formatSeqRanges, parseSeqRanges } from "../../shared/store/seq-ranges.ts";

const SEQ_END = 80;

const range = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.nat(8)).map(([first, length]) => ({
  first,
  last: first + length,
}));
const ranges = fc.array(range, { maxLength: 12 });

function seqsOf(list: readonly SeqRange[]): ReadonlySet<number> {
  return new Set(
    list.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, index) => first + index)),
  );
}

/** Each sequence in the same set. */
function expectSeqs(actual: readonly SeqRange[], isIn: (seq: number) => boolean): void {
  const seqs = seqsOf(actual);
  for (let seq = 1; seq <= SEQ_END; seq += 1) expect([seq, seqs.has(seq)]).toEqual([seq, isIn(seq)]);
  expect(countSeqs(actual)).toBe(seqs.size);
}

describe("ranges of sequences", () => {
  test("are the sets that they stand for, sorted and apart", () => {
    fc.assert(
      fc.property(ranges, ranges, range, fc.integer({ min: 1, max: 70 }), (one, two, asked, at) => {
        const [left, right] = [unionOf(one), unionOf(two)];
        const [inLeft, inRight] = [seqsOf(one), seqsOf(two)];
        expectSeqs(left, (seq) => inLeft.has(seq));
        for (const [index, { first }] of left.entries())
          expect(first).toBeGreaterThan((left[index - 1]?.last ?? -1) + 1);
        expectSeqs(intersectRanges(left, right), (seq) => inLeft.has(seq) && inRight.has(seq));
        expectSeqs(gapsBelow(left, at), (seq) => seq < at && !inLeft.has(seq));
        expectSeqs(rangesAbove(left, at), (seq) => seq > at && inLeft.has(seq));
        const seqs = [...seqsOf([asked])];
        expect(overlaps(left, asked)).toBe(seqs.some((seq) => inLeft.has(seq)));
        expect(includesRange(left, asked)).toBe(seqs.every((seq) => inLeft.has(seq)));
        let prefix = 0;
        while (inLeft.has(prefix + 1)) prefix += 1;
        expect(prefixEnd(left)).toBe(prefix);
      }),
    );
  });

  test("are read as PostgreSQL writes them", () => {
    expect(parseSeqRanges("{}")).toEqual([]);
    expect(parseSeqRanges("{[1,11),[21,9007199254740991)}")).toEqual([
      { first: 1, last: 10 },
      { first: 21, last: Number.MAX_SAFE_INTEGER - 1 },
    ]);
    expect(formatSeqRanges([{ first: 1, last: 10 }])).toBe("{[1,10]}");
  });
});

test("Turns lets work run one after the other, also after one that fails", async () => {
  const turns = new Turns();
  const order: string[] = [];
  const slow = Promise.withResolvers<void>();
  const first = turns.take(async () => {
    await slow.promise;
    order.push("first");
    throw new Error("no");
  });
  const second = turns.take(() => Promise.resolve(void order.push("second")));
  order.push("asked");
  slow.resolve();
  await expect(first).rejects.toThrow("no");
  await second;
  expect(order).toEqual(["asked", "first", "second"]);
});
