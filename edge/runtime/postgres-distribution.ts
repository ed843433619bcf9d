import { createReadStream, statSync } from "node:fs";
import process from "node:process";
import type { DistributionSource } from "../../shared/postgres/distribution.ts";
import { findPostgresPackage } from "../../shared/postgres/package-source.ts";
import { EMBEDDED_ARCHIVE } from "./embedded-archive.ts";

const CHUNK_BYTES = 262_144;

/**
 * The PostgreSQL that this edge carries: the archive at the end of the compiled program, or the npm package beside the source.
 *
 * @throws AppError UNSUPPORTED_PLATFORM when it runs from source and no package for this machine is installed
 */
export function findPostgresDistribution(
  archive = EMBEDDED_ARCHIVE,
  programPath = process.execPath,
): DistributionSource {
  if (archive === undefined) return findPostgresPackage();
  const { version, bytes } = archive;
  return { kind: "archive", version, open: () => readEnd(programPath, bytes) };
}

function readEnd(path: string, bytes: number): AsyncIterable<Uint8Array> {
  const start = Math.max(0, statSync(path).size - bytes);
  return createReadStream(path, { start, highWaterMark: CHUNK_BYTES });
}
