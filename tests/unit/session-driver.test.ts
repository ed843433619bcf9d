import { describe, expect, test } from "bun:test";
import { createDeferred } from "../../shared/core/deferred.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { FrameQueue } from "../../shared/sync/frame-queue.ts";
import type { Batch, Frame, Rejection } from "../../shared/sync/frames.ts";
import type { SessionHandle, SessionPorts } from "../../shared/sync/session-driver.ts";
import { driveSession } from "../../shared/sync/session-driver.ts";
import { ACK_WITHIN_MS, PING_AFTER_MS, PONG_WITHIN_MS } from "../../shared/sync/session-liveness.ts";
import { startEdgeSession } from "../../shared/sync/session.ts";
import { batch, EDGE_OPENING, HELLO, outgoing, WELCOME } from "./sync-values.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

const IDLE: SessionPorts = {
  open: () => Promise.resolve(EDGE_OPENING),
  load: () => Promise.resolve({ batches: [], drained: true }),
  apply: () => Promise.resolve([]),
  settle: () => Promise.resolve(),
  blobs: {
    open: () => Promise.resolve({ offset: 0, isDone: true }),
    write: () => Promise.resolve({ isDone: true }),
    read: () => Promise.resolve(null),
  },
  rounds: { role: "edge", answer: ({ round }) => Promise.resolve({ type: "digest-diff", round, types: [] }) },
};

/** An edge's session whose peer is the test. */
function startEdge(ports: Partial<SessionPorts> = {}) {
  const clock = createVirtualClock();
  const incoming = new FrameQueue();
  const sent: Frame[] = [];
  let closed = 0;
  const handle: SessionHandle = driveSession(startEdgeSession(HELLO, 0), {
    transport: {
      incoming,
      send: (frame) => sent.push(frame),
      close: () => {
        closed += 1;
      },
    },
    ports: { ...IDLE, ...ports },
    clock,
    log: silentLog,
  });
  return {
    clock,
    handle,
    sent,
    closes: () => closed,
    peerEnds: () => incoming.close(),
    receive: async (...frames: readonly Frame[]) => {
      for (const frame of frames) {
        incoming.push(frame);
        await settle();
      }
    },
  };
}

const DOWNLINK: Batch = batch({ lane: "downlink", firstSeq: 1, count: 2 });

describe("driveSession()", () => {
  test("greets, opens, applies and acknowledges", async () => {
    const applied: Batch[] = [];
    const edge = startEdge({
      apply: (_lane, batches) => {
        applied.push(...batches);
        return Promise.resolve([]);
      },
    });
    await edge.receive(WELCOME, DOWNLINK);
    expect(applied).toEqual([DOWNLINK]);
    expect(edge.sent).toEqual([HELLO, { type: "ack", lane: "downlink", seq: 2, rejections: [] }]);
    edge.handle.stop("CANCELLED", "enough");
    expect(await edge.handle.ended).toEqual({ code: "CANCELLED", text: "enough", retryAfterMs: 0, wasLive: true });
  });

  test("sends what is woken", async () => {
    const rows = [[outgoing({ lane: "config", firstSeq: 1, count: 1 })]];
    let written = 0;
    const edge = startEdge({
      load: ({ lane }) => {
        const batches = lane === "config" ? rows.slice(0, written).splice(0, 1).flat() : [];
        if (batches.length > 0) rows.length = 0;
        return Promise.resolve({ batches, drained: batches.length === 0 });
      },
    });
    await edge.receive(WELCOME);
    expect(edge.sent).toHaveLength(1);
    written = 1;
    edge.handle.wake("config");
    await settle();
    expect(edge.sent.at(-1)).toEqual(batch({ lane: "config", firstSeq: 1, count: 1 }));
  });

  test("ends with the code of what a port throws, and tells the peer", async () => {
    const apply = (): Promise<never> =>
      Promise.reject(new AppError("DATABASE_UNAVAILABLE", "gone", { retryAfterMs: 9 }));
    const edge = startEdge({ apply });
    await edge.receive(WELCOME, DOWNLINK);
    const end = { code: "DATABASE_UNAVAILABLE", text: "gone", retryAfterMs: 9 };
    expect(await edge.handle.ended).toEqual({ ...end, wasLive: true });
    expect(edge.sent.at(-1)).toEqual({ type: "go-away", ...end });
    expect(edge.closes()).toBe(1);
  });

  test("ends when the peer ends the stream", async () => {
    const edge = startEdge();
    edge.peerEnds();
    expect(await edge.handle.ended).toMatchObject({ code: "LINK_DOWN", wasLive: false });
  });

  test("is over only when what it asked of the database is done", async () => {
    const commit = createDeferred<readonly Rejection[]>();
    const edge = startEdge({ apply: () => commit.promise });
    await edge.receive(WELCOME, DOWNLINK);
    let isOver = false;
    const ended = edge.handle.ended.then(() => (isOver = true));
    edge.handle.stop("LINK_DOWN", "cut");
    await settle();
    expect([edge.closes(), isOver]).toEqual([1, false]);
    commit.resolve([]);
    expect(await ended).toBe(true);
    expect(edge.sent.some(({ type }) => type === "ack")).toBe(false);
  });

  test("is over only when the Welcome is stored", async () => {
    const stored = createDeferred<typeof EDGE_OPENING>();
    const edge = startEdge({ open: () => stored.promise });
    await edge.receive(WELCOME);
    let isOver = false;
    const ended = edge.handle.ended.then(() => (isOver = true));
    edge.peerEnds();
    await settle();
    expect(isOver).toBe(false);
    stored.reject(new AppError("DATABASE_UNAVAILABLE", "gone"));
    expect(await ended).toBe(true);
  });

  test("is over only when the last acknowledgement is settled", async () => {
    const settled = createDeferred<void>();
    const found = [outgoing({ lane: "config", firstSeq: 1, count: 1 })];
    const edge = startEdge({
      load: ({ lane, afterSeq }) => {
        const isThere = lane === "config" && afterSeq === 0;
        return Promise.resolve({ batches: isThere ? found : [], drained: !isThere });
      },
      settle: () => settled.promise,
    });
    await edge.receive(WELCOME, { type: "ack", lane: "config", seq: 1, rejections: [] });
    let isOver = false;
    const ended = edge.handle.ended.then(() => (isOver = true));
    edge.handle.stop("LINK_DOWN", "cut");
    await settle();
    expect(isOver).toBe(false);
    settled.resolve();
    expect(await ended).toBe(true);
  });

  test("settles one by one, what came meanwhile as one with all rejections", async () => {
    const settled: (readonly [readonly SeqRange[], number])[] = [];
    const first = createDeferred<void>();
    const rejection = (seq: number): Rejection => ({ seq, code: "NOT_FOUND", text: "", version: "" });
    const batches = [1, 2, 3].map((firstSeq) => outgoing({ lane: "config", firstSeq, count: 1 }));
    let loads = 0;
    const edge = startEdge({
      load: ({ lane }) => {
        loads += lane === "config" ? 1 : 0;
        const found = lane === "config" && loads === 1 ? batches : [];
        return Promise.resolve({ batches: found, drained: found.length === 0 });
      },
      settle: (_lane, { committed, rejections }) => {
        settled.push([committed, rejections.length]);
        return settled.length === 1 ? first.promise : Promise.resolve();
      },
    });
    await edge.receive(WELCOME);
    for (const seq of [1, 2, 3]) await edge.receive({ type: "ack", lane: "config", seq, rejections: [rejection(seq)] });
    expect(settled).toEqual([[[{ first: 1, last: 1 }], 1]]);
    first.resolve();
    await settle();
    expect(settled).toEqual([
      [[{ first: 1, last: 1 }], 1],
      [[{ first: 2, last: 3 }], 2],
    ]);
  });

  test("pings a silent peer, gives up on it, and leaves no timer", async () => {
    const edge = startEdge();
    await edge.receive(WELCOME);
    await edge.clock.advance(PING_AFTER_MS);
    expect(edge.sent.at(-1)).toEqual({ type: "ping", nonce: 1 });
    await edge.clock.advance(PONG_WITHIN_MS);
    expect(await edge.handle.ended).toMatchObject({ code: "LINK_DOWN" });
    expect(edge.clock.sleepers()).toBe(0);
  });

  test("gives up on a peer that talks but acknowledges nothing", async () => {
    let loads = 0;
    const edge = startEdge({
      load: ({ lane }) => {
        const found = lane === "telemetry" && loads++ === 0 ? [outgoing({ lane, firstSeq: 1, count: 1 })] : [];
        return Promise.resolve({ batches: found, drained: found.length === 0 });
      },
    });
    await edge.receive(WELCOME);
    for (let waitedMs = 0; waitedMs < ACK_WITHIN_MS; waitedMs += 5_000) {
      await edge.receive({ type: "pong", nonce: 0 });
      await edge.clock.advance(5_000);
    }
    expect(await edge.handle.ended).toMatchObject({
      code: "STALLED",
      text: "Lane telemetry was not acknowledged for 60000 ms",
    });
  });
});
