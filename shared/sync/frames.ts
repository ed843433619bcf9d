import type { Uuid } from "../core/ids.ts";
import type { EdgeReport } from "./edge-report.ts";

// The frames of the sync protocol as both ends think of them; shared/wire turns them into protobuf and back.

/** Versions of the protocol that this program speaks. */
export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

/**
 * An independent, ordered sequence of items, numbered from 1 without gaps. config and telemetry go up, downlink goes down.
 * The order of this list is the order of preference: what stands first is sent and applied first.
 */
export const LANES = ["downlink", "config", "telemetry"] as const;

export type Lane = (typeof LANES)[number];

/** Lanes from the edge to the cloud. */
export const UPLINK_LANES = ["config", "telemetry"] as const satisfies readonly Lane[];

export type UplinkLane = (typeof UPLINK_LANES)[number];

export type Compression = "none" | "zstd";

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
  readonly wallClockMs: number;
}

export interface LaneOffer {
  readonly lane: UplinkLane;
  /** The sequence that the next item will get. */
  readonly nextSeq: number;
  /** The oldest sequence that can still be sent. */
  readonly oldestSeq: number;
  /** The last sequence of which the edge knows that it was committed, and what of it was rejected. */
  readonly ackedSeq: number;
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
  readonly watermarks: readonly LaneWatermark[];
  readonly window: Window;
  readonly wallClockMs: number;
  /** The edge goes on with this as its applied downlink sequence. */
  readonly downlinkResume: number;
  /** The last downlink of which the cloud knows that it was committed, and what of it was rejected; at most `downlinkResume`. */
  readonly downlinkAcked: number;
}

export interface LaneWatermark {
  readonly lane: UplinkLane;
  readonly seq: number;
}

/** How much may be sent beyond the last acknowledgement. */
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
}

/** Everything up to `seq` is committed by the receiver, but for what it refuses for good: `rejections`, and those of earlier acks. */
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

export interface GoAway {
  readonly type: "go-away";
  /** A code of shared/core/errors.ts. */
  readonly code: string;
  readonly text: string;
  readonly retryAfterMs: number;
}

export type Frame = Hello | Welcome | Batch | Ack | Ping | Pong | Status | GoAway;

/** The last sequence of a batch. */
export function lastSeqOf(batch: Pick<Batch, "firstSeq" | "count">): number {
  return batch.firstSeq + batch.count - 1;
}
