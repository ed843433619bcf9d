import process from "node:process";

/** Processor time that this program has used so far, in ms. */
export function usedProcessorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Gives garbage and compiled code back to the system; code that runs again is compiled again. Only Bun has a call for it.
 */
export function releaseMemory(): void {
  if (typeof Bun === "undefined") return;
  // oxlint-disable-next-line typescript/no-deprecated -- nothing else makes JavaScriptCore drop code: collecting garbage does not
  Bun.shrink();
}
