import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BlobRef } from "../../shared/core/blob-ref.ts";
import type { BlobReceiverState, WantedWrite } from "../../shared/sync/blob-receiver.ts";
import {
  chunkArrived,
  createBlobReceiver,
  offered,
  opened,
  takeWritable,
  writeFinished,
} from "../../shared/sync/blob-receiver.ts";
import type { BlobSenderState, WantedChunk } from "../../shared/sync/blob-sender.ts";
import {
  chunksAcknowledged,
  createBlobSender,
  isDelivered,
  readFinished,
  readStarted,
  transferBegun,
  wantedChunk,
} from "../../shared/sync/blob-sender.ts";
import type { Chunk, ChunkAck } from "../../shared/sync/frames.ts";

// A sender and a receiver of contents, joined by two queues, with a store behind each; the store outlives the session.

const STEPS = ["read", "deliver-chunk", "write", "deliver-ack", "cut"] as const;
const bytes = fc.integer({ min: 1, max: 120_000 });
const windows = fc.integer({ min: 1, max: 60_000 });
/** Few cuts: most transfers are to have begun before one. */
const step = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(...STEPS.slice(0, -1)) },
  { weight: 1, arbitrary: fc.constant("cut" as const) },
);
const steps = fc.array(step, { minLength: 50, maxLength: 300, size: "max" });

class Pair {
  sender: BlobSenderState = createBlobSender();
  receiver: BlobReceiverState = createBlobReceiver();
  stored = 0;
  sentBytes = 0;
  readonly blob: BlobRef;
  readonly #windowBytes: number;
  #chunks: Chunk[] = [];
  #acks: ChunkAck[] = [];
  #reading: WantedChunk | null = null;
  #writing: WantedWrite | null = null;

  constructor(size: number, windowBytes: number) {
    this.blob = { sha256: "ab".repeat(32), bytes: size };
    this.#windowBytes = windowBytes;
    this.connect();
  }

  get isDone(): boolean {
    return isDelivered(this.sender, [this.blob]);
  }

  /** A new session; what was on its way is lost. */
  connect(): void {
    this.sender = transferBegun(createBlobSender(), this.blob, 0);
    this.#chunks = [];
    this.#reading = null;
    this.#writing = null;
    this.receiver = present(offered(createBlobReceiver(), { type: "blob-offer", blob: this.blob }));
    const progress = { offset: this.stored, isDone: this.stored === this.blob.bytes };
    this.receiver = opened(this.receiver, progress);
    this.#acks = [{ type: "chunk-ack", sha256: this.blob.sha256, ...progress }];
  }

  take(step: (typeof STEPS)[number]): boolean {
    switch (step) {
      case "read":
        return this.#read();
      case "deliver-chunk": {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) this.receiver = present(chunkArrived(this.receiver, chunk, this.#windowBytes));
        return chunk !== undefined;
      }
      case "write":
        return this.#write();
      case "deliver-ack": {
        const ack = this.#acks.shift();
        if (ack !== undefined) this.sender = present(chunksAcknowledged(this.sender, ack, 1));
        return ack !== undefined;
      }
      case "cut":
        if (!this.isDone) this.connect();
        return false;
    }
  }

  settle(): void {
    const work = STEPS.filter((step) => step !== "cut");
    while (work.map((step) => this.take(step)).some(Boolean));
  }

  /** A read begins, or ends. */
  #read(): boolean {
    const reading = this.#reading;
    if (reading === null) {
      const wanted = wantedChunk(this.sender, this.#windowBytes);
      if (wanted === null) return false;
      this.sender = readStarted(this.sender);
      this.#reading = wanted;
      return true;
    }
    const content = new Uint8Array(Math.min(reading.bytesMax, this.blob.bytes - reading.offset));
    this.sender = readFinished(this.sender, content.length, 1);
    this.sentBytes += content.length;
    this.#chunks.push({ type: "chunk", sha256: this.blob.sha256, offset: reading.offset, content });
    this.#reading = null;
    return true;
  }

  /** A write begins, or ends. */
  #write(): boolean {
    if (this.#writing === null) {
      const taken = takeWritable(this.receiver);
      if (taken === null) return false;
      this.receiver = taken.receiver;
      this.#writing = taken.write;
      return true;
    }
    const { chunks, offset } = this.#writing;
    expect(offset).toBe(this.stored);
    this.stored += chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const isDone = this.stored === this.blob.bytes;
    const finished = writeFinished(this.receiver, isDone);
    this.#writing = null;
    if (finished === null) throw new Error("Nothing was being written");
    this.receiver = finished.receiver;
    this.#acks.push({ type: "chunk-ack", sha256: this.blob.sha256, offset: finished.offset, isDone });
    return true;
  }
}

function present<T extends object>(next: T | string): T {
  if (typeof next === "string") throw new Error(next);
  return next;
}

describe("a content", () => {
  test("arrives once and whole, inside the window, whatever the timing and the cuts", () => {
    fc.assert(
      fc.property(bytes, windows, steps, (size, windowBytes, list) => {
        const pair = new Pair(size, windowBytes);
        let cuts = 0;
        for (const step of list) {
          if (step === "cut" && !pair.isDone) cuts += 1;
          pair.take(step);
          const { transfer } = pair.sender;
          if (transfer === null) continue;
          const ahead = transfer.sent - transfer.acked;
          expect(ahead <= windowBytes || transfer.inFlight.length === 1).toBe(true);
        }
        pair.settle();
        expect(pair.isDone).toBe(true);
        expect(pair.stored).toBe(size);
        expect(pair.sentBytes).toBeLessThanOrEqual(size + cuts * Math.max(windowBytes, 16_384));
      }),
      { numRuns: 300 },
    );
  });

  test("is given up once nothing of it is in flight when it can't be read any more", () => {
    const pair = new Pair(100_000, 60_000);
    for (const step of ["deliver-ack", "read", "read", "deliver-chunk", "write", "write"] as const) pair.take(step);
    pair.sender = readFinished(readStarted(pair.sender), null, 1);
    expect(wantedChunk(pair.sender, 60_000)).toBeNull();
    expect(pair.isDone).toBe(false);
    pair.take("deliver-ack");
    expect(pair.isDone).toBe(true);
  });

  test.each([
    ["begins elsewhere", 1, 10],
    ["is empty", 0, 0],
    ["goes beyond its end", 0, 101],
  ])("is refused when a chunk %s", (_name, offset, length) => {
    const blob: BlobRef = { sha256: "ab".repeat(32), bytes: 100 };
    const asked = present(offered(createBlobReceiver(), { type: "blob-offer", blob }));
    const receiver = opened(asked, { offset: 0, isDone: false });
    const chunk: Chunk = { type: "chunk", sha256: blob.sha256, offset, content: new Uint8Array(length) };
    expect(chunkArrived(receiver, chunk, 1_000)).toBeString();
  });

  test("is refused when it is offered while another one is on its way", () => {
    const blob: BlobRef = { sha256: "ab".repeat(32), bytes: 100 };
    const receiver = present(offered(createBlobReceiver(), { type: "blob-offer", blob }));
    expect(offered(receiver, { type: "blob-offer", blob })).toBeString();
  });
});
