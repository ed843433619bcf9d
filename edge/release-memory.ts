import type { Clock } from "../shared/core/clock.ts";
import { untilAborted } from "../shared/core/lifecycle.ts";

const WINDOW_MS = 10_000;
/** Of a window: below it nobody waits for the program. */
const QUIET_MS = 500;

export interface ReleaseMemoryDeps {
  readonly clock: Clock;
  /** Processor time that the program has used so far, in ms. */
  readonly usedProcessorMs: () => number;
  readonly release: () => Promise<void>;
}

/**
 * Gives back what only the start needed, about a fourth of the memory: once, after the first ten seconds with little work, because what
 * is still used has to be compiled again.
 */
export async function releaseMemoryOnce(deps: ReleaseMemoryDeps, signal: AbortSignal): Promise<void> {
  const { clock, usedProcessorMs, release } = deps;
  for (let isQuiet = false; !isQuiet;) {
    const usedMs = usedProcessorMs();
    await clock.sleep(WINDOW_MS, signal);
    isQuiet = usedProcessorMs() - usedMs < QUIET_MS;
  }
  await release();
  await untilAborted(signal);
}
