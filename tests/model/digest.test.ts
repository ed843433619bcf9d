import { expect, test } from "bun:test";
import fc from "fast-check";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { FineBucket } from "../../shared/sync/digest.ts";
import {
  bucketCountFor,
  BUCKETS_MAX,
  compareEntries,
  differingBuckets,
  isBucketCount,
  toTypeDigest,
} from "../../shared/sync/digest.ts";
import type { DigestEntry, TypeBuckets } from "../../shared/sync/frames.ts";

// The exchange of digest.ts over two sets of entities, whatever is in them.

interface Entity extends DigestEntry {
  readonly bucket: number;
}

/** Spreads over 64 bits, as the real hashes do: what fast-check likes best would cancel itself out. */
function mix(value: bigint): bigint {
  let mixed = value;
  for (let round = 0; round < 3; round += 1) {
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 31n)) * 0x9e37_79b9_7f4a_7c15n + 0x1234_5678_9abc_def1n);
  }
  return BigInt.asIntN(64, mixed);
}

const entity: fc.Arbitrary<Entity> = fc.bigInt({ min: 0n, max: 2n ** 60n }).map((number) => {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, number);
  return { id: uuidFromBytes(bytes), hash: mix(number), bucket: Number(number % BigInt(BUCKETS_MAX)) };
});
const entities = fc.uniqueArray(entity, { selector: ({ id }) => id, maxLength: 120 });

function fine(list: readonly Entity[]): readonly FineBucket[] {
  const buckets = new Map<number, FineBucket>();
  for (const { bucket, hash } of list) {
    const before = buckets.get(bucket) ?? { bucket, entities: 0, hash: 0n };
    buckets.set(bucket, { bucket, entities: before.entities + 1, hash: before.hash ^ hash });
  }
  return [...buckets.values()];
}

const inBuckets = (list: readonly Entity[], { bucketCount, buckets }: TypeBuckets): readonly DigestEntry[] =>
  list.filter(({ bucket }) => buckets.includes(bucket % bucketCount));
const idsOf = (list: readonly DigestEntry[]): readonly string[] => list.map(({ id }) => id).toSorted();

test("a digest round finds exactly what is missing, stale and surplus, but for what is under way", () => {
  const kind = fc.constantFrom("same", "missing", "stale", "surplus", "busy");
  const world = fc.tuple(entities, fc.array(kind, { minLength: 120, maxLength: 120 }));
  fc.assert(
    fc.property(world, ([all, kinds]) => {
      const of = (...wanted: readonly string[]): Entity[] =>
        all.filter((_, index) => wanted.includes(kinds[index] ?? ""));
      const altered = (list: readonly Entity[]): Entity[] => list.map((one) => ({ ...one, hash: mix(one.hash) }));
      const cloud = of("same", "missing", "stale", "busy");
      const edge = [...of("same", "surplus"), ...altered(of("stale", "busy"))];
      const buckets = differingBuckets(toTypeDigest("DEVICE", fine(cloud)), fine(edge)) ?? {
        entityType: "DEVICE",
        bucketCount: 1,
        buckets: [],
      };
      const busyIds = new Set(of("busy").map(({ id }) => id));
      const found = compareEntries(inBuckets(edge, buckets), inBuckets(cloud, buckets), busyIds);
      expect(idsOf(found.missing)).toEqual(idsOf(of("missing")));
      expect(idsOf(found.stale)).toEqual(idsOf(of("stale")));
      expect(idsOf(found.surplus)).toEqual(idsOf(of("surplus")));
    }),
  );
});

test("a single difference always shows, and equal sets never differ", () => {
  fc.assert(
    fc.property(entities, entity, (same, one) => {
      fc.pre(same.every(({ id }) => id !== one.id));
      const digest = toTypeDigest("DEVICE", fine([...same, one]));
      expect(differingBuckets(digest, fine([one, ...same]))).toBeNull();
      const altered = { ...one, hash: mix(one.hash) };
      for (const edge of [same, [...same, altered]]) {
        const buckets = differingBuckets(digest, fine(edge));
        expect(buckets?.buckets).toEqual([one.bucket % digest.buckets.length]);
      }
    }),
  );
});

test("bucketCountFor() keeps buckets small and their number a power of two inside the limit", () => {
  fc.assert(
    fc.property(fc.nat(10_000_000), (count) => {
      const buckets = bucketCountFor(count);
      expect(isBucketCount(buckets)).toBe(true);
      if (buckets < BUCKETS_MAX) expect(count / buckets).toBeLessThanOrEqual(32);
    }),
  );
});
