import { describe, expect, test } from "bun:test";
import { TokenBuckets } from "../../shared/core/token-buckets.ts";

function createBuckets(keysMax?: number) {
  let nowMs = 0;
  const clock = { monotonicMs: () => nowMs };
  const limits = { perS: 10, burst: 20, ...(keysMax === undefined ? {} : { keysMax }) };
  return { buckets: new TokenBuckets(clock, limits), advance: (ms: number) => void (nowMs += ms) };
}

describe("TokenBuckets", () => {
  test("lets a burst through, then as much as flows in, per key", () => {
    const { buckets, advance } = createBuckets();
    for (let count = 0; count < 20; count += 1) expect(buckets.take("a", 1)).toBe(0);
    expect(buckets.take("a", 1)).toBe(100);
    expect(buckets.take("b", 20)).toBe(0);
    advance(50);
    expect(buckets.take("a", 1)).toBe(50);
    advance(50);
    expect([buckets.take("a", 1), buckets.take("a", 1)]).toEqual([0, 100]);
    advance(60_000);
    expect([buckets.take("a", 20), buckets.take("a", 1)]).toEqual([0, 100]);
  });

  test("charges beyond what is there, and says when the debt is paid", () => {
    const { buckets, advance } = createBuckets();
    expect(buckets.charge("a", 50)).toBe(3_000);
    advance(3_000);
    expect(buckets.charge("a", 10)).toBe(1_000);
  });

  test("remembers a bounded number of keys, those that were used last", () => {
    const { buckets } = createBuckets(2);
    buckets.take("a", 20);
    buckets.take("b", 20);
    expect(buckets.take("a", 1)).toBe(100);
    buckets.take("c", 1);
    expect(buckets.take("a", 1)).toBe(100);
    expect(buckets.take("b", 20)).toBe(0);
  });
});
