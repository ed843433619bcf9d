import { lstat, open, readdir, realpath, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../shared/core/clock.ts";
import type { DiskUse } from "../api/status.ts";
import type { DiskPorts } from "../store/disk-guard.ts";

/** Walking through the files of a database takes some ms, and anybody may ask for the status. */
const FRESH_MS = 30_000;

/** What the data directory takes and what is free beside it, at most 30 s old; callers at the same time share one measurement. */
export function createDiskGauge(clock: Pick<Clock, "monotonicMs">, dir: string): () => Promise<DiskUse> {
  let measured: Promise<DiskUse> | undefined;
  let measuredMs = 0;
  return () => {
    if (measured === undefined || clock.monotonicMs() - measuredMs > FRESH_MS) {
      measuredMs = clock.monotonicMs();
      measured = measureDisk(dir);
    }
    return measured;
  };
}

/** What the data directory takes and what is free beside it, measured now. */
export async function measureDisk(dir: string): Promise<DiskUse> {
  const { bavail, bsize } = await statfs(await databaseDir(dir));
  // The database may live elsewhere, behind a link, which the walk does not follow.
  const usedBytes = (await sizeOf(dir)) + ((await isLink(dir)) ? await sizeOf(await databaseDir(dir)) : 0);
  return { usedBytes, freeBytes: bavail * bsize };
}

function databaseDir(dir: string): Promise<string> {
  return realpath(join(dir, "postgres")).catch(() => dir);
}

async function isLink(dir: string): Promise<boolean> {
  const entry = await lstat(join(dir, "postgres")).catch(() => undefined);
  return entry?.isSymbolicLink() ?? false;
}

async function sizeOf(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    // Files of the database come and go meanwhile.
    bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

const RESERVE_NAME = "reserve";
const CHUNK_BYTES = 1_048_576;

/** The file that holds room back in the data directory. */
export function createDiskPorts(dir: string): DiskPorts {
  const path = join(dir, RESERVE_NAME);
  return {
    freeBytes: async () => {
      // Before the first start there is no directory, and nothing of ours in it.
      const disk = await statfs(await databaseDir(dir)).catch(() => null);
      return disk === null ? Number.MAX_SAFE_INTEGER : disk.bavail * disk.bsize;
    },
    hasReserve: async () => (await stat(path).catch(() => undefined)) !== undefined,
    makeReserve: async (bytes) => {
      if ((await stat(path).catch(() => undefined))?.size === bytes) return;
      await writeWhole(`${path}.new`, bytes);
      await rename(`${path}.new`, path);
    },
    dropReserve: async () => {
      await rm(path, { force: true });
      await rm(`${path}.new`, { force: true });
    },
  };
}

/** With bytes in it: a file of a length alone takes no room. */
async function writeWhole(path: string, bytes: number): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    const chunk = new Uint8Array(CHUNK_BYTES).fill(0x5a);
    for (let written = 0; written < bytes;) {
      const length = Math.min(CHUNK_BYTES, bytes - written);
      written += (await file.write(chunk, 0, length, written)).bytesWritten;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
