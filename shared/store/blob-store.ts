import { and, eq, inArray, lt, sql } from "drizzle-orm";
import type { BlobRef, Hasher } from "../core/blob-ref.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { blob, blobChunk } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Contents that are too large for an item, under the name of their SHA-256, in chunks: nobody has to hold one whole.
//
// States of a content: partial (chunks lie from 0 up to received_bytes), complete (all bytes are there and were compared with the
// hash). One whose hash is another is removed. Contents belong to an owner, so that knowing a hash is no key to what others have.

/** Contents of one owner. */
export interface BlobStore {
  /** Keeps `bytes` in the caller's transaction. */
  put(tx: Queryable, bytes: Uint8Array): Promise<BlobRef>;
  /** How much of it is here; `isDone` also when it is refused for its size. */
  open(ref: BlobRef): Promise<{ readonly offset: number; readonly isDone: boolean }>;
  /**
   * Appends chunks; behind the last one compares the hash, and keeps nothing when it is another.
   *
   * @throws AppError CANCELLED when less than `offset` bytes are here
   */
  write(chunks: BlobChunks): Promise<{ readonly isDone: boolean }>;
  /** At least one byte from `offset` on, at most `bytesMax`; null: not here. */
  read(range: BlobRange): Promise<Uint8Array | null>;
  /** Whether all of it is here and was compared with its hash. */
  has(tx: Queryable, ref: BlobRef): Promise<boolean>;
  /** The whole of it; null: it is not here, not complete, or larger than `bytesMax`. */
  readWhole(tx: Queryable, ref: BlobRef, bytesMax: number): Promise<Uint8Array | null>;
}

export interface BlobChunks {
  readonly blob: BlobRef;
  readonly offset: number;
  readonly chunks: readonly Uint8Array[];
}

export interface BlobRange {
  readonly blob: BlobRef;
  readonly offset: number;
  readonly bytesMax: number;
}

export interface BlobStoreDeps {
  readonly db: Queryable;
  readonly clock: Clock;
  /** SHA-256. */
  readonly createHasher: () => Hasher;
}

export interface BlobStoreOptions {
  readonly ownerId: Uuid;
  /** Contents of others beyond it are refused. */
  readonly bytesMax: number;
}

/** A content that nobody refers to stays for so long, so that a transfer can go on after an outage. */
export const UNUSED_KEPT_MS = 2 * 24 * 3_600_000;
/** How old the note of the last use may get. */
const USED_WITHIN_MS = 3_600_000;
const CHUNK_BYTES = 256 * 1024;
const REMOVED_AT_ONCE_MAX = 100;

export function createBlobStore(deps: BlobStoreDeps, options: BlobStoreOptions): BlobStore {
  return new OwnedBlobs(deps, options);
}

/** Removes contents that nobody used for UNUSED_KEPT_MS, some at a time. @returns how many */
export function removeUnusedBlobs(db: Queryable, nowMs: number): Promise<number> {
  return db.transaction(async (tx) => {
    const unused = await tx
      .select({ ownerId: blob.ownerId, sha256: blob.sha256 })
      .from(blob)
      .where(lt(blob.usedMs, Math.round(nowMs - UNUSED_KEPT_MS)))
      .limit(REMOVED_AT_ONCE_MAX)
      .for("update");
    for (const { ownerId, sha256 } of unused) {
      await tx.delete(blobChunk).where(and(eq(blobChunk.ownerId, ownerId), eq(blobChunk.sha256, sha256)));
      await tx.delete(blob).where(and(eq(blob.ownerId, ownerId), eq(blob.sha256, sha256)));
    }
    return unused.length;
  });
}

/** Notes that these contents are still referred to. */
export async function keepBlobs(db: Queryable, hashes: readonly string[], nowMs: number): Promise<void> {
  if (hashes.length === 0) return;
  await db
    .update(blob)
    .set({ usedMs: Math.round(nowMs) })
    .where(and(inArray(blob.sha256, [...hashes]), lt(blob.usedMs, Math.round(nowMs - USED_WITHIN_MS))));
}

/** Whether all of a content of this owner is here and was compared with its hash. */
export async function hasBlob(db: Queryable, ownerId: Uuid, { sha256, bytes }: BlobRef): Promise<boolean> {
  const isIt = and(eq(blob.ownerId, ownerId), eq(blob.sha256, sha256), eq(blob.totalBytes, bytes));
  const rows = await db
    .select({ sha256: blob.sha256 })
    .from(blob)
    .where(and(isIt, eq(blob.isComplete, true)));
  return rows.length > 0;
}

class OwnedBlobs implements BlobStore {
  readonly #deps: BlobStoreDeps;
  readonly #ownerId: Uuid;
  readonly #bytesMax: number;

  constructor(deps: BlobStoreDeps, { ownerId, bytesMax }: BlobStoreOptions) {
    this.#deps = deps;
    this.#ownerId = ownerId;
    this.#bytesMax = bytesMax;
  }

  async put(tx: Queryable, bytes: Uint8Array): Promise<BlobRef> {
    const hasher = this.#deps.createHasher();
    hasher.update(bytes);
    const ref: BlobRef = { sha256: hasher.digest(), bytes: bytes.length };
    const usedMs = this.#nowMs();
    const known = await tx
      .update(blob)
      .set({ usedMs })
      .where(and(this.#is(ref), eq(blob.isComplete, true)))
      .returning({ sha256: blob.sha256 });
    if (known.length > 0) return ref;
    await this.#remove(tx, ref);
    await tx.insert(blob).values({ ...this.#row(ref), receivedBytes: ref.bytes, isComplete: true });
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
      await tx.insert(blobChunk).values({
        ownerId: this.#ownerId,
        sha256: ref.sha256,
        start,
        content: bytes.subarray(start, start + CHUNK_BYTES),
      });
    }
    return ref;
  }

  async open(ref: BlobRef): Promise<{ readonly offset: number; readonly isDone: boolean }> {
    const { db } = this.#deps;
    if (ref.bytes > this.#bytesMax) return { offset: 0, isDone: true };
    await db.insert(blob).values(this.#row(ref)).onConflictDoNothing();
    const [row] = await db
      .update(blob)
      .set({ usedMs: this.#nowMs() })
      .where(this.#is(ref))
      .returning({ totalBytes: blob.totalBytes, receivedBytes: blob.receivedBytes, isComplete: blob.isComplete });
    if (row === undefined)
      throw new AppError("INTERNAL", "A content went away while it was opened", { retryable: true });
    // Of one hash and two sizes at most one is true; the items that name the other are refused.
    if (row.isComplete || row.totalBytes !== ref.bytes) return { offset: row.receivedBytes, isDone: true };
    if (row.receivedBytes < row.totalBytes) return { offset: row.receivedBytes, isDone: false };
    await this.#verify(ref);
    return { offset: ref.bytes, isDone: true };
  }

  async write({ blob: ref, offset, chunks }: BlobChunks): Promise<{ readonly isDone: boolean }> {
    const content = joinBytes(chunks);
    const end = offset + content.length;
    const isComplete = await this.#deps.db.transaction(async (tx) => {
      // What a crash takes is sent again: the sender goes on where the receiver is.
      await tx.execute(sql`set local synchronous_commit = off`);
      const [row] = await tx
        .select({ receivedBytes: blob.receivedBytes, isComplete: blob.isComplete })
        .from(blob)
        .where(this.#is(ref))
        .for("update");
      if (row === undefined || row.receivedBytes < offset)
        throw new AppError("CANCELLED", "A content went away while it arrived", { retryable: true });
      // An older session of the same edge may have brought a part of it meanwhile.
      const rest = content.subarray(row.receivedBytes - offset);
      if (row.isComplete || rest.length === 0) return row.isComplete;
      const chunk = { ownerId: this.#ownerId, sha256: ref.sha256, start: row.receivedBytes, content: rest };
      await tx.insert(blobChunk).values(chunk);
      await tx.update(blob).set({ receivedBytes: end, usedMs: this.#nowMs() }).where(this.#is(ref));
      return false;
    });
    if (isComplete) return { isDone: true };
    if (end < ref.bytes) return { isDone: false };
    await this.#verify(ref);
    return { isDone: true };
  }

  async read({ blob: ref, offset, bytesMax }: BlobRange): Promise<Uint8Array | null> {
    const nowMs = this.#nowMs();
    const used = sql`update ${blob} set used_ms = ${nowMs} where ${this.#is(ref)} and used_ms < ${nowMs - USED_WITHIN_MS}`;
    const rows = await this.#deps.db.execute<{ content: Uint8Array }>(sql`
      with used as (${used})
      select substring(content from (${offset}::bigint - start + 1)::int for ${bytesMax}::int) as content
      from ${blobChunk} where ${this.#isChunkOf(ref)} and start <= ${offset} order by start desc limit 1`);
    const content = rows[0]?.content;
    return content === undefined || content.length === 0 ? null : content;
  }

  has(tx: Queryable, ref: BlobRef): Promise<boolean> {
    return hasBlob(tx, this.#ownerId, ref);
  }

  async readWhole(tx: Queryable, ref: BlobRef, bytesMax: number): Promise<Uint8Array | null> {
    if (ref.bytes > bytesMax) return null;
    if (!(await this.has(tx, ref))) return null;
    const whole = new Uint8Array(ref.bytes);
    let offset = 0;
    for await (const chunk of this.#chunks(tx, ref)) {
      whole.set(chunk, offset);
      offset += chunk.length;
    }
    return offset === ref.bytes ? whole : null;
  }

  /** Reads it again from the database, so that what is compared is what is there. */
  async #verify(ref: BlobRef): Promise<void> {
    const { db } = this.#deps;
    const hasher = this.#deps.createHasher();
    for await (const chunk of this.#chunks(db, ref)) hasher.update(chunk);
    if (hasher.digest() === ref.sha256) await db.update(blob).set({ isComplete: true }).where(this.#is(ref));
    else await db.transaction((tx) => this.#remove(tx, ref));
  }

  async *#chunks(tx: Queryable, ref: BlobRef): AsyncIterable<Uint8Array> {
    for (let offset = 0; offset < ref.bytes;) {
      const [row] = await tx
        .select({ content: blobChunk.content })
        .from(blobChunk)
        .where(and(this.#isChunkOf(ref), eq(blobChunk.start, offset)));
      if (row === undefined) return;
      yield row.content;
      offset += row.content.length;
    }
  }

  async #remove(tx: Queryable, ref: BlobRef): Promise<void> {
    await tx.delete(blobChunk).where(this.#isChunkOf(ref));
    await tx.delete(blob).where(this.#is(ref));
  }

  #row({ sha256, bytes }: BlobRef) {
    const usedMs = this.#nowMs();
    return { ownerId: this.#ownerId, sha256, totalBytes: bytes, receivedBytes: 0, isComplete: false, usedMs };
  }

  #is({ sha256 }: BlobRef) {
    return and(eq(blob.ownerId, this.#ownerId), eq(blob.sha256, sha256));
  }

  #isChunkOf({ sha256 }: BlobRef) {
    return and(eq(blobChunk.ownerId, this.#ownerId), eq(blobChunk.sha256, sha256));
  }

  #nowMs(): number {
    return Math.round(this.#deps.clock.nowMs());
  }
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
