import { AppError } from "./errors.ts";

/** A long-running part of a program: runs until `signal` aborts, then finishes what it began. */
export type Task = (signal: AbortSignal) => Promise<void>;

/**
 * Runs parts of a program side by side until `drain` aborts. A part that ends or fails before that takes the others down with it,
 * because a program that lacks one of its parts must not look healthy.
 *
 * @throws what the first failing task threw
 */
export async function runTasks(tasks: Readonly<Record<string, Task>>, drain: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([drain, failed.signal]);
  let failure: Error | null = null;
  await Promise.all(
    Object.entries(tasks).map(async ([name, task]) => {
      try {
        await task(signal);
        if (!signal.aborted) throw new AppError("INTERNAL", `Part ${name} ended by itself`);
      } catch (thrown) {
        if (signal.aborted && thrown === signal.reason) return;
        failure ??= AppError.from(thrown);
        failed.abort(thrown);
      }
    }),
  );
  throwIfFailed(failure);
}

function throwIfFailed(failure: Error | null): void {
  if (failure !== null) throw failure;
}

/** Calls `work` again and again, `intervalMs` after each end, until the signal aborts. A failing round is reported and the next one follows. */
export async function repeat(
  work: () => Promise<void>,
  options: {
    readonly intervalMs: number;
    readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
    readonly onError: (error: unknown) => void;
  },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await options.sleep(options.intervalMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    await work().catch(options.onError);
  }
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
