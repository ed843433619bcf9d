import { closeSync, openSync, readSync } from "node:fs";

// Pages of memory that hold nothing but what the program's file holds: given back to the system they come back from its cache, or
// from the file, when they are used.

/** Addresses, from `start` up to before `end`. */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

/** A part of a file. */
export interface FilePart {
  readonly offset: number;
  readonly size: number;
}

interface Mapping extends PageRange {
  readonly offset: number;
  readonly isWritable: boolean;
}

/** In an entry of /proc/PID/pagemap. */
const SWAPPED_OR_PRESENT = 0xc0;
const FILE_PAGE = 0x20;
const PAGEMAP_ENTRY_BYTES = 8;
/** Of the names of sections, as far as they are looked at. */
const NAMES_BYTES_MAX = 64 * 1024;

export interface Program {
  readonly path: string;
  /** What lies in memory that could be written to, and is not. null: nothing. */
  readonly scripts: FilePart | null;
}

/** Where the program's file lies in memory that can be read only, and its scripts, by the text of /proc/PID/maps: whole pages. */
export function programRanges(maps: string, { path, scripts }: Program, pageBytes: number): readonly PageRange[] {
  const mappings = readMappings(maps, path);
  const ranges: PageRange[] = mappings
    .filter(({ isWritable }) => !isWritable)
    .map(({ start, end }) => ({ start, end }));
  for (const { start, end, offset, isWritable } of mappings) {
    if (scripts === null || !isWritable) continue;
    if (scripts.offset < offset || scripts.offset + scripts.size > offset + end - start) continue;
    const address = start + scripts.offset - offset;
    const first = Math.ceil(address / pageBytes) * pageBytes;
    const behind = Math.floor((address + scripts.size) / pageBytes) * pageBytes;
    if (first < behind) ranges.push({ start: first, end: behind });
  }
  return ranges;
}

function readMappings(maps: string, path: string): readonly Mapping[] {
  const found: Mapping[] = [];
  for (const line of maps.split("\n")) {
    const [range = "", mode = "", offset = "", , , ...name] = line.split(/ +/);
    if (name.join(" ") !== path) continue;
    const [start = "", end = ""] = range.split("-");
    found.push({
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      offset: Number.parseInt(offset, 16),
      isWritable: mode.includes("w"),
    });
  }
  return found;
}

/** Whether all pages of the range that are in memory are those of the file, by /proc/self/pagemap: none was written to. */
export function isUnwritten({ start, end }: PageRange, pageBytes: number): boolean {
  const bytes = ((end - start) / pageBytes) * PAGEMAP_ENTRY_BYTES;
  const entries = readPart("/proc/self/pagemap", (start / pageBytes) * PAGEMAP_ENTRY_BYTES, bytes);
  for (let offset = PAGEMAP_ENTRY_BYTES - 1; offset < entries.length; offset += PAGEMAP_ENTRY_BYTES) {
    const flags = entries[offset] ?? 0;
    if ((flags & SWAPPED_OR_PRESENT) !== 0 && (flags & FILE_PAGE) === 0) return false;
  }
  return entries.length === bytes;
}

/** Where the section lies in an ELF file of 64 bits, little-endian; null: there is none, or it is another kind of file. */
export function findElfSection(path: string, name: string): FilePart | null {
  const header = view(readPart(path, 0, 64));
  if (header.byteLength < 64 || header.getUint32(0) !== 0x7f454c46 || header.getUint16(4) !== 0x0201) return null;
  const entryBytes = header.getUint16(0x3a, true);
  const count = header.getUint16(0x3c, true);
  const table = view(readPart(path, Number(header.getBigUint64(0x28, true)), entryBytes * count));
  if (table.byteLength < entryBytes * count || entryBytes < 0x28) return null;
  const section = (index: number): FilePart => ({
    offset: Number(table.getBigUint64(index * entryBytes + 0x18, true)),
    size: Number(table.getBigUint64(index * entryBytes + 0x20, true)),
  });
  const names = section(header.getUint16(0x3e, true));
  const text = readPart(path, names.offset, Math.min(names.size, NAMES_BYTES_MAX)).toString("latin1");
  for (let index = 0; index < count; index += 1) {
    if (text.startsWith(`${name}\0`, table.getUint32(index * entryBytes, true))) return section(index);
  }
  return null;
}

/** Less, where the file ends before. */
function readPart(path: string, offset: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  const file = openSync(path, "r");
  try {
    return buffer.subarray(0, readSync(file, buffer, 0, bytes, offset));
  } finally {
    closeSync(file);
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
