import type { Random } from "./random.ts";

export interface BackoffOptions {
  /** Ceiling of the first delay. @default 500 */
  readonly baseMs?: number;
  /** Ceiling of every delay. @default 60_000 */
  readonly maxMs?: number;
}

/**
 * Full-jitter exponential backoff: uniform in [0, min(maxMs, baseMs * 2^attempt)), but never below
 * `floorMs`, the hint of the other side. `attempt` counts from 0.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function backoffDelayMs(attempt: number, random: Random, floorMs = 0, options: BackoffOptions = {}): number {
  const { baseMs = 500, maxMs = 60_000 } = options;
  const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.max(floorMs, random.float() * ceilingMs);
}
