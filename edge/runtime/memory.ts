import { readFileSync } from "node:fs";
import process from "node:process";

/** Processor time that this program has used so far, in ms. */
export function usedProcessorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Gives garbage, compiled code and the pages of the program that only the start needed back to the system. Code that runs again is
 * compiled again, and pages come back from the system's cache when they are used. Only Bun has the calls for it.
 */
export async function releaseMemory(): Promise<void> {
  if (typeof Bun === "undefined") return;
  // oxlint-disable-next-line typescript/no-deprecated -- nothing else makes JavaScriptCore drop code: collecting garbage does not
  Bun.shrink();
  // Where the calls are not to be had, the pages stay.
  await releaseProgramPages().catch(() => undefined);
}

const MADV_DONTNEED = 4;

/** Machine code of the program's file: mapped read-only, so that its pages hold nothing that is not in the file. */
async function releaseProgramPages(): Promise<void> {
  const range = programCode(readFileSync("/proc/self/maps", "utf8"), process.execPath);
  if (range === null) return;
  const { dlopen } = await import("bun:ffi");
  const library = dlopen("libc.so.6", { madvise: { args: ["u64", "u64", "i32"], returns: "i32" } });
  library.symbols.madvise(range.start, range.end - range.start, MADV_DONTNEED);
  library.close();
}

/** Where the code of the file at `path` lies, by the text of /proc/PID/maps; null: nowhere. */
export function programCode(maps: string, path: string): { readonly start: bigint; readonly end: bigint } | null {
  for (const line of maps.split("\n")) {
    const [range = "", mode, , , , ...name] = line.split(/ +/);
    const [start, end] = range.split("-");
    if (mode === "r-xp" && name.join(" ") === path) return { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) };
  }
  return null;
}
