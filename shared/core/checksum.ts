import type { Hasher } from "./blob-ref.ts";

export const CHECKSUM_ALGORITHMS = ["MD5", "SHA256", "SHA384", "SHA512", "CRC32", "MURMUR3_32", "MURMUR3_128"] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

export function findChecksumAlgorithm(text: string): ChecksumAlgorithm | null {
  return CHECKSUM_ALGORITHMS.find((known) => known === text.toUpperCase()) ?? null;
}

// Checksums that no library of the system has, of bytes that come one after another. Their numbers are written byte by byte, the lowest
// first, as clients of the public REST convention write them.

/** CRC-32 of ISO 3309. */
export function createCrc32(): Hasher {
  const table = crcTable();
  let state = -1;
  return {
    update: (bytes) => {
      for (const byte of bytes) state = (table[(state ^ byte) & 0xff] ?? 0) ^ (state >>> 8);
    },
    digest: () => hexOf([state ^ -1]),
  };
}

function crcTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
    return value;
  });
}

/** MurmurHash3_x86_32 with seed 0. */
export function createMurmur32(): Hasher {
  let hash = 0;
  let length = 0;
  const mix = (word: number): number => Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  const blocks = new BlockReader(4, (view, at) => {
    hash = (Math.imul(rotate(hash ^ mix(view.getInt32(at, true)), 13), 5) + 0xe6546b64) | 0;
  });
  return {
    update: (bytes) => {
      length += bytes.length;
      blocks.push(bytes);
    },
    digest: () => {
      const tail = blocks.rest();
      if (blocks.restBytes > 0) hash ^= mix(tail.getInt32(0, true));
      return hexOf([finish32(hash ^ length)]);
    },
  };
}

function finish32(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** MurmurHash3_x64_128 with seed 0. */
export function createMurmur128(): Hasher {
  const [one, two, block] = [new Word64(), new Word64(), new Word64()];
  let length = 0;
  const mixOne = (): void => void block.multiply(C1).rotate(31).multiply(C2);
  const mixTwo = (): void => void block.multiply(C2).rotate(33).multiply(C1);
  const blocks = new BlockReader(16, (view, at) => {
    block.read(view, at);
    mixOne();
    one.xor(block).rotate(27).add(two).multiply(FIVE).add(ROUND_1);
    block.read(view, at + 8);
    mixTwo();
    two.xor(block).rotate(31).add(one).multiply(FIVE).add(ROUND_2);
  });
  return {
    update: (bytes) => {
      length += bytes.length;
      blocks.push(bytes);
    },
    digest: () => {
      const tail = blocks.rest();
      if (blocks.restBytes > 8) {
        block.read(tail, 8);
        mixTwo();
        two.xor(block);
      }
      if (blocks.restBytes > 0) {
        block.read(tail, 0);
        mixOne();
        one.xor(block);
      }
      const bytes = new Word64(Math.floor(length / 0x1_0000_0000), length | 0);
      one.xor(bytes);
      two.xor(bytes);
      one.add(two);
      two.add(one);
      one.finish();
      two.finish();
      one.add(two);
      two.add(one);
      return hexOf([one.low, one.high, two.low, two.high]);
    },
  };
}

/** An integer of 64 bits in two halves, changed in place: numbers would be too small, and bigints too slow for files. */
class Word64 {
  high: number;
  low: number;

  constructor(high = 0, low = 0) {
    this.high = high;
    this.low = low;
  }

  read(view: DataView, at: number): this {
    this.low = view.getInt32(at, true);
    this.high = view.getInt32(at + 4, true);
    return this;
  }

  xor({ high, low }: Word64): this {
    this.high ^= high;
    this.low ^= low;
    return this;
  }

  add({ high, low }: Word64): this {
    const sum = (this.low >>> 0) + (low >>> 0);
    this.high = (this.high + high + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    this.low = sum | 0;
    return this;
  }

  multiply({ high, low }: Word64): this {
    const [a1, a0] = [this.low >>> 16, this.low & 0xffff];
    const [b1, b0] = [low >>> 16, low & 0xffff];
    // The product of the low halves by halves of 16 bits, none of which loses a bit.
    const middle = a1 * b0 + Math.floor((a0 * b0) / 0x1_0000);
    const carry = (middle & 0xffff) + a0 * b1;
    const top = a1 * b1 + Math.floor(middle / 0x1_0000) + Math.floor(carry / 0x1_0000);
    this.high = (top + Math.imul(this.high, low) + Math.imul(this.low, high)) | 0;
    this.low = Math.imul(this.low, low);
    return this;
  }

  rotate(bits: number): this {
    const { high, low } = this;
    const [upper, lower, left] = bits >= 32 ? [low, high, bits - 32] : [high, low, bits];
    this.high = left === 0 ? upper : (upper << left) | (lower >>> (32 - left));
    this.low = left === 0 ? lower : (lower << left) | (upper >>> (32 - left));
    return this;
  }

  finish(): void {
    this.xor(new Word64(0, this.high >>> 1)).multiply(FINISH_1);
    this.xor(new Word64(0, this.high >>> 1)).multiply(FINISH_2);
    this.xor(new Word64(0, this.high >>> 1));
  }
}

const C1 = new Word64(0x87c37b91, 0x114253d5);
const C2 = new Word64(0x4cf5ad43, 0x2745937f);
const FIVE = new Word64(0, 5);
const ROUND_1 = new Word64(0, 0x52dce729);
const ROUND_2 = new Word64(0, 0x38495ab5);
const FINISH_1 = new Word64(0xff51afd7, 0xed558ccd);
const FINISH_2 = new Word64(0xc4ceb9fe, 0x1a85ec53);

/** Cuts a stream of bytes into blocks of one size. */
class BlockReader {
  readonly #tail: Uint8Array<ArrayBuffer>;
  readonly #read: (view: DataView, at: number) => void;
  restBytes = 0;

  constructor(blockBytes: number, read: (view: DataView, at: number) => void) {
    this.#tail = new Uint8Array(blockBytes);
    this.#read = read;
  }

  push(bytes: Uint8Array): void {
    const size = this.#tail.length;
    let at = 0;
    if (this.restBytes > 0) {
      at = Math.min(size - this.restBytes, bytes.length);
      this.#tail.set(bytes.subarray(0, at), this.restBytes);
      this.restBytes += at;
      if (this.restBytes < size) return;
      this.#read(new DataView(this.#tail.buffer), 0);
      this.restBytes = 0;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + size <= bytes.length; at += size) this.#read(view, at);
    this.#tail.set(bytes.subarray(at));
    this.restBytes = bytes.length - at;
  }

  /** What is left, with zeros behind it. */
  rest(): DataView {
    this.#tail.fill(0, this.restBytes);
    return new DataView(this.#tail.buffer);
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function hexOf(words: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(words.length * 4));
  for (const [index, word] of words.entries()) view.setInt32(index * 4, word, true);
  return new Uint8Array(view.buffer).toHex();
}
