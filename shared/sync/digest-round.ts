import { toListings } from "./digest.ts";
import type { DigestAnswer, DigestQuestion, Entries, TypeBuckets, TypeDigest } from "./frames.ts";

// Digest rounds as the cloud runs them, pure: each function returns the next state and what is to be done.
//
// Phases:
//   waiting    until `dueMs`, and then for a moment in which no downlink is on its way
//   reading    the cloud's own digest is being read
//   comparing  the Digest is sent; the edge's DigestDiff is awaited
//   listing    EntriesWanted of the first listing is sent; the edge's Entries are awaited
//   repairing  what differs in the first listing is being looked up and written to the downlink lane
//
// A round that gets no answer is given up and tried again when the next is due. Limits: one round at a time, one question at a time.

export interface RoundState {
  readonly phase: "waiting" | "reading" | "comparing" | "listing" | "repairing";
  readonly everyMs: number;
  /** Number of the newest round of the session. */
  readonly round: number;
  /** waiting: when the next round begins. comparing, listing: how long the answer is waited for. Monotonic ms. */
  readonly dueMs: number;
  /** Somebody asked for a round while one was under way: what they did before may have come too late for it. */
  readonly isWantedAgain: boolean;
  readonly startedMs: number;
  /** Answers the request with this number; see SyncRequests in the cloud. */
  readonly request: number;
  /** Buckets that are still to be listed; the first is under way. */
  readonly listings: readonly TypeBuckets[];
  readonly found: RoundCounts;
}

export interface RoundCounts {
  readonly missing: number;
  readonly stale: number;
  readonly surplus: number;
  /** Entities that the cloud never knew, and asked the edge for. */
  readonly unknown: number;
  /** Differences that an earlier repair of this session did not end: a person has to look. */
  readonly lasting: number;
}

export interface RoundResult extends RoundCounts {
  readonly request: number;
  readonly tookMs: number;
  /** Whether the edge answered every question. */
  readonly isComplete: boolean;
}

export type RoundEvent =
  | { readonly type: "wanted" }
  | { readonly type: "digest-read"; readonly request: number; readonly types: readonly TypeDigest[] }
  | { readonly type: "answered"; readonly frame: DigestAnswer }
  | { readonly type: "repaired"; readonly found: RoundCounts };

export type RoundEffect =
  /** Read the cloud's digest. Report `digest-read`. */
  | { readonly type: "read-digest" }
  | { readonly type: "send"; readonly frame: DigestQuestion }
  /** Compare with what the cloud has and write what is needed to the downlink lane. Report `repaired`. */
  | { readonly type: "repair"; readonly entries: Entries }
  | { readonly type: "round-ended"; readonly result: RoundResult };

export interface RoundStep {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
}

/** How long an answer is waited for: the edge may be reading a hundred thousand entities from flash. */
export const ANSWER_WITHIN_MS = 60_000;
/** How long a round that is due waits for downlinks to be applied, which would count as differences otherwise. */
export const QUIET_WITHIN_MS = 30_000;

const NOTHING: RoundCounts = { missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0 };

/** The first round is due at once. */
export function createRounds(everyMs: number, nowMs: number): RoundState {
  return {
    phase: "waiting",
    everyMs,
    round: 0,
    dueMs: nowMs,
    isWantedAgain: false,
    startedMs: nowMs,
    request: 0,
    listings: [],
    found: NOTHING,
  };
}

/** When the next look is due if nothing else happens. */
export function nextLookMs({ phase, dueMs }: RoundState, isQuiet: boolean): number {
  switch (phase) {
    case "waiting":
      return isQuiet ? dueMs : dueMs + QUIET_WITHIN_MS;
    case "comparing":
    case "listing":
      return dueMs;
    case "reading":
    case "repairing":
      return Infinity;
  }
}

/** Begins the round that is due, or gives up the one that is not answered. `isQuiet`: no downlink is on its way. */
export function lookAtRounds(
  state: RoundState,
  { isQuiet, nowMs }: { readonly isQuiet: boolean; readonly nowMs: number },
): RoundStep {
  switch (state.phase) {
    case "waiting": {
      if (nowMs < nextLookMs(state, isQuiet)) return { state, effects: [] };
      const round = state.round + 1;
      const begun: RoundState = { ...state, phase: "reading", round, startedMs: nowMs, found: NOTHING, listings: [] };
      return { state: { ...begun, isWantedAgain: false }, effects: [{ type: "read-digest" }] };
    }
    case "comparing":
    case "listing":
      return nowMs < state.dueMs ? { state, effects: [] } : endRound(state, false, nowMs);
    case "reading":
    case "repairing":
      return { state, effects: [] };
  }
}

export function advanceRound(state: RoundState, event: RoundEvent, nowMs: number): RoundStep {
  switch (event.type) {
    case "wanted":
      if (state.phase !== "waiting") return { state: { ...state, isWantedAgain: true }, effects: [] };
      return { state: { ...state, dueMs: Math.min(state.dueMs, nowMs) }, effects: [] };
    case "digest-read": {
      const frame: DigestQuestion = { type: "digest", round: state.round, types: event.types };
      const next: RoundState = {
        ...state,
        phase: "comparing",
        request: event.request,
        dueMs: nowMs + ANSWER_WITHIN_MS,
      };
      return { state: next, effects: [{ type: "send", frame }] };
    }
    case "answered":
      return onAnswer(state, event.frame, nowMs);
    case "repaired": {
      const listings = state.listings.slice(1);
      return listNext({ ...state, listings, found: addCounts(state.found, event.found) }, nowMs);
    }
  }
}

/** An answer to a question that is no longer asked is nothing. */
function onAnswer(state: RoundState, frame: DigestAnswer, nowMs: number): RoundStep {
  const isAwaited = state.phase === (frame.type === "digest-diff" ? "comparing" : "listing");
  if (!isAwaited || frame.round !== state.round) return { state, effects: [] };
  if (frame.type === "digest-diff") return listNext({ ...state, listings: toListings(frame.types) }, nowMs);
  // What was asked for counts, whatever the answer calls it.
  const [buckets] = state.listings;
  if (buckets === undefined) return { state, effects: [] };
  return { state: { ...state, phase: "repairing" }, effects: [{ type: "repair", entries: { ...frame, buckets } }] };
}

function listNext(state: RoundState, nowMs: number): RoundStep {
  const [buckets] = state.listings;
  if (buckets === undefined) return endRound(state, true, nowMs);
  const frame: DigestQuestion = { type: "entries-wanted", round: state.round, buckets };
  return {
    state: { ...state, phase: "listing", dueMs: nowMs + ANSWER_WITHIN_MS },
    effects: [{ type: "send", frame }],
  };
}

function endRound(state: RoundState, isComplete: boolean, nowMs: number): RoundStep {
  const { everyMs, found, isWantedAgain, request, startedMs } = state;
  const result: RoundResult = { ...found, request, isComplete, tookMs: Math.round(nowMs - startedMs) };
  return {
    state: { ...state, phase: "waiting", listings: [], dueMs: isWantedAgain ? nowMs : nowMs + everyMs },
    effects: [{ type: "round-ended", result }],
  };
}

function addCounts(left: RoundCounts, right: RoundCounts): RoundCounts {
  return {
    missing: left.missing + right.missing,
    stale: left.stale + right.stale,
    surplus: left.surplus + right.surplus,
    unknown: left.unknown + right.unknown,
    lasting: left.lasting + right.lasting,
  };
}
