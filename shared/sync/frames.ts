import type { BlobRef } from "../core/blob-ref.ts";
import type { Uuid } from "../core/ids.ts";
import type { SeqRange } from "../core/seq-range.ts";
import type { EdgeReport } from "./edge-report.ts";
import type { EdgeSettings } from "./edge-settings.ts";
import type { Lane, UplinkLane } from "./lanes.ts";

// The frames of the sync protocol as both ends think of them; shared/wire turns them into protobuf and back.

/** Versions of the protocol that this program speaks. */
export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

export type Compression = "none" | "zstd";

/** What a lane carries in a session, in this order: runs, each contiguous inside. The first one begins at what comes next. */
export type Course = readonly SeqRange[];

export interface LaneCourse {
  readonly lane: Lane;
  readonly course: Course;
}

/** In which order telemetry goes that waited for the link. */
export const BACKLOG_ORDERS = ["interleaved", "oldest-first", "newest-first"] as const;

/**
 * interleaved: fresh telemetry at once, the backlog beside it, from its oldest on; newest-first: the same, the backlog from its newest
 * on, in chunks; oldest-first: everything in the order in which it was committed.
 */
export type BacklogOrder = (typeof BACKLOG_ORDERS)[number];

export interface Hello {
  readonly type: "hello";
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly edgeVersion: string;
  readonly storeId: Uuid;
  readonly lanes: readonly LaneOffer[];
  /** The cloud database that `downlinkApplied` counts for; null before the first session. */
  readonly cloudId: Uuid | null;
  readonly downlinkApplied: number;
  /** Of the batch that ended at `downlinkApplied`; null when that is not known. */
  readonly downlinkTag: Uuid | null;
  /** Made anew by each process: two that come back in turn are two machines with one identity. Null: an edge that tells none. */
  readonly machineId: Uuid | null;
  readonly wallClockMs: number;
  /** In which order the edge wants to send telemetry that waited. */
  readonly backlogOrder: BacklogOrder;
}

export interface LaneOffer {
  readonly lane: UplinkLane;
  /** The sequence that the next item will get. */
  readonly nextSeq: number;
  /** The oldest sequence that can still be sent. */
  readonly oldestSeq: number;
  /** Everything up to it is known to the edge to be committed, and what of it was rejected. */
  readonly ackedSeq: number;
  /** The first sequence that belongs to this store: one that was renewed goes on with the numbers of the one before. */
  readonly firstSeq: number;
}

export interface Welcome {
  readonly type: "welcome";
  readonly protocol: number;
  /** Fencing number of this session. */
  readonly session: number;
  readonly edgeId: Uuid;
  readonly tenantId: Uuid;
  readonly edgeName: string;
  readonly edgeType: string;
  readonly cloudId: Uuid;
  readonly cloudVersion: string;
  /** What the edge sends in this session: everything that the cloud has not committed. */
  readonly courses: readonly LaneCourse[];
  /** Lanes of which it is not known are left out. */
  readonly tags: readonly LaneTag[];
  readonly window: Window;
  readonly wallClockMs: number;
  /** The edge goes on with this as its applied downlink sequence. */
  readonly downlinkResume: number;
  /** The last downlink of which the cloud knows that it was committed, and what of it was rejected; at most `downlinkResume`. */
  readonly downlinkAcked: number;
  /** Null: the cloud says nothing of them, and those that the edge has stay. */
  readonly settings: EdgeSettings | null;
}

/** What the newest item is that the cloud has of a lane, so that the edge knows its own. */
export interface LaneTag {
  readonly lane: UplinkLane;
  readonly seq: number;
  /** See shared/wire/item-tag.ts. */
  readonly tag: string;
}

/** How much may be sent beyond the last acknowledgement, at most. */
export interface Window {
  readonly bytes: number;
  readonly items: number;
}

export interface Batch {
  readonly type: "batch";
  readonly lane: Lane;
  readonly firstSeq: number;
  /** Sequence numbers in the batch, at least 1. */
  readonly count: number;
  readonly compression: Compression;
  readonly payload: Uint8Array;
  /** Downlinks: identity of the last row in the batch. */
  readonly tag?: Uuid | undefined;
  /** Downlinks: up to where of the config lane the sender had committed when it looked for these rows; what they say was read after that. */
  readonly heardSeq?: number | undefined;
}

/**
 * Everything that the lane carried up to `seq` is committed by the receiver, but for what it refuses for good: `rejections`, and those of
 * earlier acks.
 */
export interface Ack {
  readonly type: "ack";
  readonly lane: Lane;
  readonly seq: number;
  readonly rejections: readonly Rejection[];
}

export interface Rejection {
  readonly seq: number;
  /** A code of shared/core/errors.ts; text, because a newer peer may know more of them. */
  readonly code: string;
  readonly text: string;
  /** Version of the program that refused: another one may take the item. */
  readonly version: string;
}

/** A content that items behind it name. The answer is a ChunkAck that says where to go on. */
export interface BlobOffer {
  readonly type: "blob-offer";
  readonly blob: BlobRef;
}

/** A part of the content that was offered last. */
export interface Chunk {
  readonly type: "chunk";
  readonly sha256: string;
  readonly offset: number;
  /** At least one byte; compressed on the wire where that helps. */
  readonly content: Uint8Array;
}

/** Everything below `offset` is stored by the receiver. */
export interface ChunkAck {
  readonly type: "chunk-ack";
  readonly sha256: string;
  readonly offset: number;
  /** No more is wanted: the content is there, or it is refused, as the items that name it will be. */
  readonly isDone: boolean;
}

export interface Ping {
  readonly type: "ping";
  readonly nonce: number;
}

export interface Pong {
  readonly type: "pong";
  readonly nonce: number;
}

/** From the edge: how it is, for those who look at it from the cloud. Nothing in the protocol depends on it. */
export interface Status {
  readonly type: "status";
  readonly report: EdgeReport;
}

/** From the cloud: its settings for the edge are others than before. */
export interface Settings {
  readonly type: "settings";
  readonly settings: EdgeSettings;
}

export interface GoAway {
  readonly type: "go-away";
  /** A code of shared/core/errors.ts. */
  readonly code: string;
  readonly text: string;
  readonly retryAfterMs: number;
}

/** What the cloud wants on the edge, per type of entities; see digest.ts. */
export interface Digest {
  readonly type: "digest";
  /** Counts the rounds of a session. */
  readonly round: number;
  readonly types: readonly TypeDigest[];
}

export interface TypeDigest {
  readonly entityType: string;
  /** The hashes of all entities in a bucket, joined by XOR; a power of two of them. */
  readonly buckets: readonly bigint[];
}

/** Where the edge holds something else than the Digest of this round says; no types: nowhere. */
export interface DigestDiff {
  readonly type: "digest-diff";
  readonly round: number;
  readonly types: readonly TypeBuckets[];
}

/** Some of the buckets into which the entities of a type are divided. */
export interface TypeBuckets {
  readonly entityType: string;
  readonly bucketCount: number;
  readonly buckets: readonly number[];
}

export interface EntriesWanted {
  readonly type: "entries-wanted";
  readonly round: number;
  readonly buckets: TypeBuckets;
}

/** Everything that the edge holds in these buckets. */
export interface Entries {
  readonly type: "entries";
  readonly round: number;
  readonly buckets: TypeBuckets;
  /** The last downlink that was applied when the edge looked. */
  readonly downlinkApplied: number;
  readonly entries: readonly DigestEntry[];
  /** Entities of which something is on its way to the cloud, or parked. */
  readonly busyIds: readonly Uuid[];
}

export interface DigestEntry {
  readonly id: Uuid;
  readonly hash: bigint;
}

/** Frames of a digest round that the edge answers, and its answers. */
export type DigestQuestion = Digest | EntriesWanted;
export type DigestAnswer = DigestDiff | Entries;

export type Frame =
  | Hello
  | Welcome
  | Batch
  | Ack
  | BlobOffer
  | Chunk
  | ChunkAck
  | Ping
  | Pong
  | Status
  | Settings
  | GoAway
  | DigestQuestion
  | DigestAnswer;

/** The last sequence of a batch. */
export function lastSeqOf(batch: Pick<Batch, "firstSeq" | "count">): number {
  return batch.firstSeq + batch.count - 1;
}
