import { setImmediate } from "node:timers";
import type { Clock } from "../core/clock.ts";

/** The machine's clocks and timers. A sleep keeps the process alive until it ends or is aborted. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep,
  yield: () => new Promise((resolve) => void setImmediate(resolve)),
};

/** Timers of the runtimes fire at once above 2^31 - 1 ms. */
const TIMER_MAX_MS = 2_147_483_647;

function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(asError(signal.reason));
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(asError(signal?.reason));
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      },
      Math.min(Math.max(0, delayMs), TIMER_MAX_MS),
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}
