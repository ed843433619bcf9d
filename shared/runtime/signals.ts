import process from "node:process";

export interface ShutdownSignals extends Disposable {
  /** Aborts at the first SIGTERM or SIGINT: stop taking work, finish what was begun. */
  readonly drain: AbortSignal;
}

/** Exit code after a second signal, as shells report a process that SIGTERM ended. */
const EXIT_FORCED = 143;

/**
 * First SIGTERM or SIGINT: `drain` aborts. Second: the process ends at once.
 * Dispose it to give the signals back to the runtime.
 */
export function listenForShutdown(): ShutdownSignals {
  const controller = new AbortController();
  const onSignal = (name: string): void => {
    if (controller.signal.aborted) process.exit(EXIT_FORCED);
    controller.abort(new Error(`Received ${name}`));
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return {
    drain: controller.signal,
    [Symbol.dispose]: () => {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
    },
  };
}
