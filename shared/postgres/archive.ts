import { pipeline } from "node:stream/promises";
import { createZstdDecompress, constants as zlibConstants, zstdCompressSync } from "node:zlib";
import { AppError } from "../core/errors.ts";

// Layout: the length of the header as uint32 (little endian), the header as JSON, the bytes of all files in its order; all of it
// compressed with zstd. It is read as a stream: never is all of it in memory, and what is read of the program is not mapped.

/** A file of the server, with its path below the server's directory. */
export type Entry =
  | { readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  /** A symbolic link to the name `link` in the same directory. */
  | { readonly path: string; readonly link: string }
  /** The same file as the earlier entry `same`: most time zones have several names. */
  | { readonly path: string; readonly same: string };

/** Entries that can be gone through once; several loops may share them. Whoever comes to the end knows that nothing is damaged. */
export interface EntrySource {
  readonly paths: readonly string[];
  readonly entries: IterableIterator<Entry> | AsyncIterableIterator<Entry>;
}

/** 4 MB; reading needs as much memory. A window of 32 MB would save 2 % of the size. */
const WINDOW_LOG = 22;
const HEADER_BYTES_MAX = 1_048_576;
const CHUNK_BYTES = 262_144;

/** @param level of zstd, 1 to 22 */
export function packEntries(entries: readonly Entry[], level: number): Uint8Array {
  const header = Buffer.from(JSON.stringify(entries.map(toHeaderItem)));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const contents = entries.map((entry) => ("bytes" in entry ? entry.bytes : new Uint8Array()));
  const params = {
    [zlibConstants.ZSTD_c_compressionLevel]: level,
    [zlibConstants.ZSTD_c_windowLog]: WINDOW_LOG,
    [zlibConstants.ZSTD_c_checksumFlag]: 1,
  };
  return new Uint8Array(zstdCompressSync(Buffer.concat([length, header, ...contents]), { params }));
}

/**
 * Hands the entries of what packEntries made to `use`.
 *
 * @param archive its bytes in order
 * @throws AppError INTERNAL when they are damaged, and what `use` throws
 */
export async function readArchive(
  archive: AsyncIterable<Uint8Array>,
  use: (source: EntrySource) => Promise<void>,
): Promise<void> {
  try {
    await pipeline(archive, createZstdDecompress({ chunkSize: CHUNK_BYTES }), async (plain) => {
      const reader = new ByteReader(plain as AsyncIterable<Uint8Array>); // bytes, since no encoding is set
      const header = await readHeader(reader);
      await use({ paths: header.map(({ path }) => path), entries: readEntries(reader, header) });
    });
  } catch (error) {
    if (error instanceof Error && "code" in error && String(error.code).startsWith("ZSTD_")) throw damaged(error);
    throw error;
  }
}

interface HeaderItem {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly link?: string;
  readonly same?: string;
}

function toHeaderItem(entry: Entry): object {
  return "bytes" in entry ? { path: entry.path, mode: entry.mode, size: entry.bytes.length } : entry;
}

async function readHeader(reader: ByteReader): Promise<readonly HeaderItem[]> {
  const length = (await reader.take(4)).readUInt32LE();
  if (length > HEADER_BYTES_MAX) throw damaged(`its header has ${length} bytes`);
  const text = (await reader.take(length)).toString("utf8");
  try {
    // Made by packEntries; that the bytes are those is checked at the end.
    return JSON.parse(text) as readonly HeaderItem[];
  } catch (error) {
    throw damaged(error);
  }
}

async function* readEntries(reader: ByteReader, header: readonly HeaderItem[]): AsyncGenerator<Entry> {
  for (const { path, mode, size, link, same } of header) {
    if (link !== undefined) yield { path, link };
    else if (same !== undefined) yield { path, same };
    else yield { path, mode, bytes: await reader.take(size) };
  }
  await reader.expectEnd();
}

/** Takes exact lengths out of a sequence of chunks. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(length);
    for (let filled = 0; filled < length;) {
      if (this.#rest.length === 0) this.#rest = await this.#nextChunk();
      const part = this.#rest.subarray(0, length - filled);
      bytes.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return bytes;
  }

  /** zstd compares its checksum when its end is read. */
  async expectEnd(): Promise<void> {
    const { done } = await this.#chunks.next();
    if (this.#rest.length > 0 || done !== true) throw damaged("it goes on after its last file");
  }

  async #nextChunk(): Promise<Uint8Array> {
    const next = await this.#chunks.next();
    if (next.done === true) throw damaged("it ends early");
    return next.value;
  }
}

function damaged(reason: unknown): AppError {
  const text = reason instanceof Error ? reason.message : String(reason);
  return new AppError(
    "INTERNAL",
    `Can't unpack the PostgreSQL in this program: ${text}; compare the program with its checksum and install it again`,
    { cause: reason },
  );
}
