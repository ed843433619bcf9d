import { chunkArrived, offered, opened, takeWritable, writeFinished } from "./blob-receiver.ts";
import {
  chunksAcknowledged,
  isDelivered,
  readFinished,
  readStarted,
  transferBegun,
  wantedChunk,
} from "./blob-sender.ts";
import type { BlobOffer, Chunk, ChunkAck } from "./frames.ts";
import type { SessionEffect, SessionEvent, SessionState, Step } from "./session-state.ts";
import { fail, send, stay } from "./session-state.ts";

// What a live session does with contents that travel in chunks.

type Event<T extends SessionEvent["type"]> = Extract<SessionEvent, { type: T }>;

export function onBlobOffer(state: SessionState, offer: BlobOffer): Step {
  const next = offered(state.blobReceiver, offer);
  if (typeof next === "string") return fail(state, "PROTOCOL_ERROR", next);
  return { state: { ...state, blobReceiver: next }, effects: [{ type: "open-blob", blob: offer.blob }] };
}

export function onBlobOpened(state: SessionState, progress: Event<"blob-opened">): Step {
  const sha256 = state.blobReceiver.transfer?.blob.sha256;
  if (sha256 === undefined) return fail(state, "INTERNAL", "No content was being opened");
  const next = { ...state, blobReceiver: opened(state.blobReceiver, progress) };
  return send(next, { type: "chunk-ack", sha256, offset: progress.offset, isDone: progress.isDone });
}

export function onChunk(state: SessionState, chunk: Chunk): Step {
  const next = chunkArrived(state.blobReceiver, chunk, state.window.bytes);
  if (typeof next === "string") return fail(state, "PROTOCOL_ERROR", next);
  return stay({ ...state, blobReceiver: next });
}

export function onChunksWritten(state: SessionState, { isDone }: Event<"chunks-written">): Step {
  const next = writeFinished(state.blobReceiver, isDone);
  if (next === null) return fail(state, "INTERNAL", "No chunks were being written");
  const { receiver, blob, offset } = next;
  return send({ ...state, blobReceiver: receiver }, { type: "chunk-ack", sha256: blob.sha256, offset, isDone });
}

export function onChunkRead(state: SessionState, { content }: Event<"chunk-read">, nowMs: number): Step {
  const { transfer } = state.blobSender;
  if (transfer?.isReading !== true) return fail(state, "INTERNAL", "No chunk was being read");
  const next = { ...state, blobSender: readFinished(state.blobSender, content?.length ?? null, nowMs) };
  if (content === null) return stay(next);
  return send(next, { type: "chunk", sha256: transfer.blob.sha256, offset: transfer.sent, content });
}

export function onChunkAck(state: SessionState, ack: ChunkAck, nowMs: number): Step {
  const next = chunksAcknowledged(state.blobSender, ack, nowMs);
  if (typeof next === "string") return fail(state, "PROTOCOL_ERROR", next);
  return stay({ ...state, blobSender: next });
}

/** Starts what can go on: the offer of what the next batches wait for, a read, a write. */
export function pumpBlobs(state: SessionState, nowMs: number, effects: SessionEffect[]): SessionState {
  let { blobReceiver, blobSender } = state;
  const missing = state.senders
    .flatMap(({ staged }) => staged[0]?.blobs ?? [])
    .find((blob) => !isDelivered(blobSender, [blob]));
  if (blobSender.transfer === null && missing !== undefined) {
    blobSender = transferBegun(blobSender, missing, nowMs);
    effects.push({ type: "send", frame: { type: "blob-offer", blob: missing } });
  }
  const wanted = wantedChunk(blobSender, state.window.bytes);
  if (wanted !== null) {
    blobSender = readStarted(blobSender);
    effects.push({ type: "read-chunk", ...wanted });
  }
  const writable = takeWritable(blobReceiver);
  if (writable !== null) {
    blobReceiver = writable.receiver;
    effects.push({ type: "write-chunks", ...writable.write });
  }
  const isSame = blobSender === state.blobSender && blobReceiver === state.blobReceiver;
  return isSame ? state : { ...state, blobReceiver, blobSender };
}
