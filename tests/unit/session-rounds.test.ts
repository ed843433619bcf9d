import { describe, expect, test } from "bun:test";
import type { Digest, Frame } from "../../shared/sync/frames.ts";
import { nextTickMs, PING_AFTER_MS } from "../../shared/sync/session-liveness.ts";
import type { SessionEvent, SessionState, Step } from "../../shared/sync/session-state.ts";
import { QUESTIONS_MAX } from "../../shared/sync/session-state.ts";
import { advanceSession, startCloudSession, startEdgeSession } from "../../shared/sync/session.ts";
import { batch, CLOUD_OPENING, EDGE_OPENING, HELLO, WELCOME } from "./sync-values.ts";

const EVERY_MS = 300_000;
const DIGEST: Digest = { type: "digest", round: 1, types: [] };

const receive = (state: SessionState, frame: Frame, nowMs = 0): Step =>
  advanceSession(state, { type: "frame", frame }, nowMs);
const drained: SessionEvent = { type: "loaded", lane: "downlink", batches: [], drained: true };
const codeOf = (step: Step): string | undefined =>
  step.effects.flatMap((effect) => (effect.type === "close" ? [effect.code] : []))[0];

function openingEdge(): SessionState {
  return receive(startEdgeSession(HELLO, 0).state, WELCOME).state;
}

function liveEdge(): SessionState {
  return advanceSession(openingEdge(), { type: "opened", opening: EDGE_OPENING }, 0).state;
}

function liveCloud(): SessionState {
  const opening = receive(startCloudSession(0).state, HELLO).state;
  return advanceSession(opening, { type: "opened", opening: { ...CLOUD_OPENING, roundsEveryMs: EVERY_MS } }, 0).state;
}

describe("a session of an edge", () => {
  test("answers questions, also one that came while it was opening", () => {
    const question = { type: "answer", question: DIGEST } as const;
    expect(receive(liveEdge(), DIGEST).effects).toEqual([question]);
    const early = receive(openingEdge(), DIGEST);
    expect(early.effects).toEqual([]);
    const opened = advanceSession(early.state, { type: "opened", opening: EDGE_OPENING }, 0);
    expect(opened.effects).toContainEqual(question);
    const answer = { type: "digest-diff", round: 1, types: [] } as const;
    expect(advanceSession(opened.state, { type: "answered", answer }, 0).effects).toEqual([
      { type: "send", frame: answer },
    ]);
  });

  test("does not take on more questions than it may", () => {
    let step: Step = { state: liveEdge(), effects: [] };
    for (let asked = 0; asked < QUESTIONS_MAX; asked += 1) step = receive(step.state, DIGEST);
    expect(codeOf(step)).toBeUndefined();
    expect(codeOf(receive(step.state, DIGEST))).toBe("PROTOCOL_ERROR");
  });

  test("is asked, and never answered", () => {
    expect(codeOf(receive(liveEdge(), { type: "digest-diff", round: 1, types: [] }))).toBe("PROTOCOL_ERROR");
  });
});

describe("a session of the cloud", () => {
  test("begins a round once its downlinks are applied", () => {
    const downlink = { ...batch({ lane: "downlink", firstSeq: 1, count: 1 }), configSeq: 0 };
    let step = advanceSession(liveCloud(), { type: "loaded", lane: "downlink", batches: [downlink], drained: true }, 1);
    expect(step.effects.map(({ type }) => type)).toEqual(["send"]);
    step = receive(step.state, { type: "ack", lane: "downlink", seq: 1, rejections: [] }, 2);
    expect(step.effects.map(({ type }) => type)).toEqual(["settle", "read-digest"]);
    step = advanceSession(step.state, { type: "round", event: { type: "digest-read", request: 0, types: [] } }, 3);
    expect(step.effects).toEqual([{ type: "send", frame: DIGEST }]);
    step = receive(step.state, { type: "digest-diff", round: 1, types: [] }, 4);
    expect(step.effects).toMatchObject([{ type: "round-ended", result: { isComplete: true } }]);
  });

  test("begins the next round when it is due, though nothing else happens, and pings all the same", () => {
    let step = advanceSession(liveCloud(), drained, 0);
    step = advanceSession(step.state, { type: "round", event: { type: "digest-read", request: 0, types: [] } }, 0);
    step = receive(step.state, { type: "digest-diff", round: 1, types: [] }, 0);
    expect(nextTickMs(step.state)).toBe(PING_AFTER_MS);
    step = advanceSession(step.state, { type: "tick" }, PING_AFTER_MS);
    expect(step.effects).toMatchObject([{ type: "send", frame: { type: "ping" } }]);
    step = receive(step.state, { type: "pong", nonce: 1 }, EVERY_MS - 1);
    step = advanceSession(step.state, { type: "tick" }, EVERY_MS);
    expect(step.effects).toEqual([{ type: "read-digest" }]);
  });

  test("is not asked", () => {
    expect(codeOf(receive(liveCloud(), DIGEST))).toBe("PROTOCOL_ERROR");
  });
});
