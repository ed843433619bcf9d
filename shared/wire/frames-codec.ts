import type { MessageInitShape } from "@bufbuild/protobuf";
import { AppError } from "../core/errors.ts";
import { uuidToBytes } from "../core/ids.ts";
import { SEQ_MAX } from "../core/seq-range.ts";
import { CHUNK_BYTES_MAX } from "../sync/blob-sender.ts";
import type {
  BacklogOrder,
  Batch,
  Chunk,
  Compression,
  Frame,
  Hello,
  Lane,
  LaneCourse,
  Status,
  UplinkLane,
  Welcome,
} from "../sync/frames.ts";
import { REJECTION_CODE_MAX, REJECTION_TEXT_MAX } from "../sync/rejections.ts";
import { blobFromWire, numberFromWire, sha256FromWire, uuidFromWire } from "./checked.ts";
import { compress, decompress } from "./compression.ts";
import type {
  Batch as BatchMessage,
  Chunk as ChunkMessage,
  Hello as HelloMessage,
  LaneWatermark as LaneWatermarkMessage,
  SessionRequest,
  SessionRequestSchema,
  SessionResponse,
  SessionResponseSchema,
  Welcome as WelcomeMessage,
} from "./gen/skerry/sync/v1/sync_pb.ts";
import {
  BacklogOrder as WireBacklogOrder,
  Compression as WireCompression,
  Lane as WireLane,
} from "./gen/skerry/sync/v1/sync_pb.ts";
import { statusFrom, statusMessage } from "./report-codec.ts";

// Frames of the protocol to protobuf and back. Both directions share all frames but the greeting.

const LANE_TO_WIRE = {
  config: WireLane.CONFIG,
  live: WireLane.LIVE,
  telemetry: WireLane.TELEMETRY,
  downlink: WireLane.DOWNLINK,
} as const satisfies Record<Lane, WireLane>;

const VERSION_MAX = 64;

const COMPRESSION_TO_WIRE = {
  none: WireCompression.NONE,
  zstd: WireCompression.ZSTD,
} as const satisfies Record<Compression, WireCompression>;

const ORDER_TO_WIRE = {
  interleaved: WireBacklogOrder.INTERLEAVED,
  "oldest-first": WireBacklogOrder.OLDEST_FIRST,
  "newest-first": WireBacklogOrder.NEWEST_FIRST,
} as const satisfies Record<BacklogOrder, WireBacklogOrder>;

export function encodeRequest(frame: Frame): MessageInitShape<typeof SessionRequestSchema> {
  if (frame.type === "welcome") throw new AppError("INTERNAL", "An edge does not send a Welcome");
  if (frame.type === "hello") return { frame: { case: "hello", value: helloMessage(frame) } };
  if (frame.type === "status") return { frame: { case: "status", value: statusMessage(frame.report) } };
  return { frame: commonMessage(frame) };
}

export function encodeResponse(frame: Frame): MessageInitShape<typeof SessionResponseSchema> {
  if (frame.type === "hello" || frame.type === "status") {
    throw new AppError("INTERNAL", `A cloud does not send a frame ${frame.type}`);
  }
  return { frame: frame.type === "welcome" ? { case: "welcome", value: welcomeMessage(frame) } : commonMessage(frame) };
}

/** Null for a frame that this version does not know: it is skipped. @throws AppError PROTOCOL_ERROR on malformed content */
export function decodeRequest(message: SessionRequest): Frame | null {
  const { frame } = message;
  if (frame.case === "status") return { type: "status", report: statusFrom(frame.value) };
  return frame.case === "hello" ? helloFrom(frame.value) : commonFrom(frame);
}

/** Null for a frame that this version does not know: it is skipped. @throws AppError PROTOCOL_ERROR on malformed content */
export function decodeResponse(message: SessionResponse): Frame | null {
  const { frame } = message;
  return frame.case === "welcome" ? welcomeFrom(frame.value) : commonFrom(frame);
}

type CommonFrame = Exclude<Frame, Hello | Welcome | Status>;
type CommonMessage = Exclude<SessionRequest["frame"], { case: "hello" } | { case: "status" }>;

function commonMessage(frame: CommonFrame) {
  switch (frame.type) {
    case "batch":
      return {
        case: "batch" as const,
        value: {
          lane: LANE_TO_WIRE[frame.lane],
          firstSeq: BigInt(frame.firstSeq),
          count: frame.count,
          compression: COMPRESSION_TO_WIRE[frame.compression],
          payload: frame.payload as Uint8Array<ArrayBuffer>, // never shared memory: made by zlib, protobuf or the driver
        },
      };
    case "ack": {
      const rejections = frame.rejections.map((rejection) => ({ ...rejection, seq: BigInt(rejection.seq) }));
      return { case: "ack" as const, value: { lane: LANE_TO_WIRE[frame.lane], seq: BigInt(frame.seq), rejections } };
    }
    case "blob-offer": {
      const { sha256, bytes } = frame.blob;
      const blob = { sha256: Uint8Array.fromHex(sha256), bytes: BigInt(bytes) };
      return { case: "blobOffer" as const, value: { blob } };
    }
    case "chunk":
      return { case: "chunk" as const, value: chunkMessage(frame) };
    case "chunk-ack": {
      const { sha256, offset, isDone: done } = frame;
      const value = { sha256: Uint8Array.fromHex(sha256), offset: BigInt(offset), done };
      return { case: "chunkAck" as const, value };
    }
    case "ping":
      return { case: "ping" as const, value: { nonce: BigInt(frame.nonce) } };
    case "pong":
      return { case: "pong" as const, value: { nonce: BigInt(frame.nonce) } };
    case "go-away": {
      const { code, text, retryAfterMs } = frame;
      return { case: "goAway" as const, value: { code, text, retryAfterMs: Math.round(retryAfterMs) } };
    }
  }
}

function commonFrom(frame: CommonMessage | SessionResponse["frame"]): Frame | null {
  switch (frame.case) {
    case "batch":
      return batchFrom(frame.value);
    case "ack": {
      const rejections = frame.value.rejections.map(({ seq, code, text, version }) => ({
        seq: numberFromWire(seq),
        code: code.slice(0, REJECTION_CODE_MAX),
        text: text.slice(0, REJECTION_TEXT_MAX),
        version: version.slice(0, VERSION_MAX),
      }));
      return { type: "ack", lane: laneFrom(frame.value.lane), seq: numberFromWire(frame.value.seq), rejections };
    }
    case "blobOffer":
      return { type: "blob-offer", blob: blobFromWire(frame.value.blob) };
    case "chunk":
      return chunkFrom(frame.value);
    case "chunkAck": {
      const { sha256, offset, done } = frame.value;
      return { type: "chunk-ack", sha256: sha256FromWire(sha256), offset: numberFromWire(offset), isDone: done };
    }
    case "ping":
      return { type: "ping", nonce: numberFromWire(frame.value.nonce) };
    case "pong":
      return { type: "pong", nonce: numberFromWire(frame.value.nonce) };
    case "goAway": {
      const { code, text, retryAfterMs } = frame.value;
      return { type: "go-away", code, text, retryAfterMs };
    }
    case "welcome":
    case undefined:
      return null;
  }
}

function batchFrom(message: BatchMessage): Batch {
  return {
    type: "batch",
    lane: laneFrom(message.lane),
    firstSeq: numberFromWire(message.firstSeq),
    count: message.count,
    compression: compressionFrom(message.compression),
    payload: message.payload,
  };
}

function chunkMessage({ sha256, offset, content }: Chunk) {
  const { compression, payload } = compress(content);
  return {
    sha256: Uint8Array.fromHex(sha256),
    offset: BigInt(offset),
    compression: COMPRESSION_TO_WIRE[compression],
    content: payload as Uint8Array<ArrayBuffer>, // never shared memory: of the database driver or zlib
  };
}

function chunkFrom({ sha256, offset, compression, content }: ChunkMessage): Chunk {
  const compressed = { compression: compressionFrom(compression), payload: content };
  return {
    type: "chunk",
    sha256: sha256FromWire(sha256),
    offset: numberFromWire(offset),
    content: decompress(compressed, CHUNK_BYTES_MAX),
  };
}

function helloMessage(hello: Hello) {
  return {
    protocolMin: hello.protocolMin,
    protocolMax: hello.protocolMax,
    edgeVersion: hello.edgeVersion,
    storeId: uuidToBytes(hello.storeId),
    lanes: hello.lanes.map((offer) => ({
      lane: LANE_TO_WIRE[offer.lane],
      nextSeq: BigInt(offer.nextSeq),
      oldestSeq: BigInt(offer.oldestSeq),
      ackedSeq: BigInt(offer.ackedSeq),
    })),
    cloudId: hello.cloudId === null ? new Uint8Array() : uuidToBytes(hello.cloudId),
    downlinkApplied: BigInt(hello.downlinkApplied),
    wallClockMs: BigInt(Math.round(hello.wallClockMs)),
    compressions: [WireCompression.NONE, WireCompression.ZSTD],
    backlogOrder: ORDER_TO_WIRE[hello.backlogOrder],
  };
}

function helloFrom(message: HelloMessage): Hello {
  return {
    type: "hello",
    protocolMin: message.protocolMin,
    protocolMax: message.protocolMax,
    edgeVersion: message.edgeVersion.slice(0, VERSION_MAX),
    storeId: uuidFromWire(message.storeId),
    lanes: message.lanes.map((offer) => ({
      lane: uplinkLaneFrom(offer.lane),
      nextSeq: numberFromWire(offer.nextSeq),
      oldestSeq: numberFromWire(offer.oldestSeq),
      ackedSeq: numberFromWire(offer.ackedSeq),
    })),
    cloudId: message.cloudId.length === 0 ? null : uuidFromWire(message.cloudId),
    downlinkApplied: numberFromWire(message.downlinkApplied),
    wallClockMs: numberFromWire(message.wallClockMs),
    backlogOrder: orderFrom(message.backlogOrder),
  };
}

function welcomeMessage(welcome: Welcome) {
  return {
    protocol: welcome.protocol,
    session: BigInt(welcome.session),
    edge: {
      edgeId: uuidToBytes(welcome.edgeId),
      tenantId: uuidToBytes(welcome.tenantId),
      name: welcome.edgeName,
      type: welcome.edgeType,
    },
    cloudId: uuidToBytes(welcome.cloudId),
    watermarks: welcome.courses.map(courseMessage),
    window: welcome.window,
    wallClockMs: BigInt(Math.round(welcome.wallClockMs)),
    cloudVersion: welcome.cloudVersion,
    downlinkResume: BigInt(welcome.downlinkResume),
    downlinkAcked: BigInt(welcome.downlinkAcked),
  };
}

function welcomeFrom(message: WelcomeMessage): Welcome {
  const { edge, window } = message;
  if (edge === undefined || window === undefined)
    throw new AppError("PROTOCOL_ERROR", "Welcome names no edge or no window");
  return {
    type: "welcome",
    protocol: message.protocol,
    session: numberFromWire(message.session),
    edgeId: uuidFromWire(edge.edgeId),
    tenantId: uuidFromWire(edge.tenantId),
    edgeName: edge.name,
    edgeType: edge.type,
    cloudId: uuidFromWire(message.cloudId),
    cloudVersion: message.cloudVersion.slice(0, VERSION_MAX),
    courses: message.watermarks.map(courseFrom),
    window: { bytes: window.bytes, items: window.items },
    wallClockMs: numberFromWire(message.wallClockMs),
    downlinkResume: numberFromWire(message.downlinkResume),
    downlinkAcked: numberFromWire(message.downlinkAcked),
  };
}

function courseMessage({ lane, course }: LaneCourse) {
  return {
    lane: LANE_TO_WIRE[lane],
    seq: BigInt((course[0]?.first ?? 1) - 1),
    course: course.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) })),
  };
}

function courseFrom({ lane, seq, course }: LaneWatermarkMessage): LaneCourse {
  const runs = course.map(({ first, last }) => ({ first: numberFromWire(first), last: numberFromWire(last) }));
  const inOrder = { first: numberFromWire(seq) + 1, last: SEQ_MAX };
  return { lane: laneFrom(lane), course: runs.length === 0 ? [inOrder] : runs };
}

function laneFrom(lane: WireLane): Lane {
  switch (lane) {
    case WireLane.CONFIG:
      return "config";
    case WireLane.LIVE:
      return "live";
    case WireLane.TELEMETRY:
      return "telemetry";
    case WireLane.DOWNLINK:
      return "downlink";
    default:
      throw new AppError("PROTOCOL_ERROR", `Lane ${lane} is not known`);
  }
}

function uplinkLaneFrom(wire: WireLane): UplinkLane {
  const lane = laneFrom(wire);
  if (lane === "config" || lane === "telemetry") return lane;
  throw new AppError("PROTOCOL_ERROR", `Lane ${lane} has no numbers of its own that go up`);
}

/** An order of a newer edge is a wish that this version does not know. */
function orderFrom(order: WireBacklogOrder): BacklogOrder {
  switch (order) {
    case WireBacklogOrder.INTERLEAVED:
      return "interleaved";
    case WireBacklogOrder.NEWEST_FIRST:
      return "newest-first";
    default:
      return "oldest-first";
  }
}

function compressionFrom(compression: WireCompression): Compression {
  switch (compression) {
    case WireCompression.ZSTD:
      return "zstd";
    case WireCompression.NONE:
      return "none";
    default:
      throw new AppError("PROTOCOL_ERROR", `Compression ${compression} is not known`);
  }
}
