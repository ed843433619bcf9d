import { createHash } from "node:crypto";
import type { Hasher } from "../core/blob-ref.ts";
import { createCrc32, createMurmur128, createMurmur32, type ChecksumAlgorithm } from "../core/checksum.ts";

/** A checksum of bytes that come one after another. */
export function createChecksum(algorithm: ChecksumAlgorithm): Hasher {
  switch (algorithm) {
    case "MD5":
    case "SHA256":
    case "SHA384":
    case "SHA512": {
      const hash = createHash(algorithm.toLowerCase());
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
    }
    case "CRC32":
      return createCrc32();
    case "MURMUR3_32":
      return createMurmur32();
    case "MURMUR3_128":
      return createMurmur128();
    default:
      return algorithm satisfies never;
  }
}
