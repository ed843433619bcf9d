import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_ROOT, runTool } from "./tools.ts";

/** What the binary is made of. */
const SOURCES = "{edge,shared,proto,ui}/**/*";
const SOURCE_FILES = ["package.json", "bun.lock"];

/**
 * Path of the compiled edge for this machine, built first unless it is newer than its sources.
 *
 * @throws Error with the output of the build when that fails
 */
export async function ensureEdgeBinary(): Promise<string> {
  const path = join(PROJECT_ROOT, `dist/skerry-edge-linux-${process.arch}`);
  if (existsSync(path) && (await stat(path)).mtimeMs >= (await newestSourceMs())) return path;
  const { exitCode, output } = await runTool(["bun", "edge/build.ts", "--target", process.arch]);
  if (exitCode !== 0) throw new Error(`Building the edge failed with code ${exitCode}:\n${output}`);
  return path;
}

async function newestSourceMs(): Promise<number> {
  const paths = [...SOURCE_FILES, ...(await Array.fromAsync(new Bun.Glob(SOURCES).scan({ cwd: PROJECT_ROOT })))];
  const stats = await Promise.all(paths.map((path) => stat(join(PROJECT_ROOT, path))));
  return Math.max(...stats.map(({ mtimeMs }) => mtimeMs));
}
