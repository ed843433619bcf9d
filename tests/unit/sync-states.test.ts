import { describe, expect, test } from "bun:test";
import type { SyncFacts, SyncState } from "../../shared/core/sync-states.ts";
import { judgeSync, SENDING_AFTER_MS, STALLED_AFTER_MS, SYNC_STATE_NAMES } from "../../shared/core/sync-states.ts";

const LIVE: SyncFacts = { side: "edge", session: "live" };
const ended = (code: string, side: SyncFacts["side"] = "edge"): SyncFacts => ({
  side,
  session: "ended",
  ended: { code, text: "why" },
});

interface Case {
  readonly facts: SyncFacts;
  readonly state: SyncState;
  readonly reasons?: readonly SyncState[];
}

/** `reasons` absent: the state alone. */
const CASES: readonly Case[] = [
  { facts: LIVE, state: "IN_SYNC", reasons: [] },
  { facts: { side: "edge", session: "none" }, state: "NOT_CONFIGURED" },
  { facts: { side: "cloud", session: "never" }, state: "NEVER_CONNECTED" },
  { facts: { ...ended("UNAUTHENTICATED", "cloud"), session: "never" }, state: "CREDENTIALS_REFUSED" },
  { facts: { side: "edge", session: "connecting" }, state: "CONNECTING" },
  { facts: { ...ended("NO_ROUTE"), session: "connecting" }, state: "NO_ROUTE" },
  { facts: { side: "cloud", session: "ended" }, state: "LINK_DOWN" },
  { facts: ended("LINK_DOWN"), state: "LINK_DOWN" },
  { facts: ended("NO_ROUTE"), state: "NO_ROUTE" },
  { facts: ended("CERTIFICATE_REFUSED"), state: "CERTIFICATE_REFUSED" },
  { facts: ended("UNAUTHENTICATED"), state: "CREDENTIALS_REFUSED" },
  { facts: ended("PERMISSION_DENIED"), state: "CREDENTIALS_REFUSED" },
  { facts: ended("NOT_FOUND"), state: "EDGE_DELETED" },
  { facts: ended("PEER_UNSUPPORTED"), state: "PEER_UNSUPPORTED" },
  { facts: ended("STORE_MISMATCH"), state: "STORE_MISMATCH" },
  { facts: ended("SESSION_FENCED"), state: "IDENTITY_CONFLICT" },
  { facts: ended("IDENTITY_CONFLICT"), state: "IDENTITY_CONFLICT" },
  { facts: ended("STALLED"), state: "STALLED" },
  { facts: ended("CANCELLED"), state: "PEER_STOPPED" },
  { facts: ended("PROTOCOL_ERROR"), state: "SESSION_FAILED" },
  { facts: ended("A_CODE_OF_LATER"), state: "SESSION_FAILED" },
  { facts: ended("DATABASE_UNAVAILABLE"), state: "CLOUD_DATABASE_DOWN" },
  { facts: ended("DATABASE_UNAVAILABLE", "cloud"), state: "DATABASE_DOWN" },
  // A session that failed for the edge's own database says nothing of the cloud's.
  { facts: { ...ended("DATABASE_UNAVAILABLE"), isDatabaseDown: true }, state: "DATABASE_DOWN" },
  {
    facts: { ...ended("NO_ROUTE"), isDatabaseDown: true },
    state: "DATABASE_DOWN",
    reasons: ["DATABASE_DOWN", "NO_ROUTE"],
  },
  { facts: { ...LIVE, backlogAgeMs: SENDING_AFTER_MS - 1 }, state: "IN_SYNC", reasons: [] },
  { facts: { ...LIVE, backlogAgeMs: SENDING_AFTER_MS }, state: "SENDING" },
  { facts: { ...LIVE, ackWaitMs: STALLED_AFTER_MS - 1 }, state: "IN_SYNC", reasons: [] },
  {
    facts: { ...LIVE, ackWaitMs: STALLED_AFTER_MS, backlogAgeMs: 20_000 },
    state: "STALLED",
    reasons: ["STALLED", "SENDING"],
  },
  // Without a session nothing is on its way.
  { facts: { ...ended("LINK_DOWN"), ackWaitMs: STALLED_AFTER_MS, backlogAgeMs: 20_000 }, state: "LINK_DOWN" },
  {
    facts: { ...LIVE, parkedItems: 2, backlogAgeMs: 5_000 },
    state: "PARKED_ITEMS",
    reasons: ["PARKED_ITEMS", "SENDING"],
  },
  { facts: { ...ended("NO_ROUTE"), parkedItems: 1 }, state: "NO_ROUTE", reasons: ["NO_ROUTE", "PARKED_ITEMS"] },
  { facts: { ...ended("NO_ROUTE"), quota: "thinning" }, state: "QUOTA", reasons: ["QUOTA", "NO_ROUTE"] },
  { facts: { ...LIVE, quota: "full" }, state: "QUOTA" },
  // A warning never is the state.
  { facts: { ...LIVE, skewMs: -5_001 }, state: "IN_SYNC", reasons: ["CLOCK_SKEW"] },
  { facts: { ...LIVE, skewMs: 5_000 }, state: "IN_SYNC", reasons: [] },
  { facts: { ...LIVE, skewMs: 101, skewMsMax: 100 }, state: "IN_SYNC", reasons: ["CLOCK_SKEW"] },
  { facts: { ...ended("LINK_DOWN"), skewMs: 60_000 }, state: "LINK_DOWN", reasons: ["LINK_DOWN", "CLOCK_SKEW"] },
];

describe("judgeSync()", () => {
  test.each(CASES)("makes $state of %#: $facts", ({ facts, reasons, state }) => {
    const verdict = judgeSync(facts);
    expect(verdict.state).toBe(state);
    expect(verdict.reasons.map(({ code }) => code)).toEqual([...(reasons ?? [state])]);
  });

  test("reaches every state that there is", () => {
    const reached = new Set(CASES.flatMap(({ reasons = [], state }) => [state, ...reasons]));
    expect([...reached].toSorted()).toEqual([...SYNC_STATE_NAMES].toSorted());
  });

  test("names the code and the text of an end that it does not know", () => {
    expect(judgeSync(ended("A_CODE_OF_LATER")).reasons[0]?.detail).toBe("A_CODE_OF_LATER: why");
  });
});
