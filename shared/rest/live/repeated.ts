import { WakeUp } from "../../core/deferred.ts";
import { AppError } from "../../core/errors.ts";
import type { CommandContext } from "./command-context.ts";
import type { LiveSession } from "./live-session.ts";

export interface Repeated<T> {
  readonly cmdId: number;
  /** Also without a word of changes. */
  readonly everyMs: number;
  /** What the caller may see then. */
  readonly read: () => Promise<T>;
  /** What the client is told, at first and of each change; null: nothing is new. */
  readonly toText: (now: T, before: T | null) => string | null;
  /** Has `wake` called when what was read may be different; gives how to stop. @default nobody tells */
  readonly listen?: (now: T, wake: () => void) => () => void;
}

/** What comes meanwhile is read once. */
const GATHER_MS = 50;
/** Between the reads of one subscription, however often something changes. */
const PAUSE_MS = 400;

/** Answers what is read, reads it again and again and tells what changed, until the subscription with this number ends. */
export async function tellRepeated<T>(
  { deps: { clock } }: CommandContext,
  session: LiveSession,
  { cmdId, everyMs, listen, read, toText }: Repeated<T>,
): Promise<void> {
  const wakeUp = new WakeUp();
  const wake = (): void => wakeUp.signal();
  let readMs = clock.monotonicMs();
  let told = await read();
  let deafen = listen?.(told, wake);
  const stop = new AbortController();
  const end = (): void => {
    deafen?.();
    stop.abort(new AppError("CANCELLED", "The subscription ended"));
  };
  session.subscribe(cmdId, { stop: end, refresh: () => Promise.resolve() });
  const first = toText(told, null);
  if (first !== null) session.send(first);
  const pause = async (): Promise<void> => {
    const waiting = new AbortController();
    const both = AbortSignal.any([stop.signal, waiting.signal]);
    const restMs = (): number => Math.max(GATHER_MS, readMs + PAUSE_MS - clock.monotonicMs());
    await Promise.race([clock.sleep(everyMs, both), wakeUp.wait(both).then(() => clock.sleep(restMs(), both))]).finally(
      () => waiting.abort(new AppError("CANCELLED", "The pause is over")),
    );
  };
  const repeat = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await pause().catch(() => undefined);
      if (stop.signal.aborted) return;
      readMs = clock.monotonicMs();
      // A database that is away for a moment changes nothing.
      const now = await read().catch(() => told);
      if (stop.signal.aborted) return;
      const text = toText(now, told);
      if (text !== null) session.send(text);
      told = now;
      // In this order, or it would look as if somebody new came.
      const before = deafen;
      deafen = listen?.(told, wake);
      before?.();
    }
  };
  void repeat();
}
