import { expect, test } from "bun:test";
import fc from "fast-check";
import { SeqRanges } from "../../edge/store/seq-ranges.ts";
import { Turns } from "../../shared/core/turns.ts";

const range = fc.tuple(fc.nat(60), fc.nat(8)).map(([first, length]) => ({ first, last: first + length }));

test("SeqRanges knows every sequence that was added and not forgotten, and no other", () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), fc.nat(70), range, (added, forgotten, asked) => {
      const ranges = new SeqRanges();
      const known = new Set<number>();
      for (const { first, last } of added) {
        ranges.add({ first, last });
        for (let seq = first; seq <= last; seq += 1) known.add(seq);
      }
      const isKnown = (from: number): boolean =>
        Array.from({ length: asked.last - asked.first + 1 }, (_, index) => asked.first + index).some(
          (seq) => seq > from && known.has(seq),
        );
      expect(ranges.overlaps(asked)).toBe(isKnown(-1));
      ranges.forgetUpTo(forgotten);
      if (asked.first > forgotten) expect(ranges.overlaps(asked)).toBe(isKnown(forgotten));
    }),
  );
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
