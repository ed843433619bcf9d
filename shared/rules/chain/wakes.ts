import type { WakeNode } from "./effects.ts";
import type { NodeContext } from "./node-kind.ts";

/** What nodes that wait keep of the time for which they asked; asking once keeps the number of times bounded. */
export interface Waking {
  /** null: nothing is waited for. */
  readonly wakeMs: number | null;
}

/** Asks for an earlier time than before, or for the first one. */
export function wakeAt(
  { node }: NodeContext,
  { wakeMs }: Waking,
  atMs: number | null,
): { readonly wakeMs: number | null; readonly effects: readonly WakeNode[] } {
  if (atMs === null || (wakeMs !== null && wakeMs <= atMs)) return { wakeMs, effects: [] };
  return { wakeMs: atMs, effects: [{ kind: "wake", node, atMs }] };
}

/** The earliest of some times. */
export function earliest(timesMs: Iterable<number>): number | null {
  let found: number | null = null;
  for (const timeMs of timesMs) found = found === null ? timeMs : Math.min(found, timeMs);
  return found;
}
