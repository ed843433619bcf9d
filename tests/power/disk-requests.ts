import {
  attributesAnswer,
  directoryEntry,
  entryAnswer,
  initAnswer,
  OPCODE,
  openAnswer,
  readNames,
  RENAME_NOREPLACE,
  reply,
  SETATTR,
  statfsAnswer,
  writeAnswer,
  type Attributes,
  type FuseRequest,
} from "./fuse-protocol.ts";
import { FileError, type Node, type VolatileFiles } from "./volatile-files.ts";

// What the kernel asks, answered from VolatileFiles.

const S_IFDIR = 0o040_000;
const S_IFREG = 0o100_000;
const S_IFLNK = 0o120_000;
const S_IFMT = 0o170_000;
const EMPTY = new Uint8Array();

/** @returns undefined for what has no answer */
export function answerRequest(files: VolatileFiles, request: FuseRequest): Buffer | undefined {
  const { forget, batchForget, interrupt } = OPCODE;
  if (request.opcode === forget || request.opcode === batchForget || request.opcode === interrupt) return undefined;
  try {
    return reply(request.unique, 0, handle(files, request));
  } catch (error) {
    if (error instanceof FileError) return reply(request.unique, error.errno);
    throw error;
  }
}

function handle(files: VolatileFiles, request: FuseRequest): Uint8Array {
  const { body, node } = request;
  switch (request.opcode) {
    case OPCODE.init:
      return initAnswer();
    case OPCODE.lookup:
      return entryAnswer(attributesOf(files.lookUp(node, readName(body, 0))));
    case OPCODE.getattr:
      return attributesAnswer(attributesOf(files.get(node)));
    case OPCODE.setattr:
      return setAttributes(files, request);
    case OPCODE.readlink:
      return Buffer.from(files.get(node).target);
    case OPCODE.open:
    case OPCODE.opendir:
      files.get(node);
      return openAnswer();
    case OPCODE.read:
      return files.read(node, Number(body.readBigUInt64LE(8)), body.readUInt32LE(16));
    case OPCODE.write: {
      const bytes = Uint8Array.prototype.slice.call(body, 40, 40 + body.readUInt32LE(16));
      files.write(node, Number(body.readBigUInt64LE(8)), bytes);
      return writeAnswer(bytes.length);
    }
    case OPCODE.readdir:
      return readDirectory(files, node, { start: Number(body.readBigUInt64LE(8)), bytesMax: body.readUInt32LE(16) });
    case OPCODE.fsync:
    case OPCODE.fsyncdir:
      files.sync(node);
      return EMPTY;
    case OPCODE.statfs:
      return statfsAnswer();
    case OPCODE.release:
    case OPCODE.releasedir:
    case OPCODE.flush:
    case OPCODE.access:
    case OPCODE.destroy:
      return EMPTY;
    default:
      return changeNames(files, request);
  }
}

function changeNames(files: VolatileFiles, request: FuseRequest): Uint8Array {
  const { body, node } = request;
  switch (request.opcode) {
    case OPCODE.create: {
      const mode = S_IFREG | (body.readUInt32LE(4) & 0o7777);
      const made = create(files, request, { name: readName(body, 16), kind: "file", mode });
      return Buffer.concat([made, openAnswer()]);
    }
    case OPCODE.mknod: {
      const mode = body.readUInt32LE(0);
      const isFile = (mode & S_IFMT) === S_IFREG;
      return create(files, request, { name: readName(body, 16), kind: isFile ? "file" : "special", mode });
    }
    case OPCODE.mkdir: {
      const mode = S_IFDIR | (body.readUInt32LE(0) & 0o7777);
      return create(files, request, { name: readName(body, 8), kind: "directory", mode });
    }
    case OPCODE.symlink: {
      const [name = "", target = ""] = readNames(body, 0);
      return create(files, request, { name, kind: "link", mode: S_IFLNK | 0o777, target });
    }
    case OPCODE.link:
      return entryAnswer(attributesOf(files.link(Number(body.readBigUInt64LE(0)), node, readName(body, 8))));
    case OPCODE.unlink:
    case OPCODE.rmdir:
      files.remove(node, readName(body, 0));
      return EMPTY;
    case OPCODE.rename:
      return rename(files, request, { namesAt: 8, mayReplace: true });
    case OPCODE.rename2:
      return rename(files, request, { namesAt: 16, mayReplace: (body.readUInt32LE(8) & RENAME_NOREPLACE) === 0 });
    default:
      throw new FileError("ENOSYS");
  }
}

interface Made {
  readonly name: string;
  readonly kind: Node["kind"];
  readonly mode: number;
  readonly target?: string;
}

function create(files: VolatileFiles, { gid, node, uid }: FuseRequest, { name, ...made }: Made): Buffer {
  return entryAnswer(attributesOf(files.create(node, name, { ...made, uid, gid })));
}

function rename(
  files: VolatileFiles,
  { body, node }: FuseRequest,
  { namesAt, mayReplace }: { readonly namesAt: number; readonly mayReplace: boolean },
): Uint8Array {
  const [from = "", to = ""] = readNames(body, namesAt);
  files.rename({ directory: node, name: from }, { directory: Number(body.readBigUInt64LE(0)), name: to }, mayReplace);
  return EMPTY;
}

function setAttributes(files: VolatileFiles, { body, node: id }: FuseRequest): Buffer {
  const valid = body.readUInt32LE(0);
  const node = files.get(id);
  if ((valid & SETATTR.size) !== 0) files.resize(id, Number(body.readBigUInt64LE(16)));
  if ((valid & SETATTR.mode) !== 0) node.mode = (node.mode & S_IFMT) | (body.readUInt32LE(68) & 0o7777);
  if ((valid & SETATTR.uid) !== 0) node.uid = body.readUInt32LE(76);
  if ((valid & SETATTR.gid) !== 0) node.gid = body.readUInt32LE(80);
  return attributesAnswer(attributesOf(node));
}

function readDirectory(
  files: VolatileFiles,
  id: number,
  { start, bytesMax }: { readonly start: number; readonly bytesMax: number },
): Buffer {
  const entries = [...files.get(id).entries];
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const [index, [name, child]] of entries.slice(start).entries()) {
    const part = directoryEntry(child, start + index + 1, files.get(child).mode, name);
    bytes += part.length;
    if (bytes > bytesMax) break;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function attributesOf({ id, content, gid, links, mode, mtimeMs, uid }: Node): Attributes {
  return { id, size: content.size, mode, links: Math.max(1, links), uid, gid, mtimeMs };
}

function readName(body: Buffer, start: number): string {
  return readNames(body, start)[0] ?? "";
}
