import type { Uuid } from "../core/ids.ts";
import { KIND_TYPES } from "../entities/entity-types.ts";
import type { DigestEntry, TypeBuckets, TypeDigest } from "./frames.ts";

// How both ends find out in what they differ, with traffic in proportion to the difference: every entity has a hash over all that is
// its own, the hashes of a type are joined by XOR in buckets, and only buckets that differ are listed. The hashes are made by the same
// SQL on both ends (shared/store/digest-store.ts).

/**
 * What is compared, in the order in which it is repaired: what others refer to goes first. ALARM: active ones of originators that are
 * compared by nothing else, as the tenant. EDGE: the attributes that are set of the edge itself.
 */
export const DIGEST_TYPES = ["USER", ...KIND_TYPES, "ALARM", "EDGE"] as const;
export type DigestType = (typeof DIGEST_TYPES)[number];

export function isDigestType(text: string): text is DigestType {
  return (DIGEST_TYPES as readonly string[]).includes(text);
}

/** Buckets that SQL tells apart; fewer are made of them by joining. */
export const BUCKETS_MAX = 4_096;
/** Entities that share a bucket, about. */
const BUCKET_ENTITIES = 32;
/** Buckets that are listed at once: about two thousand entities. */
export const LISTED_BUCKETS_MAX = 64;

/** A power of two, so that buckets can be joined. */
export function bucketCountFor(entities: number): number {
  let count = 1;
  while (count < BUCKETS_MAX && count * BUCKET_ENTITIES < entities) count *= 2;
  return count;
}

export function isBucketCount(count: number): boolean {
  return count >= 1 && count <= BUCKETS_MAX && Number.isInteger(Math.log2(count));
}

/** One of the BUCKETS_MAX buckets, with what is in it. */
export interface FineBucket {
  readonly bucket: number;
  readonly entities: number;
  readonly hash: bigint;
}

/** Joins buckets into `count` of them: an entity in fine bucket b is in bucket b modulo `count`. */
export function joinBuckets(fine: readonly FineBucket[], count: number): readonly bigint[] {
  const joined = Array.from({ length: count }, () => 0n);
  for (const { bucket, hash } of fine) joined[bucket % count] = (joined[bucket % count] ?? 0n) ^ hash;
  return joined;
}

export function toTypeDigest(entityType: DigestType, fine: readonly FineBucket[]): TypeDigest {
  const entities = fine.reduce((sum, bucket) => sum + bucket.entities, 0);
  return { entityType, buckets: joinBuckets(fine, bucketCountFor(entities)) };
}

/** The buckets in which `own` is something else than `theirs`; null when there are none. */
export function differingBuckets({ entityType, buckets }: TypeDigest, own: readonly FineBucket[]): TypeBuckets | null {
  const bucketCount = buckets.length;
  const joined = joinBuckets(own, bucketCount);
  const differing = buckets.flatMap((hash, index) => (hash === joined[index] ? [] : [index]));
  return differing.length === 0 ? null : { entityType, bucketCount, buckets: differing };
}

/** Parts that can be listed at once, profiles before what refers to them. */
export function toListings(types: readonly TypeBuckets[]): readonly TypeBuckets[] {
  const inOrder = types.toSorted((left, right) => rankOf(left) - rankOf(right));
  return inOrder.flatMap(({ entityType, bucketCount, buckets }) =>
    Array.from({ length: Math.ceil(buckets.length / LISTED_BUCKETS_MAX) }, (_, part) => ({
      entityType,
      bucketCount,
      buckets: buckets.slice(part * LISTED_BUCKETS_MAX, (part + 1) * LISTED_BUCKETS_MAX),
    })),
  );
}

function rankOf({ entityType }: TypeBuckets): number {
  return isDigestType(entityType) ? DIGEST_TYPES.indexOf(entityType) : DIGEST_TYPES.length;
}

/** What the edge lacks, has in another state, and has too much, as the cloud sees it. */
export interface Differences {
  readonly missing: readonly DigestEntry[];
  readonly stale: readonly DigestEntry[];
  /** With the edge's hash. */
  readonly surplus: readonly DigestEntry[];
}

/** Entities in `busyIds` are no difference: something of them is on its way. */
export function compareEntries(
  edge: readonly DigestEntry[],
  cloud: readonly DigestEntry[],
  busyIds: ReadonlySet<Uuid>,
): Differences {
  const onEdge = new Map(edge.map(({ id, hash }) => [id, hash]));
  const inCloud = new Set(cloud.map(({ id }) => id));
  const idle = cloud.filter(({ id }) => !busyIds.has(id));
  return {
    missing: idle.filter(({ id }) => !onEdge.has(id)),
    stale: idle.filter(({ id, hash }) => onEdge.has(id) && onEdge.get(id) !== hash),
    surplus: edge.filter(({ id }) => !busyIds.has(id) && !inCloud.has(id)),
  };
}
