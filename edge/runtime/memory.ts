import { readFileSync } from "node:fs";
import process from "node:process";
import { findElfSection, isUnwritten, programRanges } from "./program-pages.ts";

/** Processor time that this program has used so far, in ms. */
export function usedProcessorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export interface MemoryRelease {
  /**
   * Gives garbage, compiled code and the pages of the program that only the start needed back to the system. Code that runs again is
   * compiled again, and pages come back from the system's cache when they are used.
   */
  release(): Promise<void>;
  /** The pages alone, a matter of a millisecond. */
  releasePages(): Promise<void>;
}

/** Only Bun has the calls for it; elsewhere nothing happens. */
export function createMemoryRelease(): MemoryRelease {
  if (typeof Bun === "undefined") return { release: () => Promise.resolve(), releasePages: () => Promise.resolve() };
  let opened: Promise<() => void> | null = null;
  const releasePages = async (): Promise<void> => {
    opened ??= openProgramPages();
    // Where the calls are not to be had, the pages stay.
    await opened.then((releaseProgramPages) => releaseProgramPages()).catch(() => undefined);
  };
  return {
    releasePages,
    release: () => {
      // oxlint-disable-next-line typescript/no-deprecated -- nothing else makes JavaScriptCore drop code: collecting garbage does not
      Bun.shrink();
      return releasePages();
    },
  };
}

const MADV_DONTNEED = 4;

/** The section of a compiled program in which Bun keeps the scripts and their bytecode. */
const SCRIPTS_SECTION = ".bun";

/** @returns what releases machine code, constants and scripts in the program's file: whatever of it was never written to */
async function openProgramPages(): Promise<() => void> {
  const program = { path: process.execPath, scripts: findElfSection(process.execPath, SCRIPTS_SECTION) };
  const { dlopen } = await import("bun:ffi");
  const library = dlopen("libc.so.6", {
    getpagesize: { args: [], returns: "i32" },
    madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
  });
  const pageBytes = library.symbols.getpagesize();
  return () => {
    for (const range of programRanges(readFileSync("/proc/self/maps", "utf8"), program, pageBytes)) {
      if (isUnwritten(range, pageBytes)) library.symbols.madvise(range.start, range.end - range.start, MADV_DONTNEED);
    }
  };
}
