import { expect, test } from "bun:test";
import fc from "fast-check";
import { chooseWidthMs, HISTORY_WIDTHS_MS } from "../../edge/store/history.ts";
import { missingRanges } from "../../shared/store/time-partitions.ts";

const HOUR_MS = 3_600_000;

test("missingRanges() fills what is wanted without a gap and without touching what is there", () => {
  const width = fc.constantFrom(...HISTORY_WIDTHS_MS);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(200 * HOUR_MS), width), { maxLength: 6 }), (steps) => {
      const made: { from: number; to: number }[] = [];
      for (const [fromMs, widthMs] of steps) {
        const toMs = fromMs + 24 * HOUR_MS;
        made.push(...missingRanges(made, { fromMs, toMs, widthMs }));
        made.sort((one, other) => one.from - other.from);
        for (const [index, range] of made.entries()) {
          expect(range.to).toBeGreaterThan(range.from);
          expect(made[index + 1]?.from ?? Infinity).toBeGreaterThanOrEqual(range.to);
        }
        for (let at = fromMs; at <= toMs; at += HOUR_MS / 2) {
          expect(made.some(({ from, to }) => from <= at && at < to)).toBe(true);
        }
      }
    }),
  );
});

test("chooseWidthMs() takes a day while it stays small, an hour when much comes", () => {
  expect([0, 10, 100, 1_000].map((perHour) => chooseWidthMs(perHour, 240) / HOUR_MS)).toEqual([24, 24, 1, 1]);
  expect(chooseWidthMs(40, 240) / HOUR_MS).toBe(6);
});
