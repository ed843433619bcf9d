import type { BlobRef } from "../core/blob-ref.ts";
import type { ChunkAck } from "./frames.ts";
import type { Pace } from "./pace.ts";
import { createPace, frameBytesFor, paceAfter, paceWindow } from "./pace.ts";

// The sending end of contents that travel ahead of the items that name them. Pure: each function returns the next state.
//
// Steps of a transfer, of which there is one at a time:
//   offered   the peer was told; it answers with the offset up to which it has the content
//   sending   chunks follow each other from there on, inside the window; each acknowledgement frees some
//   gone      the content can't be read here any more: nothing more is sent, and the items go without it, to be refused
// Invariants: acked <= sent <= blob.bytes; inFlight fills (acked, sent] without a gap; one read at a time.

export interface BlobSenderState {
  readonly transfer: BlobTransfer | null;
  /** Contents that the peer is done with, of batches that did not go out yet. */
  readonly done: readonly string[];
  readonly pace: Pace;
}

export interface BlobTransfer {
  readonly blob: BlobRef;
  readonly step: "offered" | "sending" | "gone";
  readonly acked: number;
  readonly sent: number;
  readonly isReading: boolean;
  readonly inFlight: readonly ChunkInFlight[];
  /** When `acked` last moved; monotonic ms. */
  readonly progressMs: number;
}

interface ChunkInFlight {
  readonly end: number;
  readonly sentMs: number;
  /** Bytes of contents that were acknowledged when it was sent. */
  readonly deliveredBefore: number;
}

/** The next chunk to read: from `offset` on, about so many bytes, but at least one. */
export interface WantedChunk {
  readonly blob: BlobRef;
  readonly offset: number;
  readonly bytesMax: number;
}

/** No chunk is larger, however fast the link is. */
export const CHUNK_BYTES_MAX = 256 * 1024;

export function createBlobSender(): BlobSenderState {
  return { transfer: null, done: [], pace: createPace() };
}

/** Whether a batch that names these contents may go out. */
export function isDelivered({ done }: BlobSenderState, blobs: readonly BlobRef[]): boolean {
  return blobs.every(({ sha256 }) => done.includes(sha256));
}

export function transferBegun(sender: BlobSenderState, blob: BlobRef, nowMs: number): BlobSenderState {
  const transfer: BlobTransfer = {
    blob,
    step: "offered",
    acked: 0,
    sent: 0,
    isReading: false,
    inFlight: [],
    progressMs: nowMs,
  };
  return { ...sender, transfer };
}

/** The batch that named them is out. */
export function forgetBlobs(sender: BlobSenderState, blobs: readonly BlobRef[]): BlobSenderState {
  if (blobs.length === 0) return sender;
  return { ...sender, done: sender.done.filter((sha256) => !blobs.some((blob) => blob.sha256 === sha256)) };
}

/** What to read next; null when nothing is wanted now. A chunk larger than the window travels alone. */
export function wantedChunk({ transfer, pace }: BlobSenderState, grantedBytes: number): WantedChunk | null {
  if (transfer?.step !== "sending" || transfer.isReading || transfer.sent === transfer.blob.bytes) return null;
  const windowBytes = paceWindow(pace, grantedBytes);
  const bytesMax = Math.min(CHUNK_BYTES_MAX, frameBytesFor(windowBytes));
  const bytesInFlight = transfer.sent - transfer.acked;
  if (bytesInFlight > 0 && bytesInFlight + bytesMax > windowBytes) return null;
  return { blob: transfer.blob, offset: transfer.sent, bytesMax };
}

export function readStarted(sender: BlobSenderState): BlobSenderState {
  const { transfer } = sender;
  return transfer === null ? sender : { ...sender, transfer: { ...transfer, isReading: true } };
}

/** Notes that a chunk of `bytes` was read and goes out; null: the content is not there. */
export function readFinished(sender: BlobSenderState, bytes: number | null, nowMs: number): BlobSenderState {
  const { transfer } = sender;
  if (transfer === null) return sender;
  if (bytes === null) return givenUp({ ...sender, transfer: { ...transfer, step: "gone", isReading: false } });
  const end = transfer.sent + bytes;
  const progressMs = transfer.inFlight.length === 0 ? nowMs : transfer.progressMs;
  const inFlight = [...transfer.inFlight, { end, sentMs: nowMs, deliveredBefore: sender.pace.delivered }];
  return { ...sender, transfer: { ...transfer, sent: end, isReading: false, inFlight, progressMs } };
}

/** @returns a text that says what is wrong, when the peer acknowledges what was never sent, or goes back */
export function chunksAcknowledged(
  sender: BlobSenderState,
  { sha256, offset, isDone }: ChunkAck,
  nowMs: number,
): BlobSenderState | string {
  const { transfer } = sender;
  if (transfer?.blob.sha256 !== sha256) return "Acknowledgement of a chunk of a content that is not being sent";
  if (isDone) return { ...sender, transfer: null, done: [...sender.done, sha256] };
  if (transfer.step === "offered") {
    if (offset >= transfer.blob.bytes) return `A content of ${transfer.blob.bytes} bytes can't go on at ${offset}`;
    return { ...sender, transfer: { ...transfer, step: "sending", acked: offset, sent: offset, progressMs: nowMs } };
  }
  const newest = transfer.inFlight.findLast(({ end }) => end <= offset);
  if (newest?.end !== offset) return `Acknowledgement of chunks up to ${offset}, expected the end of one in flight`;
  const pace = paceAfter(sender.pace, {
    bytes: offset - transfer.acked,
    deliveredBefore: newest.deliveredBefore,
    elapsedMs: nowMs - newest.sentMs,
    isBusy: transfer.sent < transfer.blob.bytes,
  });
  const inFlight = transfer.inFlight.filter(({ end }) => end > offset);
  return givenUp({ ...sender, pace, transfer: { ...transfer, acked: offset, inFlight, progressMs: nowMs } });
}

/** What is gone holds up nothing, once the peer has no more of it in its hands. */
function givenUp(sender: BlobSenderState): BlobSenderState {
  const { transfer } = sender;
  if (transfer?.step !== "gone" || transfer.inFlight.length > 0) return sender;
  return { ...sender, transfer: null, done: [...sender.done, transfer.blob.sha256] };
}
