import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROJECT_ROOT } from "./tools.ts";

/** One replacement in a file of the project; `find` has to be there exactly once. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** A copy of the sources, broken on purpose. */
export interface PatchedTree extends AsyncDisposable {
  readonly dir: string;
}

const SOURCES = ["cloud", "edge", "shared", "drizzle", "package.json", "tsconfig.json"];

/** @throws Error when a patch does not fit the sources of now */
export async function createPatchedTree(patches: readonly Patch[]): Promise<PatchedTree> {
  const contents = await applyPatches(patches);
  const dir = await mkdtemp(join(tmpdir(), "skerry-patched-"));
  await chmod(dir, 0o755);
  for (const name of SOURCES) await cp(join(PROJECT_ROOT, name), join(dir, name), { recursive: true });
  await symlink(join(PROJECT_ROOT, "node_modules"), join(dir, "node_modules"));
  for (const [file, content] of contents) await writeFile(join(dir, file), content);
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

/** The patched files by name. @throws Error when a patch does not fit */
export async function applyPatches(patches: readonly Patch[]): Promise<ReadonlyMap<string, string>> {
  const contents = new Map<string, string>();
  for (const { file, find, replace } of patches) {
    const before = contents.get(file) ?? (await readFile(join(PROJECT_ROOT, file), "utf8"));
    const parts = before.split(find);
    if (parts.length !== 2) throw new Error(`Expected once in ${file}, found ${parts.length - 1} times: ${find}`);
    contents.set(file, parts.join(replace));
  }
  return contents;
}
