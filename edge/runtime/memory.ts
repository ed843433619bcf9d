import { readFileSync } from "node:fs";
import process from "node:process";
import { findElfSection, isUnwritten, programRanges } from "./program-pages.ts";

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

/** The section of a compiled program in which Bun keeps the scripts and their bytecode. */
const SCRIPTS_SECTION = ".bun";

/** Machine code, constants and scripts in the program's file: whatever of it was never written to. */
async function releaseProgramPages(): Promise<void> {
  const program = { path: process.execPath, scripts: findElfSection(process.execPath, SCRIPTS_SECTION) };
  const { dlopen } = await import("bun:ffi");
  const library = dlopen("libc.so.6", {
    getpagesize: { args: [], returns: "i32" },
    madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
  });
  const pageBytes = library.symbols.getpagesize();
  for (const range of programRanges(readFileSync("/proc/self/maps", "utf8"), program, pageBytes)) {
    if (isUnwritten(range, pageBytes)) library.symbols.madvise(range.start, range.end - range.start, MADV_DONTNEED);
  }
  library.close();
}
