import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../shared/core/clock.ts";
import type { DiskUse } from "../api/status.ts";

/** Walking through the files of a database takes some ms, and anybody may ask for the status. */
const FRESH_MS = 30_000;

/** What the data directory takes and what is free beside it, at most 30 s old; callers at the same time share one measurement. */
export function createDiskGauge(clock: Pick<Clock, "monotonicMs">, dir: string): () => Promise<DiskUse> {
  let measured: Promise<DiskUse> | undefined;
  let measuredMs = 0;
  return () => {
    if (measured === undefined || clock.monotonicMs() - measuredMs > FRESH_MS) {
      measuredMs = clock.monotonicMs();
      measured = measure(dir);
    }
    return measured;
  };
}

async function measure(dir: string): Promise<DiskUse> {
  const { bavail, bsize } = await statfs(dir);
  let usedBytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    // Files of the database come and go meanwhile.
    usedBytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  }
  return { usedBytes, freeBytes: bavail * bsize };
}
