import type { BlobRef } from "../core/blob-ref.ts";
import { CHUNK_BYTES_MAX } from "./blob-sender.ts";
import type { BlobOffer, Chunk } from "./frames.ts";

// The receiving end of contents that travel ahead of the items that name them. Pure: each function returns the next state.
//
// Steps of a transfer, of which there is one at a time:
//   opening    the store is asked what is there already
//   receiving  chunks arrive, each at `received`, and are written in order; what is written is acknowledged
// Invariants: written <= received <= blob.bytes; `writing`, then `pending` fill (written, received] without a gap.

export interface BlobReceiverState {
  readonly transfer: IncomingTransfer | null;
}

interface IncomingTransfer {
  readonly blob: BlobRef;
  readonly step: "opening" | "receiving";
  readonly written: number;
  readonly received: number;
  readonly pending: readonly Uint8Array[];
  /** Bytes of the write that is under way; 0: none. */
  readonly writing: number;
}

/** Chunks to be written in one transaction, from `offset` on. */
export interface WantedWrite {
  readonly blob: BlobRef;
  readonly offset: number;
  readonly chunks: readonly Uint8Array[];
}

/** What the store has of a content. `isDone`: all of it, or it is refused and no more is wanted. */
export interface BlobProgress {
  readonly offset: number;
  readonly isDone: boolean;
}

export function createBlobReceiver(): BlobReceiverState {
  return { transfer: null };
}

/** @returns a text that says what is wrong */
export function offered({ transfer }: BlobReceiverState, { blob }: BlobOffer): BlobReceiverState | string {
  // One that was given up by its sender is replaced.
  if (transfer !== null && (transfer.step === "opening" || transfer.written < transfer.received))
    return "A content is offered while another one is on its way";
  return { transfer: { blob, step: "opening", written: 0, received: 0, pending: [], writing: 0 } };
}

export function opened({ transfer }: BlobReceiverState, { offset, isDone }: BlobProgress): BlobReceiverState {
  if (transfer === null || isDone) return { transfer: null };
  return { transfer: { ...transfer, step: "receiving", written: offset, received: offset } };
}

/** @returns a text that says what is wrong, when the chunk does not follow the one before or exceeds the window granted */
export function chunkArrived(
  { transfer }: BlobReceiverState,
  { sha256, offset, content }: Chunk,
  grantedBytes: number,
): BlobReceiverState | string {
  if (transfer?.step !== "receiving" || transfer.blob.sha256 !== sha256)
    return "A chunk of a content that is not expected";
  if (offset !== transfer.received) return `A chunk begins at ${offset}, expected ${transfer.received}`;
  const received = offset + content.length;
  if (content.length === 0 || content.length > CHUNK_BYTES_MAX || received > transfer.blob.bytes)
    return `A chunk of ${content.length} bytes at ${offset} of ${transfer.blob.bytes}`;
  if (offset > transfer.written && received - transfer.written > grantedBytes)
    return `Chunks exceed the window of ${grantedBytes} bytes`;
  return { transfer: { ...transfer, received, pending: [...transfer.pending, content] } };
}

/** Takes what is to be written in one transaction: about one chunk of full size. */
export function takeWritable(
  receiver: BlobReceiverState,
): { readonly receiver: BlobReceiverState; readonly write: WantedWrite } | null {
  const { transfer } = receiver;
  if (transfer === null || transfer.writing > 0 || transfer.pending.length === 0) return null;
  let writing = 0;
  let taken = 0;
  for (const chunk of transfer.pending) {
    if (taken > 0 && writing + chunk.length > CHUNK_BYTES_MAX) break;
    writing += chunk.length;
    taken += 1;
  }
  return {
    receiver: { transfer: { ...transfer, writing, pending: transfer.pending.slice(taken) } },
    write: { blob: transfer.blob, offset: transfer.written, chunks: transfer.pending.slice(0, taken) },
  };
}

/** @returns up to where the content is written now; null when nothing was being written */
export function writeFinished(
  { transfer }: BlobReceiverState,
  isDone: boolean,
): { readonly receiver: BlobReceiverState; readonly blob: BlobRef; readonly offset: number } | null {
  if (transfer === null || transfer.writing === 0) return null;
  const written = transfer.written + transfer.writing;
  const receiver = { transfer: isDone ? null : { ...transfer, written, writing: 0 } };
  return { receiver, blob: transfer.blob, offset: written };
}
