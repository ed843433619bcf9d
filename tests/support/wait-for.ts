export interface WaitOptions {
  /** @default 20_000 */
  readonly deadlineMs?: number;
  /** Pause between two looks. @default 20 */
  readonly intervalMs?: number;
}

/**
 * What `probe` gives as soon as that is neither undefined nor false. A probe that throws counts as "not yet": the thing
 * that it looks at may be starting.
 *
 * @param what completes "Waited for", for the one who reads the failure
 * @throws Error after the deadline, with the last value or the last error of the probe
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const { deadlineMs = 20_000, intervalMs = 20 } = options;
  const endMs = performance.now() + deadlineMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, false | undefined>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= endMs) {
      const last = cause instanceof Error ? `: ${cause.message}` : "";
      throw new Error(`Waited ${deadlineMs} ms in vain for ${what}${last}`, { cause });
    }
    await Bun.sleep(intervalMs);
  }
}

/** `work`, or a failure after `limitMs`; the work itself is not ended. */
export async function within<T>(what: string, limitMs: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${limitMs} ms in vain for ${what}`)), limitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
