/** `2026-11-23T09:10:49.123Z` */
export function formatTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
