import type { MessageInitShape } from "@bufbuild/protobuf";
import { AppError } from "../core/errors.ts";
import { CHUNK_BYTES_MAX } from "../sync/blob-sender.ts";
import type { Batch, Chunk, Compression, Frame } from "../sync/frames.ts";
import { REJECTION_CODE_MAX, REJECTION_TEXT_MAX } from "../sync/rejections.ts";
import { blobFromWire, numberFromWire, sha256FromWire, uuidBytesOrNone, uuidFromWire } from "./checked.ts";
import { compress, decompress } from "./compression.ts";
import {
  diffFrom,
  diffMessage,
  digestFrom,
  digestMessage,
  entriesFrom,
  entriesMessage,
  wantedFrom,
  wantedMessage,
} from "./digest-codec.ts";
import type {
  Batch as BatchMessage,
  Chunk as ChunkMessage,
  SessionRequest,
  SessionRequestSchema,
  SessionResponse,
  SessionResponseSchema,
} from "./gen/skerry/sync/v1/sync_pb.ts";
import { Compression as WireCompression } from "./gen/skerry/sync/v1/sync_pb.ts";
import {
  helloFrom,
  helloMessage,
  settingsFrom,
  settingsMessage,
  VERSION_MAX,
  welcomeFrom,
  welcomeMessage,
} from "./greeting-codec.ts";
import { LANE_TO_WIRE, laneFrom } from "./lane-codec.ts";
import { statusFrom, statusMessage } from "./report-codec.ts";

// Frames of the protocol to protobuf and back. Both directions share all frames but the greeting.

const COMPRESSION_TO_WIRE = {
  none: WireCompression.NONE,
  zstd: WireCompression.ZSTD,
} as const satisfies Record<Compression, WireCompression>;

export function encodeRequest(frame: Frame): MessageInitShape<typeof SessionRequestSchema> {
  switch (frame.type) {
    case "hello":
      return { frame: { case: "hello", value: helloMessage(frame) } };
    case "status":
      return { frame: { case: "status", value: statusMessage(frame.report) } };
    case "digest-diff":
      return { frame: { case: "digestDiff", value: diffMessage(frame) } };
    case "entries":
      return { frame: { case: "entries", value: entriesMessage(frame) } };
    case "welcome":
    case "settings":
    case "digest":
    case "entries-wanted":
      throw new AppError("INTERNAL", `An edge does not send frame ${frame.type}`);
    default:
      return { frame: commonMessage(frame) };
  }
}

export function encodeResponse(frame: Frame): MessageInitShape<typeof SessionResponseSchema> {
  switch (frame.type) {
    case "welcome":
      return { frame: { case: "welcome", value: welcomeMessage(frame) } };
    case "settings":
      return { frame: { case: "settings", value: settingsMessage(frame.settings) } };
    case "digest":
      return { frame: { case: "digest", value: digestMessage(frame) } };
    case "entries-wanted":
      return { frame: { case: "entriesWanted", value: wantedMessage(frame) } };
    case "hello":
    case "status":
    case "digest-diff":
    case "entries":
      throw new AppError("INTERNAL", `A cloud does not send frame ${frame.type}`);
    default:
      return { frame: commonMessage(frame) };
  }
}

/** Null for a frame that this version does not know: it is skipped. @throws AppError PROTOCOL_ERROR on malformed content */
export function decodeRequest(message: SessionRequest): Frame | null {
  const { frame } = message;
  switch (frame.case) {
    case "hello":
      return helloFrom(frame.value);
    case "status":
      return { type: "status", report: statusFrom(frame.value) };
    case "digestDiff":
      return diffFrom(frame.value);
    case "entries":
      return entriesFrom(frame.value);
    default:
      return commonFrom(frame);
  }
}

/** Null for a frame that this version does not know: it is skipped. @throws AppError PROTOCOL_ERROR on malformed content */
export function decodeResponse(message: SessionResponse): Frame | null {
  const { frame } = message;
  switch (frame.case) {
    case "welcome":
      return welcomeFrom(frame.value);
    case "settings":
      return { type: "settings", settings: settingsFrom(frame.value) };
    case "digest":
      return digestFrom(frame.value);
    case "entriesWanted":
      return wantedFrom(frame.value);
    default:
      return commonFrom(frame);
  }
}

type CommonFrame = Extract<
  Frame,
  { type: "batch" | "ack" | "ping" | "pong" | "go-away" | "blob-offer" | "chunk" | "chunk-ack" }
>;
type CommonMessage = Exclude<SessionRequest["frame"], { case: "hello" | "status" | "digestDiff" | "entries" }>;

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
          tag: uuidBytesOrNone(frame.tag),
          ...(frame.heardSeq === undefined ? {} : { heardSeq: BigInt(frame.heardSeq) }),
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

function commonFrom(frame: CommonMessage): Frame | null {
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
    ...(message.tag.length === 0 ? {} : { tag: uuidFromWire(message.tag) }),
    ...(message.heardSeq === undefined ? {} : { heardSeq: numberFromWire(message.heardSeq) }),
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
