import { open } from "node:fs/promises";
import type { PageFile, PageFiles } from "../core/page-files.ts";

// The files of the pages as one: 4 bytes with the length of an index, the index as JSON, the files behind each other. It is
// read where it lies, a file at a time, and nothing of it is kept.

type Index = Readonly<Record<string, { readonly type: string; readonly offset: number; readonly bytes: number }>>;

const LENGTH_BYTES = 4;

export function packPages(files: ReadonlyMap<string, PageFile>): Uint8Array {
  let offset = 0;
  const index: Record<string, Index[string]> = {};
  for (const [path, { type, gzipped }] of files) {
    index[path] = { type, offset, bytes: gzipped.length };
    offset += gzipped.length;
  }
  const head = Buffer.from(JSON.stringify(index));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(head.length);
  return Buffer.concat([length, head, ...Array.from(files.values(), ({ gzipped }) => gzipped)]);
}

/** A pack that begins `behindBytes` before the end of a file. */
export function readPack(path: string, behindBytes: number): PageFiles {
  return {
    read: async (wanted) => {
      await using file = await open(path);
      const start = (await file.stat()).size - behindBytes;
      const read = async (position: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> => {
        const buffer = new Uint8Array(bytes);
        await file.read(buffer, 0, bytes, position);
        return buffer;
      };
      const indexBytes = new DataView((await read(start, LENGTH_BYTES)).buffer).getUint32(0, true);
      const text = new TextDecoder().decode(await read(start + LENGTH_BYTES, indexBytes));
      const index = JSON.parse(text) as Index; // as packPages wrote it
      const entry = Object.hasOwn(index, wanted) ? index[wanted] : undefined;
      if (entry === undefined) return null;
      const bodies = start + LENGTH_BYTES + indexBytes;
      return { type: entry.type, gzipped: await read(bodies + entry.offset, entry.bytes) };
    },
  };
}
