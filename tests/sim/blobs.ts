import type { BlobRef } from "../../shared/core/blob-ref.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { WantedWrite } from "../../shared/sync/blob-receiver.ts";
import type { WantedChunk } from "../../shared/sync/blob-sender.ts";

// Contents that travel in chunks, as shared/store/blob-store.ts keeps them. Each is made from a number, so that nobody has to hold it.

interface Incoming {
  readonly blob: BlobRef;
  readonly bytes: Uint8Array;
  received: number;
  isComplete: boolean;
}

/** Some chunks each: none is smaller than 4 KiB. */
const CONTENT_BYTES = 10_000;
const CONTENT_SPAN = 13;

function makeContent(number: number): Uint8Array {
  const words = new Int32Array((CONTENT_BYTES + (number % CONTENT_SPAN) * 1_000) / 4);
  let state = number | 1;
  for (let index = 0; index < words.length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer);
}

/** No hash that anybody would trust, but it tells contents apart. */
function hashOf(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const word of new Int32Array(bytes.buffer)) hash = Math.imul(hash ^ word, 0x01000193);
  return (hash >>> 0).toString(16).padStart(64, "0");
}

export class SimBlobs {
  readonly #made = new Map<string, Uint8Array>();
  readonly #refs = new Map<number, BlobRef>();
  readonly #incoming = new Map<string, Incoming>();

  /** The content of this number, here to be read. */
  make(number: number): BlobRef {
    const known = this.#refs.get(number);
    if (known !== undefined) return known;
    const bytes = makeContent(number);
    const ref: BlobRef = { sha256: hashOf(bytes), bytes: bytes.length };
    this.#made.set(ref.sha256, bytes);
    this.#refs.set(number, ref);
    return ref;
  }

  open(blob: BlobRef): { readonly offset: number; readonly isDone: boolean } {
    const known = this.#incoming.get(blob.sha256);
    if (known !== undefined) return { offset: this.resumeAt(known), isDone: known.isComplete };
    this.#incoming.set(blob.sha256, { blob, bytes: new Uint8Array(blob.bytes), received: 0, isComplete: false });
    return { offset: 0, isDone: false };
  }

  resumeAt({ received }: Incoming): number {
    return received;
  }

  write({ blob, offset, chunks }: WantedWrite): { readonly isDone: boolean } {
    const incoming = this.#incoming.get(blob.sha256);
    if (incoming === undefined || incoming.received < offset)
      throw new AppError("CANCELLED", "A content went away while it arrived");
    let end = offset;
    for (const chunk of chunks) {
      if (end >= incoming.received) {
        incoming.bytes.set(chunk, end);
        incoming.received = end + chunk.length;
      }
      end += chunk.length;
    }
    if (incoming.received < blob.bytes) return { isDone: incoming.isComplete };
    if (hashOf(incoming.bytes) === blob.sha256) incoming.isComplete = true;
    else this.#incoming.delete(blob.sha256);
    return { isDone: true };
  }

  read({ blob, offset, bytesMax }: WantedChunk): Uint8Array | null {
    return this.#made.get(blob.sha256)?.subarray(offset, offset + bytesMax) ?? null;
  }

  /** Whether the content of this number arrived. */
  isWhole(number: number): boolean {
    return this.#incoming.get(hashOf(makeContent(number)))?.isComplete ?? false;
  }

  /** A loss of power, or a database that is set back: what arrived in part is gone, or a piece of it. */
  loseParts(share: number): void {
    for (const incoming of this.#incoming.values()) {
      if (!incoming.isComplete) incoming.received = 4 * Math.floor((incoming.received / 4) * share);
    }
  }
}
