import { statSync } from "node:fs";
import { dirname } from "node:path";

/** Who runs the server and who owns the directories around its data. */
export interface ServerIdentity {
  /** The uid of the server's processes and of its data. */
  readonly uid: number;
  readonly gid: number;
  /** Whether this process is root and the server gets another uid. */
  readonly dropsRoot: boolean;
}

/**
 * PostgreSQL refuses to run as root. 60871 is in the range that no distribution and no systemd allocates
 * (systemd.io/UIDS-GIDS) and that a user namespace of 65,536 ids still holds. It needs no passwd entry, see passwd-shim.c.
 */
const UNPRIVILEGED_ID = 60_871;

/**
 * As a normal user: that user. As root: the owner of the first of `candidates` that exists and is not root's, so that a
 * directory that was handed to a user stays theirs; else a fixed uid.
 */
export function chooseIdentity(candidates: readonly string[]): ServerIdentity {
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0) return { uid, gid: process.getegid?.() ?? 0, dropsRoot: false };
  for (const path of candidates) {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && stats.uid !== 0) return { uid: stats.uid, gid: stats.gid, dropsRoot: true };
  }
  return { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID, dropsRoot: true };
}

/** Whether `identity` may pass through `path` and everything above it, by the mode bits. `path` is absolute and real. */
export function canTraverse(path: string, identity: ServerIdentity): boolean {
  for (let directory = path; ; directory = dirname(directory)) {
    const stats = statSync(directory);
    const mask = stats.uid === identity.uid ? 0o100 : stats.gid === identity.gid ? 0o010 : 0o001;
    if ((stats.mode & mask) === 0) return false;
    if (directory === "/") return true;
  }
}
