import { createDeferred } from "../../shared/core/deferred.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { SessionEnd, SessionHandle } from "../../shared/sync/session-driver.ts";
import { advanceSession, startCloudSession } from "../../shared/sync/session.ts";

/** A session of the cloud that only notes what it is told. */
export interface FakeSession extends SessionHandle {
  readonly wakes: number;
  /** How it was stopped; null while it is not. */
  readonly stopped: { readonly code: string; readonly text: string; readonly retryAfterMs: number } | null;
}

/** @param sentSeq last downlink on its way; null: not live yet */
export function createFakeSession(sentSeq: number | null = 0): FakeSession {
  const ended = createDeferred<SessionEnd>();
  let wakes = 0;
  let stopped: FakeSession["stopped"] = null;
  const greeting = startCloudSession(0).state;
  const live = advanceSession(
    { ...greeting, phase: "opening" },
    {
      type: "opened",
      opening: {
        window: { bytes: 1_000, items: 10 },
        sending: [{ lane: "downlink", course: inOrderFrom((sentSeq ?? 0) + 1), missed: [] }],
        receiving: [],
        welcome: null,
        missedAcks: [],
      },
    },
    0,
  ).state;
  return {
    ended: ended.promise,
    state: () => (sentSeq === null ? greeting : live),
    wake: () => {
      wakes += 1;
    },
    report: () => undefined,
    tell: () => undefined,
    wantRound: () => undefined,
    stop: (code, text, retryAfterMs = 0) => {
      stopped ??= { code, text, retryAfterMs };
      ended.resolve({ ...stopped, wasLive: sentSeq !== null });
    },
    get wakes() {
      return wakes;
    },
    get stopped() {
      return stopped;
    },
  };
}
