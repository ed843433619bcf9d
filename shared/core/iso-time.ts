const TIME = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?))?\s*(Z|[+-]\d{2}:?\d{2})?$/;

/**
 * A time as people and files write it, in ms since 1970; without an offset it is UTC. undefined: it is none.
 *
 * @example parseTime("2015-02-04 17:51:59") // 1423072319000
 */
export function parseTime(text: string): number | undefined {
  const [, day, time = "00:00:00", offset = "Z"] = TIME.exec(text.trim()) ?? [];
  const parsed = day === undefined ? Number.NaN : Date.parse(`${day}T${time}${offset}`);
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** The reverse, in UTC; what no calendar holds stays a number. @example formatTime(0) // 1970-01-01T00:00:00.000Z */
export function formatTime(timeMs: number): string {
  return Math.abs(timeMs) > CALENDAR_MS_MAX ? String(timeMs) : new Date(timeMs).toISOString();
}

const CALENDAR_MS_MAX = 8.64e15;
