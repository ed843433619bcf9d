import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CHECKSUM_ALGORITHMS, findChecksumAlgorithm } from "../../shared/core/checksum.ts";
import { createChecksum } from "../../shared/runtime/checksum.ts";

const sumOf = (algorithm: (typeof CHECKSUM_ALGORITHMS)[number], ...parts: readonly Uint8Array[]): string => {
  const hasher = createChecksum(algorithm);
  for (const part of parts) hasher.update(part);
  return hasher.digest();
};
const text = new TextEncoder().encode("The quick brown fox jumps over the lazy dog");
const bytesLe = (value: bigint, bytes: number): string =>
  Array.from({ length: bytes }, (_, index) =>
    Number((value >> BigInt(8 * index)) & 0xffn)
      .toString(16)
      .padStart(2, "0"),
  ).join("");

describe("createChecksum()", () => {
  test.each([
    ["MD5", "9e107d9d372bb6826bd81d3542a419d6"],
    ["SHA256", "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"],
    ["CRC32", bytesLe(0x414fa339n, 4)],
    ["MURMUR3_32", bytesLe(0x2e4ff723n, 4)],
    ["MURMUR3_128", bytesLe(0xe34bbc7bbc071b6cn, 8) + bytesLe(0x7a433ca9c49a9347n, 8)],
  ] as const)("of a known text by %s", (algorithm, expected) => {
    expect(sumOf(algorithm, text)).toBe(expected);
  });

  test("is the same however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CHECKSUM_ALGORITHMS),
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
        (algorithm, parts) => {
          const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
          expect(sumOf(algorithm, ...parts)).toBe(sumOf(algorithm, whole));
        },
      ),
    );
  });

  test("by CRC32 is the runtime's own", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sumOf("CRC32", bytes)).toBe(bytesLe(BigInt(Bun.hash.crc32(bytes)), 4));
      }),
    );
  });

  test("by MURMUR3_32 is the runtime's own", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sumOf("MURMUR3_32", bytes)).toBe(bytesLe(BigInt(Bun.hash.murmur32v3(bytes, 0)), 4));
      }),
    );
  });
});

test("findChecksumAlgorithm() takes any case", () => {
  expect(findChecksumAlgorithm("sha256")).toBe("SHA256");
  expect(findChecksumAlgorithm("SHA1")).toBeNull();
});
