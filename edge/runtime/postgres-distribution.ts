import { readFile } from "node:fs/promises";
import type { DistributionSource } from "../../shared/postgres/distribution.ts";
import { findPostgresPackage } from "../../shared/postgres/package-source.ts";
import { EMBEDDED_ARCHIVE } from "./embedded-archive.ts";

/**
 * The PostgreSQL that this edge carries: the archive in the compiled program, or the npm package beside the source.
 *
 * @throws AppError UNSUPPORTED_PLATFORM when it runs from source and no package for this machine is installed
 */
export function findPostgresDistribution(archive = EMBEDDED_ARCHIVE): DistributionSource {
  if (archive === undefined) return findPostgresPackage();
  return { kind: "archive", version: archive.version, load: () => readFile(archive.path) };
}
