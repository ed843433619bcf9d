import { createHash } from "node:crypto";
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync } from "node:fs";
import { AppError } from "../core/errors.ts";
import type { ServerIdentity } from "./server-identity.ts";

/** sun_path has 108 bytes, the last one for the final zero. */
const SOCKET_PATH_BYTES_MAX = 107;

export function fitsSocketAddress(path: string): boolean {
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX;
}

/** A new private directory with a short path; the caller removes it. */
export function createShortDirectory(): string {
  return mkdtempSync("/tmp/skerry-");
}

const NAMES_MAX = 8;

/**
 * A directory with a short path that only the server's uid and root may enter, the same for the same `seed`. Another
 * user can take the name in /tmp first: then the next name is used, never a directory of somebody else.
 */
export function openShortDirectory(seed: string, identity: ServerIdentity): string {
  const hash = createHash("sha256").update(seed).digest("hex").slice(0, 12);
  const failures: unknown[] = [];
  for (const parent of shortParents(identity)) {
    for (let attempt = 0; attempt < NAMES_MAX; attempt += 1) {
      const path = `${parent}/skerry-${hash}${attempt === 0 ? "" : `-${attempt}`}`;
      try {
        if (claimDirectory(path, identity)) return path;
      } catch (error) {
        failures.push(error);
        break;
      }
    }
  }
  throw new AppError("DIRECTORY_UNWRITABLE", "Can't create a directory for the database's socket below /tmp", {
    cause: failures[0],
  });
}

function shortParents(identity: ServerIdentity): readonly string[] {
  const runtimeDir = process.env["XDG_RUNTIME_DIR"];
  // As root that directory belongs to root alone, and the server's uid could not enter it.
  if (identity.dropsRoot) return ["/run", "/tmp"];
  return runtimeDir !== undefined && /^\/.{1,40}$/.test(runtimeDir) ? [runtimeDir, "/tmp"] : ["/tmp"];
}

function claimDirectory(path: string, identity: ServerIdentity): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    if (identity.dropsRoot) chownSync(path, identity.uid, identity.gid);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  const stats = lstatSync(path);
  if (!stats.isDirectory() || stats.uid !== identity.uid) return false;
  chmodSync(path, 0o700);
  return true;
}
