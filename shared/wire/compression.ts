import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { AppError } from "../core/errors.ts";
import type { Compression } from "../sync/frames.ts";

/** Below this setting up zstd costs more time than it saves room; what waits for long is merged to larger payloads. */
const COMPRESS_ABOVE_BYTES = 2_048;
/** No payload may grow beyond this when it is opened; a peer can't fill the memory with a small frame. */
const PAYLOAD_BYTES_MAX = 256 * 1024 * 1024;

export interface Compressed {
  readonly compression: Compression;
  readonly payload: Uint8Array;
}

export function compress(bytes: Uint8Array): Compressed {
  if (bytes.length < COMPRESS_ABOVE_BYTES) return { compression: "none", payload: bytes };
  const payload = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return payload.length < bytes.length ? { compression: "zstd", payload } : { compression: "none", payload: bytes };
}

/** @throws AppError PROTOCOL_ERROR when the payload is not what `compression` says, or more than `bytesMax` */
export function decompress({ compression, payload }: Compressed, bytesMax = PAYLOAD_BYTES_MAX): Uint8Array {
  switch (compression) {
    case "none":
      return payload;
    case "zstd":
      try {
        return zstdDecompressSync(payload, { maxOutputLength: bytesMax });
      } catch (error) {
        throw new AppError("PROTOCOL_ERROR", "Payload is not valid zstd", { cause: error });
      }
  }
}
