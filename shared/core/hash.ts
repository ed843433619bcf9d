import { createHash } from "node:crypto";
import type { Hasher } from "./blob-ref.ts";

/** SHA-256 of `text` in UTF-8, as 64 lower-case hex digits. */
export function sha256Hex(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

/** SHA-256 of bytes that come one after another. */
export function createSha256(): Hasher {
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}
