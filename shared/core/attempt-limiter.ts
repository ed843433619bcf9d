import type { Clock } from "./clock.ts";
import { AppError } from "./errors.ts";

export interface AttemptLimits {
  /** Failures of one key in the window before it has to wait. @default 10 */
  readonly failuresMax?: number;
  /** @default 60_000 */
  readonly windowMs?: number;
  /** Keys that are remembered; the oldest is forgotten first. @default 10_000 */
  readonly keysMax?: number;
}

export interface AttemptLimiter {
  /** How long the key has to wait, in ms; 0: it may try. */
  waitMs(key: string): number;
  /** @throws AppError TOO_MANY_REQUESTS when the key failed too often */
  check(key: string): void;
  /** @returns whether the key has to wait from now on */
  fail(key: string): boolean;
  /** Forgets the failures. */
  succeed(key: string): void;
}

interface Failures {
  count: number;
  /** The window ends, and the count with it. */
  endsMs: number;
}

/**
 * Slows down guessing: counts failures per key (a user name, an address) in fixed windows, in this process alone. @param what was tried,
 * for the text: "to sign in"
 */
export function createAttemptLimiter(
  clock: Pick<Clock, "monotonicMs">,
  what: string,
  limits: AttemptLimits = {},
): AttemptLimiter {
  const { failuresMax = 10, windowMs = 60_000, keysMax = 10_000 } = limits;
  // Insertion order is the order of windows: the first key is the one to forget.
  const failures = new Map<string, Failures>();
  const find = (key: string): Failures | undefined => {
    const found = failures.get(key);
    if (found === undefined || found.endsMs > clock.monotonicMs()) return found;
    failures.delete(key);
    return undefined;
  };
  const waitMs = (key: string): number => {
    const found = find(key);
    return found === undefined || found.count < failuresMax ? 0 : found.endsMs - clock.monotonicMs();
  };
  return {
    waitMs,
    check(key) {
      const retryAfterMs = waitMs(key);
      if (retryAfterMs === 0) return;
      throw new AppError("TOO_MANY_REQUESTS", `Too many failed attempts ${what}! Wait a minute`, { retryAfterMs });
    },
    fail(key) {
      const found = find(key);
      if (found !== undefined) {
        found.count += 1;
        return found.count === failuresMax;
      }
      failures.set(key, { count: 1, endsMs: clock.monotonicMs() + windowMs });
      const oldest = failures.keys().next();
      if (failures.size > keysMax && oldest.done === false) failures.delete(oldest.value);
      return failuresMax === 1;
    },
    succeed: (key) => void failures.delete(key),
  };
}
