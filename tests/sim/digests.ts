import { uuidFromBytes, uuidToBytes, type Uuid } from "../../shared/core/ids.ts";
import type { FineBucket } from "../../shared/sync/digest.ts";
import { BUCKETS_MAX, differingBuckets } from "../../shared/sync/digest.ts";
import type { DigestAnswer, DigestEntry, DigestQuestion, TypeBuckets } from "../../shared/sync/frames.ts";

// Digests over simulated entities: a number with a version each, instead of rows and SQL.

export type SimEntities = ReadonlyMap<number, number>;

export function toFineBuckets(entities: SimEntities): readonly FineBucket[] {
  return [...entities].map(([entity, version]) => ({
    bucket: entity % BUCKETS_MAX,
    entities: 1,
    hash: hashOf(entity, version),
  }));
}

export function entriesIn(entities: SimEntities, { bucketCount, buckets }: TypeBuckets): readonly DigestEntry[] {
  return [...entities].flatMap(([entity, version]) =>
    buckets.includes(entity % bucketCount) ? [{ id: idOf(entity), hash: hashOf(entity, version) }] : [],
  );
}

/** As edge/store/digest-answer.ts. */
export function answer(question: DigestQuestion, entities: SimEntities, downlinkApplied: number): DigestAnswer {
  if (question.type === "entries-wanted") {
    const { round, buckets } = question;
    return { type: "entries", round, buckets, downlinkApplied, entries: entriesIn(entities, buckets), busyIds: [] };
  }
  const types = question.types.flatMap((type) => differingBuckets(type, toFineBuckets(entities)) ?? []);
  return { type: "digest-diff", round: question.round, types };
}

export function entityOf(id: Uuid): number {
  return uuidToBytes(id)[15] ?? 0;
}

function idOf(entity: number): Uuid {
  const bytes = new Uint8Array(16);
  bytes[15] = entity;
  return uuidFromBytes(bytes);
}

function hashOf(entity: number, version: number): bigint {
  return BigInt(entity) * 1_000_003n + BigInt(version) * 7_919n + 1n;
}
