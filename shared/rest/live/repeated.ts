import { AppError } from "../../core/errors.ts";
import type { CommandContext } from "./command-context.ts";
import type { LiveSession } from "./live-session.ts";

export interface Repeated<T> {
  readonly cmdId: number;
  readonly everyMs: number;
  /** What the caller may see then. */
  readonly read: () => Promise<T>;
  /** What the client is told, at first and of each change; null: nothing is new. */
  readonly toText: (now: T, before: T | null) => string | null;
}

/** Answers what is read, reads it again and again and tells what changed, until the subscription with this number ends. */
export async function tellRepeated<T>(
  { deps }: CommandContext,
  session: LiveSession,
  { cmdId, everyMs, read, toText }: Repeated<T>,
): Promise<void> {
  let told = await read();
  const stop = new AbortController();
  const end = (): void => stop.abort(new AppError("CANCELLED", "The subscription ended"));
  session.subscribe(cmdId, { stop: end, refresh: () => Promise.resolve() });
  const first = toText(told, null);
  if (first !== null) session.send(first);
  const repeat = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await deps.clock.sleep(everyMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return;
      // A database that is away for a moment changes nothing.
      const now = await read().catch(() => told);
      const text = toText(now, told);
      if (text !== null && !stop.signal.aborted) session.send(text);
      told = now;
    }
  };
  void repeat();
}
