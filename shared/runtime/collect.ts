/**
 * Collects garbage now, some 20 ms: where tens of megabytes have just become garbage and as many are about to be needed, the runtime
 * would take new memory for them first. Only Bun has a call for it.
 */
export function collectGarbage(): void {
  if (typeof Bun !== "undefined") Bun.gc(true);
}
