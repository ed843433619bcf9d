import { expect, test } from "bun:test";
import { releaseMemoryOnce } from "../../edge/release-memory.ts";
import { createVirtualClock } from "./virtual-clock.ts";

const WINDOW_MS = 10_000;

test("releaseMemoryOnce() waits until the program has little to do, and does it once", async () => {
  const clock = createVirtualClock();
  const stop = new AbortController();
  let usedMs = 0;
  let releases = 0;
  const running = releaseMemoryOnce(
    { clock, usedProcessorMs: () => usedMs, release: () => (releases += 1) },
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
  const running = releaseMemoryOnce({ clock, usedProcessorMs: () => 0, release: () => undefined }, stop.signal);
  stop.abort();
  await expect(running).rejects.toBe(stop.signal.reason);
  expect(clock.sleepers()).toBe(0);
});
