import { dlopen, ptr } from "bun:ffi";
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { releaseMemoryWhenQuiet } from "../../edge/release-memory.ts";
import { createMemoryRelease } from "../../edge/runtime/memory.ts";
import { findElfSection, isUnwritten, programRanges } from "../../edge/runtime/program-pages.ts";
import { createVirtualClock } from "./virtual-clock.ts";

const WINDOW_MS = 10_000;

test("releaseMemoryWhenQuiet() waits until the program has little to do, then looks at its pages alone", async () => {
  const clock = createVirtualClock();
  const stop = new AbortController();
  let usedMs = 0;
  const done: string[] = [];
  const running = releaseMemoryWhenQuiet(
    {
      clock,
      usedProcessorMs: () => usedMs,
      release: () => Promise.resolve(void done.push("all")),
      releasePages: () => Promise.resolve(void done.push("pages")),
    },
    stop.signal,
  );
  for (let window = 0; window < 3; window += 1) {
    usedMs += WINDOW_MS / 2;
    await clock.advance(WINDOW_MS);
  }
  expect(done).toEqual([]);
  usedMs += WINDOW_MS / 1000;
  await clock.advance(WINDOW_MS);
  expect(done).toEqual(["all"]);
  await clock.advance(WINDOW_MS * 3);
  expect(done).toEqual(["all", "pages"]);
  usedMs += WINDOW_MS;
  await clock.advance(WINDOW_MS * 3);
  expect(done).toEqual(["all", "pages"]);
  await clock.advance(WINDOW_MS * 3);
  expect(done).toEqual(["all", "pages", "pages"]);
  stop.abort();
  await expect(running).rejects.toBe(stop.signal.reason);
});

test("releaseMemoryWhenQuiet() ends with its signal while it waits", async () => {
  const clock = createVirtualClock();
  const stop = new AbortController();
  const nothing = () => Promise.resolve();
  const deps = { clock, usedProcessorMs: () => 0, release: nothing, releasePages: nothing };
  const running = releaseMemoryWhenQuiet(deps, stop.signal);
  stop.abort();
  await expect(running).rejects.toBe(stop.signal.reason);
  expect(clock.sleepers()).toBe(0);
});

const MAPS = `00200000-01a26000 r--p 00000000 fe:00 131 /opt/my edge/skerry-edge
01a27000-06829000 r-xp 01826000 fe:00 131                        /opt/my edge/skerry-edge
06829000-07164000 rw-p 06627000 fe:00 131                        /opt/my edge/skerry-edge
7f0000000000-7f0000100000 r-xp 00000000 fe:00 9                  /usr/lib/libc.so.6
7f0000200000-7f0000300000 rwxp 00000000 00:00 0
`;
const READ_ONLY = [
  { start: 0x00200000, end: 0x01a26000 },
  { start: 0x01a27000, end: 0x06829000 },
];

test("programRanges() finds what of the program can't be written to, and no other file", () => {
  expect(programRanges(MAPS, { path: "/opt/my edge/skerry-edge", scripts: null }, 4096)).toEqual(READ_ONLY);
  expect(programRanges(MAPS, { path: "/opt/edge", scripts: null }, 4096)).toEqual([]);
});

test("programRanges() takes the whole pages of the scripts, and nothing of their neighbours", () => {
  const path = "/opt/my edge/skerry-edge";
  const scripts = { offset: 0x06627000 + 0x2100, size: 0x9000 };
  expect(programRanges(MAPS, { path, scripts }, 4096)).toEqual([...READ_ONLY, { start: 0x0682c000, end: 0x06834000 }]);
  expect(programRanges(MAPS, { path, scripts }, 16384)).toEqual([...READ_ONLY, { start: 0x0682c000, end: 0x06834000 }]);
  expect(programRanges(MAPS, { path, scripts: { ...scripts, size: 0x3000 } }, 16384)).toEqual(READ_ONLY);
  expect(programRanges(MAPS, { path, scripts: { ...scripts, size: 0x1000000 } }, 4096)).toEqual(READ_ONLY);
});

test("isUnwritten() tells memory that was written to from that of a file", () => {
  const library = dlopen("libc.so.6", { getpagesize: { args: [], returns: "i32" } });
  const pageBytes = library.symbols.getpagesize();
  library.close();
  const program = { path: process.execPath, scripts: null };
  const ranges = programRanges(readFileSync("/proc/self/maps", "utf8"), program, pageBytes);
  const unwritten = ranges.filter((range) => isUnwritten(range, pageBytes));
  const bytes = unwritten.reduce((sum, { start, end }) => sum + end - start, 0);
  expect(bytes).toBeGreaterThan(50_000_000);
  const written = new Uint8Array(8 * pageBytes).fill(1);
  const start = Math.ceil(ptr(written) / pageBytes) * pageBytes;
  expect(isUnwritten({ start, end: start + pageBytes }, pageBytes)).toBe(false);
});

test("findElfSection() finds a section by its name", () => {
  const found = findElfSection(process.execPath, ".rodata");
  expect(found?.size).toBeGreaterThan(1_000_000);
  expect(findElfSection(process.execPath, ".rodat")).toBeNull();
  expect(findElfSection(import.meta.path, ".rodata")).toBeNull();
});

test("release() makes the process smaller by code that only its start needed", async () => {
  const before = process.memoryUsage.rss();
  await createMemoryRelease().release();
  expect(process.memoryUsage.rss()).toBeLessThan(before - 4_000_000);
});
