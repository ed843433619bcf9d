import { createHash, randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import type { Log } from "../observe/log.ts";
import { canTraverse, chooseIdentity, type ServerIdentity } from "./server-identity.ts";

/**
 * Layout of a data directory:
 *
 *     <dataDir>/skerry.json           marks the directory as ours; other files of the program may lie beside it
 *     <dataDir>/postgres/             the home of the server, or a symbolic link to it
 *       data/                         the cluster; owned by the server's uid, 0700
 *       run/                          its socket; owned by the server's uid, 0700
 *       lock/                         see directory-lock.ts
 *       server-<version>/             the server's files; not writable for the server when root started it
 *       postgresql.conf pg_hba.conf   written at each start
 *       server.log server.log.1       bounded
 */
export interface ServerHome {
  readonly dataDir: string;
  /** Absolute and without symbolic links. */
  readonly path: string;
  readonly clusterDir: string;
  readonly identity: ServerIdentity;
}

export interface DataDirectoryOptions {
  readonly dataDir: string;
  /** Holds the server's files when its uid can't reach the data directory. @default "/var/lib/skerry" */
  readonly relocationDir?: string;
}

const MARKER = "skerry.json";
export const POSTGRES_MAJOR = "18";

/**
 * Checks a data directory and creates what is missing of it. Every refusal comes before the first change.
 *
 * @throws AppError DATABASE_FOREIGN, DATABASE_WRONG_VERSION, DIRECTORY_UNWRITABLE, DISK_FULL
 */
export function openDataDirectory(log: Log, options: DataDirectoryOptions): ServerHome {
  const dataDir = resolve(options.dataDir);
  try {
    const exists = checkDataDirectory(dataDir);
    if (!exists) createDataDirectory(dataDir);
    const realDataDir = realpathSync(dataDir);
    const link = join(realDataDir, "postgres");
    const identity = chooseIdentity([join(link, "data"), realDataDir]);
    const owner = ownerOf(realDataDir, identity);
    writeMarker(realDataDir, owner);
    const path = openHome(log, {
      link,
      realDataDir,
      identity,
      relocationDir: options.relocationDir ?? "/var/lib/skerry",
    });
    mkdirOwned(join(path, "lock"), 0o700, owner);
    mkdirOwned(join(path, "run"), 0o700, identity);
    accessSync(path, constants.W_OK | constants.X_OK);
    return { dataDir, path, clusterDir: join(path, "data"), identity };
  } catch (error) {
    throw directoryError(error, `use the data directory ${dataDir}`);
  }
}

/** A file system error as an AppError with what to do. */
export function directoryError(error: unknown, action: string): AppError {
  if (error instanceof AppError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const detail = error instanceof Error ? error.message : String(error);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new AppError("DISK_FULL", `Can't ${action}: no room on the disk (${detail})`, { cause: error });
  }
  if (["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ELOOP"].includes(code)) {
    const user = `uid ${process.geteuid?.() ?? "unknown"}`;
    return new AppError("DIRECTORY_UNWRITABLE", `Can't ${action} as ${user}: ${detail}`, { cause: error });
  }
  return AppError.from(error);
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A directory that was handed to a user stays usable by that user when root starts the program once. */
function ownerOf(realDataDir: string, identity: ServerIdentity): Owner {
  if (!identity.dropsRoot) return identity;
  const stats = statSync(realDataDir);
  return { uid: stats.uid, gid: stats.gid };
}

/** What a directory may hold before the first start: settings are put there, or stored by enrolling. */
const EARLIER: ReadonlySet<string> = new Set(["lost+found", "config.json"]);

/** @returns whether the directory exists */
function checkDataDirectory(dataDir: string): boolean {
  const stats = statSync(dataDir, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  if (!stats.isDirectory()) {
    throw new AppError(
      "DATABASE_FOREIGN",
      `Expected a directory at ${dataDir}, but it is a file; choose another with --data-dir`,
    );
  }
  const names = readdirSync(dataDir).filter((name) => !name.startsWith(".") && !EARLIER.has(name));
  if (names.length > 0 && !names.includes(MARKER)) {
    throw new AppError(
      "DATABASE_FOREIGN",
      `Expected an empty directory or one of Skerry's at ${dataDir}, but it holds ${names.slice(0, 3).join(", ")} and no ${MARKER}; ` +
        "nothing was touched",
    );
  }
  const version = readVersion(join(dataDir, "postgres/data/PG_VERSION"));
  if (version !== undefined && version !== POSTGRES_MAJOR) {
    throw new AppError(
      "DATABASE_WRONG_VERSION",
      `The database in ${dataDir} is of PostgreSQL ${version}, and this program carries ${POSTGRES_MAJOR}; nothing was touched`,
    );
  }
  accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  return true;
}

function readVersion(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function createDataDirectory(dataDir: string): void {
  if (process.geteuid?.() !== 0) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    return;
  }
  // The server's uid has to pass through to its own directory, but not to list what lies beside it.
  const first = mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  if (first === undefined) return;
  for (let created = dataDir; created.startsWith(first); created = dirname(created)) chmodSync(created, 0o711);
}

function writeMarker(dataDir: string, owner: Owner): void {
  const path = join(dataDir, MARKER);
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const workPath = join(dataDir, `.${MARKER}.${process.pid}`);
  try {
    writeFileSync(workPath, `${JSON.stringify({ product: "skerry", format: 1, postgres: POSTGRES_MAJOR })}\n`, {
      mode: 0o644,
      flush: true,
    });
    if (process.geteuid?.() === 0) chownSync(workPath, owner.uid, owner.gid);
    linkSync(workPath, path);
  } catch (error) {
    // Another process that starts at the same moment wrote the same.
    if (!isExisting(error)) throw error;
  } finally {
    rmSync(workPath, { force: true });
  }
}

interface HomePlan {
  readonly link: string;
  readonly realDataDir: string;
  readonly identity: ServerIdentity;
  readonly relocationDir: string;
}

function openHome(log: Log, plan: HomePlan): string {
  const { link, realDataDir, identity } = plan;
  const exists = statSync(link, { throwIfNoEntry: false }) !== undefined;
  const homeMode = identity.dropsRoot ? 0o711 : 0o700;
  if (exists) {
    const path = realpathSync(link);
    if (identity.dropsRoot && !canTraverse(path, identity)) {
      throw new AppError(
        "DIRECTORY_UNWRITABLE",
        `Can't run the database server in ${path}: its uid ${identity.uid} can't pass one of the directories above; run chmod o+x on them`,
      );
    }
    return path;
  }
  if (isDangling(link)) {
    throw new AppError(
      "DIRECTORY_UNWRITABLE",
      `Can't find the database: ${link} points to ${readlinkSync(link)}, which does not exist; restore it`,
    );
  }
  if (!identity.dropsRoot || canTraverse(realDataDir, identity)) {
    mkdirOwned(link, homeMode, ownerOf(realDataDir, identity));
    return realpathSync(link);
  }
  return relocateHome(log, plan);
}

/** The server's uid can't reach the data directory (below /root, say): its files live elsewhere, behind a symbolic link. */
function relocateHome(log: Log, plan: HomePlan): string {
  const { link, realDataDir, identity, relocationDir } = plan;
  try {
    mkdirSync(relocationDir, { recursive: true, mode: 0o711 });
    if (!canTraverse(realpathSync(relocationDir), identity))
      throw new Error(`uid ${identity.uid} can't pass through it`);
  } catch (error) {
    throw new AppError(
      "DIRECTORY_UNWRITABLE",
      `The database server runs as uid ${identity.uid}, which can't reach ${realDataDir}, and ${relocationDir} can't be used instead; ` +
        "run chmod o+x on the directories above, or choose another with --data-dir",
      { cause: error },
    );
  }
  const prefix = createHash("sha256").update(realDataDir).digest("hex").slice(0, 12);
  const earlier = readdirSync(relocationDir).filter((name) => name.startsWith(`${prefix}-`));
  if (earlier.length > 0) log.warn("An earlier database of this data directory is left", { relocationDir, earlier });
  // A new name each time: a data directory that was deleted and made anew must not find its old database.
  const path = join(relocationDir, `${prefix}-${randomBytes(4).toString("hex")}`);
  mkdirSync(path, { mode: 0o711 });
  chmodSync(path, 0o711);
  try {
    symlinkSync(path, link);
  } catch (error) {
    rmdirSync(path);
    // Another process that starts at the same moment was first; the lock decides between the two.
    if (!isExisting(error)) throw error;
    return realpathSync(link);
  }
  log.info("The database lies outside the data directory, which its uid can't reach", {
    dataDir: realDataDir,
    path,
    uid: identity.uid,
  });
  return realpathSync(path);
}

function isDangling(path: string): boolean {
  try {
    readlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Creates a directory with exactly this mode, whatever the umask, and this owner. */
function mkdirOwned(path: string, mode: number, owner: Owner): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (!isExisting(error)) throw error;
  }
  chmodSync(path, mode);
  if (process.geteuid?.() === 0) chownSync(path, owner.uid, owner.gid);
}

/** An empty directory of the server's uid, beside the cluster's later place. */
export function createClusterWorkDir(home: ServerHome): string {
  const path = mkdtempSync(join(home.path, ".init-"));
  chmodSync(path, 0o700);
  if (home.identity.dropsRoot) chownSync(path, home.identity.uid, home.identity.gid);
  return path;
}

/** What a process that was killed during the first start left. Call it under the lock. */
export function removeWorkDirs(home: ServerHome): void {
  for (const name of readdirSync(home.path)) {
    if (/^\.(init|unpack)-/.test(name)) rmSync(join(home.path, name), { recursive: true, force: true });
  }
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}
