import type { Dice } from "../sim/dice.ts";

// The files of a machine whose power can fail, in memory: what programs see, and beside it what is on the disk.
//
// - Bytes reach the disk when their file is synced. Until then each 4 KiB page of each write may get there or not, in any
//   order, as the kernel writes back what it likes: at a power failure every page keeps a random prefix of its writes.
// - Names reach the disk in the order in which they were changed, as with the journal of ext4 and xfs: syncing a file or a
//   directory forces the journal up to its own last change, and at a power failure a random prefix of the rest is kept.
// - Modes, owners and times are on the disk at once; nothing depends on them.

export type NodeKind = "file" | "directory" | "link" | "special";

export interface Node {
  readonly id: number;
  readonly kind: NodeKind;
  /** With the bits of its type. */
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  links: number;
  /** Of a symbolic link. */
  readonly target: string;
  /** Of a directory: what programs see, and what is on the disk. */
  readonly entries: Map<string, number>;
  readonly durableEntries: Map<string, number>;
  /** Of a file, likewise, and what happened since they were the same. */
  readonly content: Content;
  readonly durable: Content;
  unsynced: Write[];
  unsyncedBytes: number;
}

export type Write =
  | { readonly kind: "bytes"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "size"; readonly size: number };

/** One change of names: all of it or nothing. */
interface JournalRecord {
  readonly nodes: readonly number[];
  readonly entries: readonly { readonly directory: number; readonly name: string; readonly node: number | null }[];
}

export interface NewNode {
  readonly kind: NodeKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly target?: string;
}

export const ERRNO = { ENOENT: 2, EEXIST: 17, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENOSYS: 38, ENOTEMPTY: 39 } as const;

/** What a system call fails with. */
export class FileError extends Error {
  readonly errno: number;

  constructor(code: keyof typeof ERRNO) {
    super(code);
    this.errno = ERRNO[code];
  }
}

export const ROOT_ID = 1;
const DIRECTORY_MODE = 0o040_755;
const PAGE_BYTES = 4_096;
/** Beyond it the oldest writes of a file are written back, as a kernel does that needs the memory. */
const UNSYNCED_BYTES_MAX = 64 * 1024 * 1024;

export class VolatileFiles {
  readonly #nodes = new Map<number, Node>();
  #journal: JournalRecord[] = [];
  #nextId = ROOT_ID;

  constructor() {
    this.#add({ kind: "directory", mode: DIRECTORY_MODE, uid: 0, gid: 0 });
  }

  get(id: number): Node {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new FileError("ENOENT");
    return node;
  }

  lookUp(directory: number, name: string): Node {
    const id = this.#directory(directory).entries.get(name);
    if (id === undefined) throw new FileError("ENOENT");
    return this.get(id);
  }

  create(directory: number, name: string, made: NewNode): Node {
    if (this.#directory(directory).entries.has(name)) throw new FileError("EEXIST");
    const node = this.#add(made);
    this.#record({ nodes: [directory, node.id], entries: [{ directory, name, node: node.id }] });
    return node;
  }

  link(id: number, directory: number, name: string): Node {
    if (this.#directory(directory).entries.has(name)) throw new FileError("EEXIST");
    this.#record({ nodes: [directory, id], entries: [{ directory, name, node: id }] });
    return this.get(id);
  }

  remove(directory: number, name: string): void {
    const node = this.lookUp(directory, name);
    if (node.entries.size > 0) throw new FileError("ENOTEMPTY");
    this.#record({ nodes: [directory, node.id], entries: [{ directory, name, node: null }] });
  }

  rename(
    from: { directory: number; name: string },
    to: { directory: number; name: string },
    mayReplace: boolean,
  ): void {
    const node = this.lookUp(from.directory, from.name);
    const replaced = this.#directory(to.directory).entries.get(to.name);
    if (replaced === node.id) return;
    if (replaced !== undefined && !mayReplace) throw new FileError("EEXIST");
    if (replaced !== undefined && this.get(replaced).entries.size > 0) throw new FileError("ENOTEMPTY");
    this.#record({
      nodes: [from.directory, to.directory, node.id],
      entries: [
        { ...from, node: null },
        { ...to, node: node.id },
      ],
    });
  }

  read(id: number, offset: number, length: number): Uint8Array {
    return this.get(id).content.read(offset, length);
  }

  /** `bytes` must not change afterwards. */
  write(id: number, offset: number, bytes: Uint8Array): void {
    const node = this.get(id);
    this.#change(node, { kind: "bytes", offset, bytes });
    node.unsyncedBytes += bytes.length;
    while (node.unsyncedBytes > UNSYNCED_BYTES_MAX) this.#writeBackOldest(node);
  }

  resize(id: number, size: number): void {
    this.#change(this.get(id), { kind: "size", size });
  }

  /** fsync, fdatasync. */
  sync(id: number): void {
    const node = this.get(id);
    for (const write of node.unsynced) node.durable.apply(write);
    node.unsynced = [];
    node.unsyncedBytes = 0;
    const last = this.#journal.findLastIndex(({ nodes }) => nodes.includes(id));
    for (const record of this.#journal.splice(0, last + 1)) this.#applyDurably(record);
  }

  /** Bytes and changes of names that a power failure may take. */
  get unsynced(): { readonly bytes: number; readonly names: number } {
    let bytes = 0;
    for (const node of this.#nodes.values()) bytes += node.unsyncedBytes;
    return { bytes, names: this.#journal.length };
  }

  /** The machine goes off and on again: what was not synced is gone, or half of it is. */
  losePower(dice: Dice): void {
    const losesAll = dice.chance(0.4);
    const kept = losesAll ? 0 : dice.whole(0, this.#journal.length);
    for (const record of this.#journal.slice(0, kept)) this.#applyDurably(record);
    this.#journal = [];
    for (const node of this.#nodes.values()) {
      if (!losesAll) keepSome(node, dice);
      node.unsynced = [];
      node.unsyncedBytes = 0;
      node.content.copyFrom(node.durable);
      node.entries.clear();
      for (const [name, id] of node.durableEntries) node.entries.set(name, id);
    }
    this.#forgetUnreachable();
  }

  #add({ kind, mode, uid, gid, target = "" }: NewNode): Node {
    const node: Node = {
      id: this.#nextId,
      kind,
      mode,
      uid,
      gid,
      target,
      mtimeMs: Date.now(),
      links: 0,
      entries: new Map(),
      durableEntries: new Map(),
      content: new Content(),
      durable: new Content(),
      unsynced: [],
      unsyncedBytes: 0,
    };
    this.#nextId += 1;
    this.#nodes.set(node.id, node);
    return node;
  }

  #directory(id: number): Node {
    const node = this.get(id);
    if (node.kind !== "directory") throw new FileError("ENOTDIR");
    return node;
  }

  #record(record: JournalRecord): void {
    for (const { directory, name, node } of record.entries) {
      const parent = this.#directory(directory);
      const before = parent.entries.get(name);
      if (before !== undefined) this.get(before).links -= 1;
      if (node === null) parent.entries.delete(name);
      else {
        parent.entries.set(name, node);
        this.get(node).links += 1;
      }
      parent.mtimeMs = Date.now();
    }
    this.#journal.push(record);
  }

  #applyDurably({ entries }: JournalRecord): void {
    for (const { directory, name, node } of entries) {
      const parent = this.#directory(directory);
      if (node === null) parent.durableEntries.delete(name);
      else parent.durableEntries.set(name, node);
    }
  }

  #change(node: Node, write: Write): void {
    if (node.kind !== "file") throw new FileError("EISDIR");
    node.content.apply(write);
    node.unsynced.push(write);
    node.mtimeMs = Date.now();
  }

  #writeBackOldest(node: Node): void {
    const oldest = node.unsynced.shift();
    if (oldest === undefined) return;
    node.durable.apply(oldest);
    if (oldest.kind === "bytes") node.unsyncedBytes -= oldest.bytes.length;
  }

  #forgetUnreachable(): void {
    const links = new Map<number, number>([[ROOT_ID, 1]]);
    const waiting = [ROOT_ID];
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      for (const child of this.get(id).entries.values()) {
        if (!links.has(child)) waiting.push(child);
        links.set(child, (links.get(child) ?? 0) + 1);
      }
    }
    for (const [id, node] of this.#nodes) {
      node.links = links.get(id) ?? 0;
      if (node.links === 0) this.#nodes.delete(id);
    }
  }
}

/** Of the writes since the last sync each page keeps a random prefix: often none or all. */
function keepSome({ durable, unsynced }: Node, dice: Dice): void {
  if (unsynced.length === 0) return;
  const cuts = new Map<number, number>();
  const cutOf = (page: number): number => {
    const known = cuts.get(page);
    if (known !== undefined) return known;
    const cut = dice.chance(0.3) ? 0 : dice.chance(0.4) ? unsynced.length : dice.whole(0, unsynced.length);
    cuts.set(page, cut);
    return cut;
  };
  const SIZE = -1;
  for (const [index, write] of unsynced.entries()) {
    if (write.kind === "size") {
      if (index < cutOf(SIZE)) durable.apply(write);
      continue;
    }
    const { bytes, offset } = write;
    for (let start = 0; start < bytes.length;) {
      const page = Math.floor((offset + start) / PAGE_BYTES);
      const end = Math.min(bytes.length, (page + 1) * PAGE_BYTES - offset);
      if (index < cutOf(page)) {
        durable.apply({ kind: "bytes", offset: offset + start, bytes: bytes.subarray(start, end) });
      }
      start = end;
    }
  }
}

/** Bytes that grow; what was never written is zero. */
export class Content {
  #bytes = new Uint8Array();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  apply(write: Write): void {
    if (write.kind === "size") {
      if (write.size < this.#size) this.#bytes.fill(0, write.size, this.#size);
      this.#reserve(write.size);
      this.#size = write.size;
      return;
    }
    const end = write.offset + write.bytes.length;
    this.#reserve(end);
    this.#bytes.set(write.bytes, write.offset);
    this.#size = Math.max(this.#size, end);
  }

  read(offset: number, length: number): Uint8Array {
    return this.#bytes.subarray(offset, Math.min(offset + length, this.#size));
  }

  copyFrom(other: Content): void {
    this.#bytes = other.read(0, other.size).slice();
    this.#size = other.size;
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(size, Math.min(this.#bytes.length * 2, this.#bytes.length + 16_777_216)));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
