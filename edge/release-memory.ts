import type { Clock } from "../shared/core/clock.ts";

const WINDOW_MS = 10_000;
/** Pages that are used once in a while come back one by one. */
const PAGES_WINDOW_MS = 30_000;
/** Processor time in ten seconds: below it nobody waits for the program. */
const QUIET_MS = 500;

export interface ReleaseMemoryDeps {
  readonly clock: Clock;
  /** Processor time that the program has used so far, in ms. */
  readonly usedProcessorMs: () => number;
  readonly release: () => Promise<void>;
  readonly releasePages: () => Promise<void>;
}

/**
 * Gives back what only the start needed, about a fourth of the memory: once, after the first ten seconds with little work, because what
 * is still used has to be compiled again. From then on, while there is little work, the pages of the program that were used meanwhile.
 */
export async function releaseMemoryWhenQuiet(deps: ReleaseMemoryDeps, signal: AbortSignal): Promise<void> {
  const { clock, release, releasePages, usedProcessorMs } = deps;
  const isQuietFor = async (windowMs: number): Promise<boolean> => {
    const usedMs = usedProcessorMs();
    await clock.sleep(windowMs, signal);
    return usedProcessorMs() - usedMs < QUIET_MS * (windowMs / WINDOW_MS);
  };
  while (!(await isQuietFor(WINDOW_MS)));
  await release();
  for (;;) if (await isQuietFor(PAGES_WINDOW_MS)) await releasePages();
}
