import { and, eq, inArray, sql } from "drizzle-orm";
import type { BlobRef, Hasher } from "../core/blob-ref.ts";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import type { Change } from "../entities/change.ts";
import { CONTENT_TYPES, contentOf } from "../entities/content.ts";
import { parseEntityRecord } from "../entities/entity-record-schema.ts";
import type { StoreDeps } from "./store-deps.ts";
import { blob, blobChunk, entity } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Contents of entities: files that people upload. They lie beside those that travel (blob-store.ts), so that an item can name them; an
// entity names its own by `sha256` and `dataSize` in its body, and keeps it from being removed.

const CHUNK_BYTES = 256 * 1024;

interface BlobUpload {
  readonly ownerId: Uuid;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly bytesMax: number;
  /** Sees every byte too. */
  readonly alsoHash?: Hasher;
}

export interface BlobUploadDeps extends StoreDeps {
  readonly db: Queryable;
  /** SHA-256. */
  readonly createHasher: () => Hasher;
}

/**
 * Stores a content whose hash is known at its end only: its chunks lie under a name of their own until then. One that is given up leaves
 * nothing; one that a crash cuts goes with the contents that nobody uses.
 *
 * @throws AppError PAYLOAD_TOO_LARGE, INVALID_ARGUMENT for an empty one
 */
async function uploadBlob(deps: BlobUploadDeps, upload: BlobUpload): Promise<BlobRef> {
  const { clock, db, random } = deps;
  const { ownerId } = upload;
  const name = `upload ${createUuid(clock, random)}`;
  const usedMs = Math.round(clock.nowMs());
  const row = { ownerId, totalBytes: 0, receivedBytes: 0, usedMs };
  await db.insert(blob).values({ ...row, sha256: name, isComplete: false });
  try {
    const ref = await writeChunks(deps, name, upload);
    await db.transaction(async (tx) => {
      const isKnown = await tx
        .select({ sha256: blob.sha256 })
        .from(blob)
        .where(and(is(ownerId, ref.sha256), eq(blob.isComplete, true)))
        .for("update");
      if (isKnown.length === 0) {
        // A part of it may have come another way.
        await remove(tx, ownerId, ref.sha256);
        await tx
          .update(blobChunk)
          .set({ sha256: ref.sha256 })
          .where(and(eq(blobChunk.ownerId, ownerId), eq(blobChunk.sha256, name)));
        const sizes = { totalBytes: ref.bytes, receivedBytes: ref.bytes };
        await tx.insert(blob).values({ ...row, ...sizes, sha256: ref.sha256, isComplete: true });
      }
      await remove(tx, ownerId, name);
    });
    return ref;
  } catch (error) {
    await db.transaction((tx) => remove(tx, ownerId, name));
    throw error;
  }
}

async function writeChunks(
  { createHasher, db }: BlobUploadDeps,
  name: string,
  { ownerId, chunks, bytesMax, alsoHash }: BlobUpload,
): Promise<BlobRef> {
  const hasher = createHasher();
  let bytes = 0;
  for await (const content of ofSize(chunks, CHUNK_BYTES)) {
    if (bytes + content.length > bytesMax) {
      throw new AppError("PAYLOAD_TOO_LARGE", `The file exceeds the limit of ${bytesMax} bytes`);
    }
    hasher.update(content);
    alsoHash?.update(content);
    await db.insert(blobChunk).values({ ownerId, sha256: name, start: bytes, content });
    bytes += content.length;
  }
  if (bytes === 0) throw new AppError("INVALID_ARGUMENT", "The file is empty");
  return { sha256: hasher.digest(), bytes };
}

/** The same bytes in pieces of one size; the last one may be smaller. */
async function* ofSize(chunks: BlobUpload["chunks"], size: number): AsyncIterable<Uint8Array> {
  let piece = new Uint8Array(size);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + size - filled);
      piece.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < size) continue;
      yield piece;
      piece = new Uint8Array(size);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/** The bytes of a content, some at a time; ends early when it is not all there. */
async function* readBlob(db: Queryable, ownerId: Uuid, { sha256, bytes }: BlobRef): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes;) {
    const [row] = await db
      .select({ content: blobChunk.content })
      .from(blobChunk)
      .where(and(eq(blobChunk.ownerId, ownerId), eq(blobChunk.sha256, sha256), eq(blobChunk.start, offset)));
    if (row === undefined) return;
    yield row.content;
    offset += row.content.length;
  }
}

/** The content that has to be there before the change is applied; null: none. */
export function contentNamedBy(change: Change): BlobRef | null {
  if (change.kind !== "entity-saved" || !CONTENT_TYPES.includes(change.entity.type)) return null;
  return contentOf(parseEntityRecord(change.body));
}

/** Hashes of the contents that entities name. */
export async function readNamedContents(db: Queryable): Promise<readonly string[]> {
  const rows = await db
    .selectDistinct({ sha256: sql<string | null>`${entity.body} ->> 'sha256'` })
    .from(entity)
    .where(inArray(entity.entityType, [...CONTENT_TYPES]));
  return rows.flatMap(({ sha256 }) => sha256 ?? []);
}

async function remove(tx: Queryable, ownerId: Uuid, sha256: string): Promise<void> {
  await tx.delete(blobChunk).where(and(eq(blobChunk.ownerId, ownerId), eq(blobChunk.sha256, sha256)));
  await tx.delete(blob).where(is(ownerId, sha256));
}

function is(ownerId: Uuid, sha256: string) {
  return and(eq(blob.ownerId, ownerId), eq(blob.sha256, sha256));
}

/** The files of entities, as REST needs them. */
export interface Contents {
  /** The largest that is taken. */
  readonly bytesMax: number;
  upload(tenantId: Uuid, file: Pick<BlobUpload, "chunks" | "alsoHash">): Promise<BlobRef>;
  read(tenantId: Uuid, content: BlobRef): AsyncIterable<Uint8Array>;
}

export interface ContentsOptions {
  readonly bytesMax: number;
  /** Under whose name the files of a tenant lie. */
  readonly ownerOf: (tenantId: Uuid) => Uuid;
}

export function createContents(deps: BlobUploadDeps, { bytesMax, ownerOf }: ContentsOptions): Contents {
  return {
    bytesMax,
    upload: (tenantId, file) => uploadBlob(deps, { ...file, ownerId: ownerOf(tenantId), bytesMax }),
    read: (tenantId, content) => readBlob(deps.db, ownerOf(tenantId), content),
  };
}
