import type { Uuid } from "../../shared/core/ids.ts";
import type { SessionHandle } from "../../shared/sync/session-driver.ts";
import { findSender } from "../../shared/sync/session-state.ts";

/** The sessions that this process holds: per edge the one with the highest number that came by. */
export interface LiveSessions {
  /** Takes the edge over from an older session of this process, which is told so; if it is the older one itself, it is told. */
  add(edgeId: Uuid, number: number, session: SessionHandle): void;
  /** Ends only this very session's entry. */
  remove(edgeId: Uuid, session: SessionHandle): void;
  held(): readonly HeldEdge[];
  /** Last downlink sequence on its way to the edge; null when no session of it is live here. */
  sentSeq(edgeId: Uuid): number | null;
  /** Downlinks were committed for these edges. @returns those that are not connected here */
  wake(edgeIds: readonly Uuid[]): readonly Uuid[];
  /** Ends the edge's session if its number is below `fence`. */
  end(edgeId: Uuid, fence: number, code: EndCode): void;
  /** Tells every edge to come back after `retryAfterMs`, one after the other, and waits until all are gone. */
  endAll(text: string, retryAfterMs: number): Promise<void>;
  /** Like endAll, and from now on every session that begins is told the same. */
  drain(text: string, retryAfterMs: number): Promise<void>;
}

export interface HeldEdge {
  readonly edgeId: Uuid;
  readonly session: number;
  /** As `LiveSessions.sentSeq`. */
  readonly sentSeq: number | null;
}

/** Why somebody else ends a session, with what its edge is told. */
export const END_TEXTS = {
  SESSION_FENCED: "A newer session of this edge took over",
  UNAUTHENTICATED: "Key or secret of the edge were changed",
  NOT_FOUND: "The edge was deleted in the cloud",
} as const;
export type EndCode = keyof typeof END_TEXTS;

/** Between the returns of two edges, so that ten thousand of them don't greet the next replica in the same moment. */
const RETURN_SPACING_MS = 1;

interface Entry {
  readonly number: number;
  readonly session: SessionHandle;
}

export function createLiveSessions(): LiveSessions {
  const entries = new Map<Uuid, Entry>();
  let draining: { readonly text: string; readonly retryAfterMs: number } | null = null;

  const endAll = async (text: string, retryAfterMs: number): Promise<void> => {
    const ending = [...entries.values()].map(({ session }) => session);
    for (const [index, session] of ending.entries()) {
      session.stop("CANCELLED", text, retryAfterMs + index * RETURN_SPACING_MS);
    }
    await Promise.all(ending.map((session) => session.ended));
  };
  return {
    add: (edgeId, number, session) => {
      if (draining !== null) {
        session.stop("CANCELLED", draining.text, draining.retryAfterMs);
        return;
      }
      const before = entries.get(edgeId);
      // Two that open in the same moment may come here in either order.
      const older = before !== undefined && before.number > number ? session : before?.session;
      older?.stop("SESSION_FENCED", END_TEXTS.SESSION_FENCED);
      if (older !== session) entries.set(edgeId, { number, session });
    },
    remove: (edgeId, session) => {
      if (entries.get(edgeId)?.session === session) entries.delete(edgeId);
    },
    held: () =>
      [...entries].map(([edgeId, { number, session }]) => ({ edgeId, session: number, sentSeq: readSentSeq(session) })),
    sentSeq: (edgeId) => {
      const session = entries.get(edgeId)?.session;
      return session === undefined ? null : readSentSeq(session);
    },
    wake: (edgeIds) =>
      edgeIds.filter((edgeId) => {
        const entry = entries.get(edgeId);
        entry?.session.wake("downlink");
        return entry === undefined;
      }),
    end: (edgeId, fence, code) => {
      const entry = entries.get(edgeId);
      if (entry !== undefined && entry.number < fence) entry.session.stop(code, END_TEXTS[code]);
    },
    endAll,
    drain: (text, retryAfterMs) => {
      draining = { text, retryAfterMs };
      return endAll(text, retryAfterMs);
    },
  };
}

function readSentSeq(session: SessionHandle): number | null {
  return findSender(session.state(), "downlink")?.sent ?? null;
}
