import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";

export interface SessionEnd {
  readonly session: number;
  readonly reason: string;
  readonly nowMs: number;
}

/** Ends of sessions on their way into the database, which may be away just then: an edge must not count as connected for ever. */
export interface SessionEnds {
  /** Stores it now, or keeps it for `retry`. */
  store(edgeId: Uuid, end: SessionEnd): Promise<void>;
  /** @throws what the database throws; the rest is kept */
  retry(): Promise<void>;
}

/** Keeps the newest end of each edge. */
export function createSessionEnds(
  write: (edgeId: Uuid, end: SessionEnd) => Promise<void>,
  { log }: { readonly log: Log },
): SessionEnds {
  const waiting = new Map<Uuid, SessionEnd>();
  return {
    store: async (edgeId, end) => {
      try {
        await write(edgeId, end);
      } catch (error) {
        log.warn("The end of a session is not stored yet", { edgeId, session: end.session, error });
        waiting.set(edgeId, end);
      }
    },
    retry: async () => {
      for (const [edgeId, end] of waiting) {
        await write(edgeId, end);
        if (waiting.get(edgeId) === end) waiting.delete(edgeId);
      }
    },
  };
}
