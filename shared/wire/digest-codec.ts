import { AppError } from "../core/errors.ts";
import { uuidToBytes } from "../core/ids.ts";
import { BUCKETS_MAX, DIGEST_TYPES, isBucketCount } from "../sync/digest.ts";
import type { Digest, DigestDiff, Entries, EntriesWanted, TypeBuckets } from "../sync/frames.ts";
import { numberFromWire, uuidFromWire } from "./checked.ts";
import type {
  Digest as DigestMessage,
  DigestDiff as DigestDiffMessage,
  Entries as EntriesMessage,
  EntriesWanted as EntriesWantedMessage,
  TypeBuckets as TypeBucketsMessage,
} from "./gen/skerry/sync/v1/sync_pb.ts";

// Frames of digest rounds to protobuf and back. What is decoded is inside the limits of digest.ts.

/** A newer peer may compare more types. */
const TYPES_MAX = DIGEST_TYPES.length * 8;
/** Far above what LISTED_BUCKETS_MAX buckets hold. */
const ENTRIES_MAX = 1_000_000;

export function digestMessage({ round, types }: Digest) {
  return {
    round: BigInt(round),
    types: types.map(({ entityType, buckets }) => ({ type: entityType, buckets: [...buckets] })),
  };
}

/** @throws AppError PROTOCOL_ERROR */
export function digestFrom({ round, types }: DigestMessage): Digest {
  limit("Types of a digest", types.length, TYPES_MAX);
  return {
    type: "digest",
    round: numberFromWire(round),
    types: types.map(({ type, buckets }) => {
      checkBucketCount(buckets.length);
      return { entityType: type, buckets };
    }),
  };
}

export function diffMessage({ round, types }: DigestDiff) {
  return { round: BigInt(round), types: types.map(bucketsMessage) };
}

/** @throws AppError PROTOCOL_ERROR */
export function diffFrom({ round, types }: DigestDiffMessage): DigestDiff {
  limit("Types of a digest", types.length, TYPES_MAX);
  return { type: "digest-diff", round: numberFromWire(round), types: types.map(bucketsFrom) };
}

export function wantedMessage({ round, buckets }: EntriesWanted) {
  return { round: BigInt(round), buckets: bucketsMessage(buckets) };
}

/** @throws AppError PROTOCOL_ERROR */
export function wantedFrom({ round, buckets }: EntriesWantedMessage): EntriesWanted {
  return { type: "entries-wanted", round: numberFromWire(round), buckets: bucketsFrom(buckets) };
}

export function entriesMessage({ round, buckets, downlinkApplied, entries, busyIds }: Entries) {
  return {
    round: BigInt(round),
    buckets: bucketsMessage(buckets),
    downlinkApplied: BigInt(downlinkApplied),
    ids: entries.map(({ id }) => uuidToBytes(id)),
    hashes: entries.map(({ hash }) => hash),
    busyIds: busyIds.map(uuidToBytes),
  };
}

/** @throws AppError PROTOCOL_ERROR */
export function entriesFrom(message: EntriesMessage): Entries {
  const { ids, hashes, busyIds } = message;
  limit("Entries of a digest", ids.length + busyIds.length, ENTRIES_MAX);
  if (ids.length !== hashes.length)
    throw new AppError("PROTOCOL_ERROR", `Entries have ${ids.length} ids and ${hashes.length} hashes`);
  return {
    type: "entries",
    round: numberFromWire(message.round),
    buckets: bucketsFrom(message.buckets),
    downlinkApplied: numberFromWire(message.downlinkApplied),
    entries: ids.map((id, index) => ({ id: uuidFromWire(id), hash: hashes[index] ?? 0n })),
    busyIds: busyIds.map(uuidFromWire),
  };
}

function bucketsMessage({ entityType, bucketCount, buckets }: TypeBuckets) {
  return { type: entityType, bucketCount, buckets: [...buckets] };
}

function bucketsFrom(message: TypeBucketsMessage | undefined): TypeBuckets {
  if (message === undefined) throw new AppError("PROTOCOL_ERROR", "A frame of a digest round names no buckets");
  const { type: entityType, bucketCount, buckets } = message;
  checkBucketCount(bucketCount);
  limit("Buckets", buckets.length, bucketCount);
  const stranger = buckets.find((bucket) => bucket >= bucketCount);
  if (stranger !== undefined) throw new AppError("PROTOCOL_ERROR", `Bucket ${stranger} is not one of ${bucketCount}`);
  return { entityType, bucketCount, buckets };
}

function checkBucketCount(count: number): void {
  if (isBucketCount(count)) return;
  throw new AppError("PROTOCOL_ERROR", `A digest has ${count} buckets, expected a power of two up to ${BUCKETS_MAX}`);
}

function limit(what: string, count: number, max: number): void {
  if (count > max) throw new AppError("PROTOCOL_ERROR", `${what} are ${count}, expected at most ${max}`);
}
