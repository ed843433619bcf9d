import type { ErrorCode } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { SessionHandle } from "../../shared/sync/session-driver.ts";
import { findSender } from "../../shared/sync/session.ts";

/** The sessions that this process holds, one per edge. */
export interface LiveSessions {
  /** Takes the edge over from an older session of this process, which is told so. */
  add(edgeId: Uuid, session: SessionHandle): void;
  /** Ends only this very session's entry. */
  remove(edgeId: Uuid, session: SessionHandle): void;
  isConnected(edgeId: Uuid): boolean;
  edgeIds(): readonly Uuid[];
  /** Last downlink sequence on its way to the edge; null when it is not connected here. */
  sentSeq(edgeId: Uuid): number | null;
  /** Downlinks were committed for these edges. */
  wake(edgeIds: readonly Uuid[]): void;
  disconnect(edgeId: Uuid, code: ErrorCode, text: string): void;
  /** Tells every edge to come back after `retryAfterMs`, and waits until all are gone. */
  drain(text: string, retryAfterMs: number): Promise<void>;
}

export function createLiveSessions(): LiveSessions {
  const sessions = new Map<Uuid, SessionHandle>();
  return {
    add: (edgeId, session) => {
      sessions.get(edgeId)?.stop("SESSION_FENCED", "A newer session of this edge took over");
      sessions.set(edgeId, session);
    },
    remove: (edgeId, session) => {
      if (sessions.get(edgeId) === session) sessions.delete(edgeId);
    },
    isConnected: (edgeId) => sessions.has(edgeId),
    edgeIds: () => [...sessions.keys()],
    sentSeq: (edgeId) => {
      const session = sessions.get(edgeId);
      return session === undefined ? null : (findSender(session.state(), "downlink")?.sent ?? null);
    },
    wake: (edgeIds) => {
      for (const edgeId of edgeIds) sessions.get(edgeId)?.wake("downlink");
    },
    disconnect: (edgeId, code, text) => sessions.get(edgeId)?.stop(code, text),
    drain: async (text, retryAfterMs) => {
      const ending = [...sessions.values()];
      for (const session of ending) session.stop("CANCELLED", text, retryAfterMs);
      await Promise.all(ending.map((session) => session.ended));
    },
  };
}
