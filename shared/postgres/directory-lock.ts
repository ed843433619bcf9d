import { chmodSync, linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import { createShortDirectory, fitsSocketAddress } from "./short-directory.ts";

/**
 * One process per directory, released by the kernel when the holder dies, whatever kills it. Neither Bun nor Node offers
 * flock, so the lock is a listening unix socket: a connection tells a living holder from a dead one, also from inside
 * another container that shares the volume.
 *
 * Invariants:
 * - The lock is the file `lock-<n>` with the highest n. It is held while its socket listens.
 * - A file appears under that name only when its socket already listens (bound under another name, then linked).
 * - To take over a dead `lock-<n>`, `lock-<n+1>` is linked, which only one process can do. The highest file is never
 *   removed, so a process that acted on an old listing sees the higher one when it looks again, and yields.
 */
export interface DirectoryLock {
  release(): Promise<void>;
}

const ATTEMPTS_MAX = 100;
const ANSWER_TIMEOUT_MS = 300;

/**
 * @param lockDir created if it is missing; its parent must exist
 * @throws AppError DATABASE_IN_USE when a living process holds the lock; the text names its pid
 */
export async function acquireDirectoryLock(lockDir: string): Promise<DirectoryLock> {
  mkdirSync(lockDir, { recursive: true, mode: 0o700 });
  using access = openShortPath(lockDir);
  const ownName = `.${process.pid}-${process.hrtime.bigint()}`;
  const server = await listen(join(access.path, ownName));
  try {
    // The directory decides who may ask; a lock that root left must not look held to the directory's owner.
    chmodSync(join(lockDir, ownName), 0o666);
    await claim(lockDir, access.path, ownName);
  } catch (error) {
    await close(server);
    throw error;
  } finally {
    rmSync(join(lockDir, ownName), { force: true });
  }
  return { release: () => close(server) };
}

async function claim(lockDir: string, accessPath: string, ownName: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const highest = highestLock(lockDir);
    if (highest > 0) {
      const holder = await askHolder(join(accessPath, `lock-${highest}`));
      if (holder !== "dead") {
        throw new AppError(
          "DATABASE_IN_USE",
          `Can't use ${lockDir}: expected it to be free, but process ${holder} holds it`,
        );
      }
    }
    const mine = highest + 1;
    if (!linkIfAbsent(join(lockDir, ownName), join(lockDir, `lock-${mine}`))) continue;
    if (highestLock(lockDir) > mine) {
      unlinkSync(join(lockDir, `lock-${mine}`));
      continue;
    }
    for (const number of listLocks(lockDir)) {
      if (number < mine) rmSync(join(lockDir, `lock-${number}`), { force: true });
    }
    return;
  }
  throw new AppError("DATABASE_IN_USE", `Can't lock ${lockDir}: ${ATTEMPTS_MAX} attempts lost against other processes`);
}

function listLocks(lockDir: string): number[] {
  return readdirSync(lockDir).flatMap((name) => {
    const match = /^lock-(\d+)$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

function highestLock(lockDir: string): number {
  return Math.max(0, ...listLocks(lockDir));
}

function linkIfAbsent(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** The holder's pid as text, "unknown" when it doesn't say, or "dead". */
async function askHolder(path: string): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    let answer = "";
    // Only a refused connection proves that nobody listens; a stopped or busy holder still holds.
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.on("error", (error) => {
      const code = "code" in error ? error.code : undefined;
      if (code === "ECONNREFUSED" || code === "ENOENT") resolve("dead");
    });
    socket.on("close", () => resolve(/^\d{1,10}$/.test(answer) ? answer : "unknown"));
  });
}

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(String(process.pid));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  server.unref();
  return server;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}

/** The directory under a name that leaves room for a socket's name; a symbolic link does if the real one is too long. */
function openShortPath(directory: string): { readonly path: string; [Symbol.dispose](): void } {
  const LONGEST_NAME = 40;
  if (fitsSocketAddress(join(directory, "x".repeat(LONGEST_NAME))))
    return { path: directory, [Symbol.dispose]: () => undefined };
  const work = createShortDirectory();
  const path = join(work, "d");
  symlinkSync(directory, path);
  return { path, [Symbol.dispose]: () => rmSync(work, { recursive: true, force: true }) };
}
