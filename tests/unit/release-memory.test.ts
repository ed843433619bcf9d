import { expect, test } from "bun:test";
import { releaseMemoryOnce } from "../../edge/release-memory.ts";
import { programCode, releaseMemory } from "../../edge/runtime/memory.ts";
import { createVirtualClock } from "./virtual-clock.ts";

const WINDOW_MS = 10_000;

test("releaseMemoryOnce() waits until the program has little to do, and does it once", async () => {
  const clock = createVirtualClock();
  const stop = new AbortController();
  let usedMs = 0;
  let releases = 0;
  const running = releaseMemoryOnce(
    { clock, usedProcessorMs: () => usedMs, release: () => Promise.resolve(void (releases += 1)) },
    stop.signal,
  );
  for (let window = 0; window < 3; window += 1) {
    usedMs += WINDOW_MS / 2;
    await clock.advance(WINDOW_MS);
  }
  expect(releases).toBe(0);
  usedMs += WINDOW_MS / 1000;
  await clock.advance(WINDOW_MS);
  expect(releases).toBe(1);
  await clock.advance(WINDOW_MS * 10);
  expect(releases).toBe(1);
  stop.abort();
  await running;
});

test("releaseMemoryOnce() ends with its signal while it waits", async () => {
  const clock = createVirtualClock();
  const stop = new AbortController();
  const running = releaseMemoryOnce({ clock, usedProcessorMs: () => 0, release: () => Promise.resolve() }, stop.signal);
  stop.abort();
  await expect(running).rejects.toBe(stop.signal.reason);
  expect(clock.sleepers()).toBe(0);
});

test("programCode() finds the mapping of the program's code and no other", () => {
  const maps = `00200000-01a26000 r--p 00000000 fe:00 131 /opt/my edge/skerry-edge
01a27000-06829000 r-xp 01826000 fe:00 131                        /opt/my edge/skerry-edge
06829000-07164000 rw-p 06627000 fe:00 131                        /opt/my edge/skerry-edge
7f0000000000-7f0000100000 r-xp 00000000 fe:00 9                  /usr/lib/libc.so.6
7f0000200000-7f0000300000 rwxp 00000000 00:00 0
`;
  expect(programCode(maps, "/opt/my edge/skerry-edge")).toEqual({ start: 0x01a27000n, end: 0x06829000n });
  expect(programCode(maps, "/opt/edge")).toBeNull();
});

test("releaseMemory() makes the process smaller by code that only its start needed", async () => {
  const before = process.memoryUsage.rss();
  await releaseMemory();
  expect(process.memoryUsage.rss()).toBeLessThan(before - 4_000_000);
});
