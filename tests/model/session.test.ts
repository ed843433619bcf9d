import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { Frame } from "../../shared/sync/frames.ts";
import { BACKLOG_ORDERS } from "../../shared/sync/frames.ts";
import type { Lane } from "../../shared/sync/lanes.ts";
import { LANES } from "../../shared/sync/lanes.ts";
import {
  ACK_WITHIN_MS,
  GREETING_WITHIN_MS,
  nextTickMs,
  PING_AFTER_MS,
  PONG_WITHIN_MS,
} from "../../shared/sync/session-liveness.ts";
import type { SessionEvent } from "../../shared/sync/session-state.ts";
import { findSender } from "../../shared/sync/session-state.ts";
import { advanceSession, startCloudSession, startEdgeSession } from "../../shared/sync/session.ts";
import type { Backlog, End, Numbering } from "./session-pair.ts";
import { HELLO, SessionPair, WELCOME } from "./session-pair.ts";

const lanes = fc.constantFrom<Lane[]>(...LANES);
const NUMBERINGS = ["downlink", "config", "telemetry"] as const satisfies readonly Numbering[];
const numberings = fc.constantFrom<Numbering[]>(...NUMBERINGS);
const backlogs: fc.Arbitrary<Backlog> = fc.record({
  rows: fc.array(fc.record({ count: fc.integer({ min: 1, max: 30 }), isCommitted: fc.boolean() }), { maxLength: 12 }),
  order: fc.constantFrom(...BACKLOG_ORDERS),
});
const windows = fc.record({ bytes: fc.nat(200), items: fc.nat(40) });

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constantFrom("deliver", "work"), end: fc.constantFrom(0, 1), choice: fc.nat(5) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant("commit"),
        lane: numberings,
        count: fc.integer({ min: 1, max: 30 }),
        bytes: fc.nat(150),
      }),
    },
  ),
  { maxLength: 200 },
);

type PairStep = typeof steps extends fc.Arbitrary<(infer T)[]> ? T : never;

function take(pair: SessionPair, step: PairStep): void {
  if (step.type === "commit") pair.commit(step.lane, step.count, step.bytes);
  else {
    const end = pair.ends[step.end === 0 ? 0 : 1];
    if (step.type === "deliver") pair.deliver(end);
    else pair.work(end, step.choice);
  }
}

const seqs = fc.integer({ min: -1, max: 5 });

const hashes = fc.constantFrom("ab".repeat(32), "cd".repeat(32));
const frames: fc.Arbitrary<Frame> = fc.oneof(
  fc.constant(HELLO),
  fc.constant(WELCOME),
  fc.record({
    type: fc.constant("batch"),
    lane: lanes,
    firstSeq: seqs,
    count: seqs,
    compression: fc.constant("none"),
    payload: fc.uint8Array({ maxLength: 10 }),
  }),
  fc.record({ type: fc.constant("ack"), lane: lanes, seq: seqs, rejections: fc.constant([]) }),
  fc.record({ type: fc.constant("blob-offer"), blob: fc.record({ sha256: hashes, bytes: fc.nat(20) }) }),
  fc.record({
    type: fc.constant("chunk"),
    sha256: hashes,
    offset: fc.nat(20),
    content: fc.uint8Array({ maxLength: 10 }),
  }),
  fc.record({ type: fc.constant("chunk-ack"), sha256: hashes, offset: fc.nat(20), isDone: fc.boolean() }),
  fc.record({ type: fc.constantFrom("ping", "pong"), nonce: fc.nat() }),
  fc.record({
    type: fc.constant("go-away"),
    code: fc.constant("CANCELLED"),
    text: fc.string(),
    retryAfterMs: fc.nat(),
  }),
);

const events: fc.Arbitrary<SessionEvent> = fc.oneof(
  fc.record({ type: fc.constant("frame"), frame: frames }),
  fc.record({ type: fc.constant("woken"), lane: lanes }),
  fc.record({ type: fc.constant("applied"), lane: lanes, rejections: fc.constant([]) }),
  fc.record({ type: fc.constant("loaded"), lane: lanes, batches: fc.constant([]), drained: fc.boolean() }),
  fc.record({ type: fc.constant("blob-opened"), offset: fc.nat(20), isDone: fc.boolean() }),
  fc.record({ type: fc.constant("chunks-written"), isDone: fc.boolean() }),
  fc.record({ type: fc.constant("chunk-read"), content: fc.option(fc.uint8Array({ maxLength: 10 })) }),
  fc.record({ type: fc.constant("tick") }),
  fc.record({
    type: fc.constant("opened"),
    opening: fc.constant({
      window: WELCOME.window,
      sending: [{ lane: "config" as const, course: inOrderFrom(1), missed: [] }],
      receiving: [{ lane: "downlink" as const, course: inOrderFrom(1) }],
      welcome: null,
      missedAcks: [],
    }),
  }),
  fc.record({ type: fc.constant("stop"), code: fc.constant("CANCELLED"), text: fc.string() }),
);

describe("two ends of a session", () => {
  test("bring every item over once, each lane in the order of its course, whatever the timing and the backlog", () => {
    fc.assert(
      fc.property(windows, backlogs, steps, (window, backlog, list) => {
        const pair = new SessionPair(window, backlog);
        for (const step of list) {
          take(pair, step);
          for (const { state } of pair.ends) {
            const applying = state.receivers.filter((receiver) => receiver.applying !== null);
            expect(applying.length).toBeLessThanOrEqual(1);
          }
        }
        pair.settle();
        for (const { state } of pair.ends) expect(state.phase).toBe("live");
        for (const name of NUMBERINGS) {
          const last = pair.lastSeq(name);
          expect(pair.committed[name]).toEqual(last === 0 ? [] : [{ first: 1, last }]);
        }
        for (const { state } of pair.ends) for (const { acked, loaded } of state.senders) expect(acked).toBe(loaded);
      }),
      { numRuns: 300 },
    );
  });

  test("both close, once, when either stops", () => {
    fc.assert(
      fc.property(windows, steps, fc.constantFrom(0, 1), (window, list, stopping) => {
        const pair = new SessionPair(window);
        for (const step of list) take(pair, step);
        pair.dispatch(pair.ends[stopping === 0 ? 0 : 1], {
          type: "stop",
          code: "CANCELLED",
          text: "The program stops",
        });
        pair.settle();
        for (const end of pair.ends) expectClosedOnce(end);
      }),
    );
  });
});

function expectClosedOnce({ state, effects }: End): void {
  expect(state.phase).toBe("closed");
  expect(effects.filter(({ type }) => type === "close")).toHaveLength(1);
  expect(effects.at(-1)).toMatchObject({ type: "close", code: "CANCELLED" });
}

describe("advanceSession()", () => {
  test("takes any event in any phase; what it refuses closes the session for good, with a farewell", () => {
    fc.assert(
      fc.property(fc.constantFrom("edge", "cloud"), fc.array(events, { maxLength: 30 }), (role, list) => {
        let { state } = role === "edge" ? startEdgeSession(HELLO, 0) : startCloudSession(0);
        for (const event of list) {
          const before = state.phase;
          const step = advanceSession(state, event, 0);
          ({ state } = step);
          const closes = step.effects.filter(({ type }) => type === "close");
          expect(closes).toHaveLength(before !== "closed" && state.phase === "closed" ? 1 : 0);
          if (before === "closed") expect(step).toEqual({ state, effects: [] });
          const isFarewellDue = closes.length === 1 && !(event.type === "frame" && event.frame.type === "go-away");
          if (isFarewellDue) expect(step.effects.at(-2)).toMatchObject({ type: "send", frame: { type: "go-away" } });
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

function openPair(): SessionPair {
  const pair = new SessionPair({ bytes: 100, items: 20 });
  pair.settle();
  return pair;
}

function tickAt(pair: SessionPair, end: End, nowMs: number): void {
  pair.nowMs = nowMs;
  pair.dispatch(end, { type: "tick" });
}

describe("the watchdog", () => {
  test("gives up when the first frame does not come in time", () => {
    const pair = new SessionPair({ bytes: 100, items: 20 });
    const [edge] = pair.ends;
    tickAt(pair, edge, GREETING_WITHIN_MS - 1);
    expect(edge.state.phase).toBe("greeting");
    tickAt(pair, edge, GREETING_WITHIN_MS);
    expect(edge.effects.at(-1)).toMatchObject({ type: "close", code: "LINK_DOWN" });
  });

  test("pings a silent peer once, then gives up", () => {
    const pair = openPair();
    const [edge] = pair.ends;
    tickAt(pair, edge, PING_AFTER_MS);
    tickAt(pair, edge, PING_AFTER_MS + PONG_WITHIN_MS - 1);
    const pings = edge.effects.filter((effect) => effect.type === "send" && effect.frame.type === "ping");
    expect(pings).toHaveLength(1);
    expect(edge.state.phase).toBe("live");
    tickAt(pair, edge, PING_AFTER_MS + PONG_WITHIN_MS);
    expect(edge.effects.at(-1)).toMatchObject({ type: "close", code: "LINK_DOWN" });
  });

  test("takes any frame for a sign of life", () => {
    const pair = openPair();
    const [edge] = pair.ends;
    tickAt(pair, edge, PING_AFTER_MS);
    pair.commit("downlink", 1, 1);
    pair.settle();
    expect(nextTickMs(edge.state)).toBe(PING_AFTER_MS * 2);
  });

  test("counts the wait for an acknowledgement from the batch that ended the silence", () => {
    const pair = openPair();
    const [edge] = pair.ends;
    pair.nowMs = 50_000;
    pair.dispatch(edge, { type: "frame", frame: { type: "pong", nonce: 1 } });
    pair.commit("telemetry", 1, 1);
    while (pair.work(edge, 0));
    expect(findSender(edge.state, "telemetry")?.progressMs).toBe(50_000);
  });

  test("gives up when a peer that answers pings acknowledges nothing", () => {
    const pair = openPair();
    const [edge] = pair.ends;
    pair.commit("telemetry", 1, 1);
    while (pair.work(edge, 0));
    for (let nowMs = PING_AFTER_MS; nowMs < ACK_WITHIN_MS; nowMs += PING_AFTER_MS) {
      tickAt(pair, edge, nowMs);
      pair.dispatch(edge, { type: "frame", frame: { type: "pong", nonce: 1 } });
    }
    expect(edge.state.phase).toBe("live");
    tickAt(pair, edge, ACK_WITHIN_MS);
    expect(edge.effects.at(-1)).toMatchObject({
      type: "close",
      text: `Lane telemetry was not acknowledged for ${ACK_WITHIN_MS} ms`,
    });
  });
});
