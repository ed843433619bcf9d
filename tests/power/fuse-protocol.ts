// The part of the FUSE protocol (linux/fuse.h, version 7.31) that a file system in memory needs. Numbers are little-endian:
// Linux on x64 and arm64.

export const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  rename2: 45,
} as const;

export const SETATTR = { mode: 1, uid: 2, gid: 4, size: 8 } as const;
export const RENAME_NOREPLACE = 1;

export const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
/** Of a WRITE; with its header it fits the buffer that the kernel asks for. */
export const WRITE_BYTES_MAX = 1024 * 1024;
export const REQUEST_BYTES_MAX = WRITE_BYTES_MAX + 64 * 1024;

const BIG_WRITES = 1 << 5;
const MAX_PAGES = 1 << 22;
const KEEP_CACHE = 1 << 1;
/** Nobody but this kernel changes the files: what it knows stays true. */
const VALID_S = 86_400n;
const BLOCK_BYTES = 4_096;

export interface FuseRequest {
  readonly opcode: number;
  readonly unique: bigint;
  readonly node: number;
  readonly uid: number;
  readonly gid: number;
  /** Behind the header; a view of the buffer that the next request overwrites. */
  readonly body: Buffer;
}

export function readRequest(buffer: Buffer, length: number): FuseRequest {
  return {
    opcode: buffer.readUInt32LE(4),
    unique: buffer.readBigUInt64LE(8),
    node: Number(buffer.readBigUInt64LE(16)),
    uid: buffer.readUInt32LE(24),
    gid: buffer.readUInt32LE(28),
    body: buffer.subarray(IN_HEADER_BYTES, length),
  };
}

/** @param errno 0 for success */
export function reply(unique: bigint, errno: number, body: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.alloc(OUT_HEADER_BYTES + body.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeInt32LE(errno === 0 ? 0 : -errno, 4);
  bytes.writeBigUInt64LE(unique, 8);
  bytes.set(body, OUT_HEADER_BYTES);
  return bytes;
}

/** Texts that end with a zero, from `start` on. */
export function readNames(body: Buffer, start: number): string[] {
  return body.toString("utf8", start).split("\0").slice(0, -1);
}

export function initAnswer(): Buffer {
  const out = Buffer.alloc(64);
  out.writeUInt32LE(7, 0);
  out.writeUInt32LE(31, 4);
  out.writeUInt32LE(1024 * 1024, 8);
  out.writeUInt32LE(BIG_WRITES | MAX_PAGES, 12);
  out.writeUInt16LE(64, 16);
  out.writeUInt16LE(48, 18);
  out.writeUInt32LE(WRITE_BYTES_MAX, 20);
  out.writeUInt32LE(1_000_000, 24);
  out.writeUInt16LE(WRITE_BYTES_MAX / 4096, 28);
  return out;
}

export interface Attributes {
  readonly id: number;
  readonly size: number;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
}

const ATTR_BYTES = 88;

function writeAttributes(out: Buffer, at: number, attributes: Attributes): void {
  const { id, size, mode, links, uid, gid, mtimeMs } = attributes;
  const seconds = BigInt(Math.floor(mtimeMs / 1000));
  out.writeBigUInt64LE(BigInt(id), at);
  out.writeBigUInt64LE(BigInt(size), at + 8);
  out.writeBigUInt64LE(BigInt(Math.ceil(size / 512)), at + 16);
  for (const [index] of ["atime", "mtime", "ctime"].entries()) {
    out.writeBigUInt64LE(seconds, at + 24 + index * 8);
    out.writeUInt32LE((mtimeMs % 1000) * 1_000_000, at + 48 + index * 4);
  }
  out.writeUInt32LE(mode, at + 60);
  out.writeUInt32LE(links, at + 64);
  out.writeUInt32LE(uid, at + 68);
  out.writeUInt32LE(gid, at + 72);
  out.writeUInt32LE(BLOCK_BYTES, at + 80);
}

export function attributesAnswer(attributes: Attributes): Buffer {
  const out = Buffer.alloc(16 + ATTR_BYTES);
  out.writeBigUInt64LE(VALID_S, 0);
  writeAttributes(out, 16, attributes);
  return out;
}

export function entryAnswer(attributes: Attributes): Buffer {
  const out = Buffer.alloc(40 + ATTR_BYTES);
  out.writeBigUInt64LE(BigInt(attributes.id), 0);
  out.writeBigUInt64LE(VALID_S, 16);
  out.writeBigUInt64LE(VALID_S, 24);
  writeAttributes(out, 40, attributes);
  return out;
}

export function openAnswer(): Buffer {
  const out = Buffer.alloc(16);
  out.writeUInt32LE(KEEP_CACHE, 8);
  return out;
}

export function writeAnswer(bytes: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32LE(bytes, 0);
  return out;
}

/** A disk of which 16 GiB are free. */
export function statfsAnswer(): Buffer {
  const out = Buffer.alloc(80);
  const blocks = 4n * 1024n * 1024n;
  for (const at of [0, 8, 16, 24, 32]) out.writeBigUInt64LE(blocks, at);
  out.writeUInt32LE(BLOCK_BYTES, 40);
  out.writeUInt32LE(255, 44);
  out.writeUInt32LE(BLOCK_BYTES, 48);
  return out;
}

/** One entry of a directory; `position` is where the next one is. */
export function directoryEntry(id: number, position: number, mode: number, name: string): Buffer {
  const nameBytes = Buffer.from(name);
  const out = Buffer.alloc((24 + nameBytes.length + 7) & ~7);
  out.writeBigUInt64LE(BigInt(id), 0);
  out.writeBigUInt64LE(BigInt(position), 8);
  out.writeUInt32LE(nameBytes.length, 16);
  out.writeUInt32LE((mode & 0o170_000) >> 12, 20);
  out.set(nameBytes, 24);
  return out;
}
