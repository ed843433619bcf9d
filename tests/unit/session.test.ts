import { describe, expect, test } from "bun:test";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { Frame } from "../../shared/sync/frames.ts";
import { acknowledged, createSender, loadFinished, loadStarted, takeSendable, wake } from "../../shared/sync/sender.ts";
import { ACK_WITHIN_MS, GREETING_WITHIN_MS, nextTickMs } from "../../shared/sync/session-liveness.ts";
import type { SessionEvent, SessionState, Step } from "../../shared/sync/session-state.ts";
import { advanceSession, startCloudSession, startEdgeSession } from "../../shared/sync/session.ts";
import { batch, CLOUD_OPENING, EDGE_OPENING, HELLO, outgoing, WELCOME } from "./sync-values.ts";

const FIRST_LOAD = { afterSeq: 0, upToSeq: SEQ_MAX, bytesMax: 100, itemsMax: 20, frameBytesMax: 4_096 } as const;

type Phase = "greeting" | "opening" | "live";

function edgeIn(phase: Phase): SessionState {
  const greeting = startEdgeSession(HELLO, 0).state;
  if (phase === "greeting") return greeting;
  const opening = advanceSession(greeting, { type: "frame", frame: WELCOME }, 0).state;
  return phase === "opening" ? opening : advanceSession(opening, { type: "opened", opening: EDGE_OPENING }, 0).state;
}

function cloudIn(phase: Phase): SessionState {
  const greeting = startCloudSession(0).state;
  if (phase === "greeting") return greeting;
  const opening = advanceSession(greeting, { type: "frame", frame: HELLO }, 0).state;
  return phase === "opening" ? opening : advanceSession(opening, { type: "opened", opening: CLOUD_OPENING }, 0).state;
}

function closeCode({ effects }: Step): string | undefined {
  return effects.find((effect) => effect.type === "close")?.code;
}

describe("a session in greeting", () => {
  test("of an edge opens on a Welcome only", () => {
    const step = advanceSession(edgeIn("greeting"), { type: "frame", frame: WELCOME }, 1);
    expect(step.effects).toEqual([{ type: "open", first: WELCOME }]);
    expect(closeCode(advanceSession(edgeIn("greeting"), { type: "frame", frame: HELLO }, 1))).toBe("PROTOCOL_ERROR");
  });

  test("of a cloud opens on a Hello only, and answers when it is open", () => {
    const ping: Frame = { type: "ping", nonce: 1 };
    expect(closeCode(advanceSession(cloudIn("greeting"), { type: "frame", frame: ping }, 1))).toBe("PROTOCOL_ERROR");
    const opened = advanceSession(cloudIn("opening"), { type: "opened", opening: CLOUD_OPENING }, 1);
    expect(opened.effects).toEqual([
      { type: "send", frame: WELCOME },
      { type: "load", lane: "downlink", ...FIRST_LOAD },
    ]);
  });
});

describe("a session in opening", () => {
  const early = batch({ lane: "downlink", firstSeq: 1, count: 3 });

  test("of an edge holds batches that come before it is open, and applies them then", () => {
    const held = advanceSession(edgeIn("opening"), { type: "frame", frame: early }, 1);
    expect(held.effects).toEqual([]);
    const opened = advanceSession(held.state, { type: "opened", opening: EDGE_OPENING }, 2);
    expect(opened.effects).toContainEqual({ type: "apply", lane: "downlink", batches: [early] });
    expect(opened.state.held).toEqual([]);
  });

  test("of an edge holds no more than the window of the Welcome", () => {
    const first = advanceSession(edgeIn("opening"), { type: "frame", frame: early }, 1).state;
    const second = batch({ lane: "downlink", firstSeq: 4, count: 18 });
    expect(closeCode(advanceSession(first, { type: "frame", frame: second }, 1))).toBe("PROTOCOL_ERROR");
  });

  test("of an edge answers pings, which does not put off its deadline", () => {
    const step = advanceSession(edgeIn("opening"), { type: "frame", frame: { type: "ping", nonce: 5 } }, 9_000);
    expect(step.effects).toEqual([{ type: "send", frame: { type: "pong", nonce: 5 } }]);
    expect(nextTickMs(step.state)).toBe(GREETING_WITHIN_MS);
  });

  test("of a cloud that did not answer yet takes nothing", () => {
    const step = advanceSession(cloudIn("opening"), { type: "frame", frame: { type: "ping", nonce: 5 } }, 1);
    expect(closeCode(step)).toBe("PROTOCOL_ERROR");
  });
});

describe("a live session", () => {
  function sending(lanes: readonly ("config" | "telemetry")[]): SessionState {
    let state = edgeIn("live");
    for (const lane of lanes) {
      const batches = [1, 2].map((firstSeq) => outgoing({ lane, firstSeq, count: 1 }));
      state = advanceSession(state, { type: "loaded", lane, batches, drained: false }, 0).state;
    }
    return state;
  }

  function tickAt(state: SessionState, nowMs: number): Step {
    const heard = advanceSession(state, { type: "frame", frame: { type: "pong", nonce: 0 } }, nowMs).state;
    return advanceSession(heard, { type: "tick" }, nowMs);
  }

  function ackOf(lane: "config" | "telemetry"): SessionEvent {
    return { type: "frame", frame: { type: "ack", lane, seq: 1, rejections: [] } };
  }

  test("does not take telemetry for stalled while config, which the peer applies first, is acknowledged", () => {
    const state = advanceSession(sending(["config", "telemetry"]), ackOf("config"), 50_000).state;
    expect(tickAt(state, 70_000).state.phase).toBe("live");
    expect(closeCode(tickAt(state, 50_000 + ACK_WITHIN_MS))).toBe("STALLED");
  });

  test("takes config for stalled though telemetry is acknowledged", () => {
    const state = advanceSession(sending(["config", "telemetry"]), ackOf("telemetry"), 50_000).state;
    expect(closeCode(tickAt(state, ACK_WITHIN_MS))).toBe("STALLED");
  });

  test("applies one lane at a time, config before telemetry, and acknowledges after the commit", () => {
    const arrive = (state: SessionState, frame: Frame): Step => advanceSession(state, { type: "frame", frame }, 1);
    const config = batch({ lane: "config", firstSeq: 1, count: 1 });
    const first = arrive(cloudIn("live"), batch({ lane: "telemetry", firstSeq: 1, count: 1 }));
    expect(first.effects.map(({ type }) => type)).toEqual(["apply"]);
    const second = arrive(first.state, batch({ lane: "telemetry", firstSeq: 2, count: 1 }));
    const third = arrive(second.state, config);
    expect([second.effects, third.effects]).toEqual([[], []]);
    const applied = advanceSession(third.state, { type: "applied", lane: "telemetry", rejections: [] }, 2);
    expect(applied.effects).toEqual([
      { type: "send", frame: { type: "ack", lane: "telemetry", seq: 1, rejections: [] } },
      { type: "apply", lane: "config", batches: [config] },
    ]);
  });

  test("looks for the config that telemetry waits for, though no wake told of it", () => {
    const state = advanceSession(
      edgeIn("live"),
      { type: "loaded", lane: "config", batches: [], drained: true },
      1,
    ).state;
    const batches = [outgoing({ lane: "telemetry", firstSeq: 1, count: 1 }, 1)];
    const step = advanceSession(state, { type: "loaded", lane: "telemetry", batches, drained: false }, 1);
    expect(step.effects).toEqual([{ type: "load", lane: "config", ...FIRST_LOAD }]);
  });

  test("closes on a GoAway without an answer and hands on when to come back", () => {
    const goAway: Frame = { type: "go-away", code: "CANCELLED", text: "drain", retryAfterMs: 4_000 };
    expect(advanceSession(edgeIn("live"), { type: "frame", frame: goAway }, 1).effects).toEqual([
      { type: "close", code: "CANCELLED", text: "drain", retryAfterMs: 4_000 },
    ]);
  });
});

describe("a sender", () => {
  test("does not count an acknowledgement that repeats the last one as progress", () => {
    const loading = loadStarted(createSender({ lane: "config", course: inOrderFrom(11), missed: [] }, 5));
    const loaded = loadFinished(loading, [outgoing({ lane: "config", firstSeq: 11, count: 1 })], false);
    if (loaded === null) throw new Error("The load was refused");
    const { sender } = takeSendable(loaded, WELCOME.window, () => true, 5);
    expect(acknowledged(sender, 10, 99)?.sender.progressMs).toBe(5);
    expect(acknowledged(sender, 11, 99)?.sender.progressMs).toBe(99);
  });

  test("looks again when it was woken while loading", () => {
    const loading = loadStarted(createSender({ lane: "config", course: inOrderFrom(1), missed: [] }, 0));
    expect(loadFinished(wake(loading), [], true)?.mode).toBe("more");
    expect(loadFinished(loading, [], true)?.mode).toBe("drained");
  });
});

describe("settings", () => {
  const settings = { rateLimits: { transportDeviceMsgRateLimit: "5:1" } };
  const frame: Frame = { type: "settings", settings };

  test("are told by a cloud in a live session, and dropped otherwise", () => {
    const event: SessionEvent = { type: "tell", settings };
    expect(advanceSession(cloudIn("live"), event, 1).effects).toEqual([{ type: "send", frame }]);
    for (const phase of ["greeting", "opening"] as const)
      expect(advanceSession(cloudIn(phase), event, 1).effects).toEqual([]);
  });

  test("are kept by an edge, once it has written down what the Welcome says", () => {
    const event: SessionEvent = { type: "frame", frame };
    const keep = { type: "keep-settings", settings } as const;
    expect(advanceSession(edgeIn("live"), event, 1).effects).toEqual([keep]);
    const early = advanceSession(edgeIn("opening"), event, 1);
    expect(early.effects).toEqual([]);
    expect(advanceSession(early.state, { type: "opened", opening: EDGE_OPENING }, 2).effects).toContainEqual(keep);
    for (const state of [edgeIn("greeting"), cloudIn("live"), cloudIn("opening")])
      expect(closeCode(advanceSession(state, event, 1))).toBe("PROTOCOL_ERROR");
  });
});

describe("a status", () => {
  const report = {
    wallClockMs: 1,
    lanes: [],
    parkedItems: 0,
    quota: "ok",
    state: "IN_SYNC",
    stateForMs: 0,
  } as const;
  const status: Frame = { type: "status", report };

  test("is sent by an edge in a live session, and dropped otherwise", () => {
    const event: SessionEvent = { type: "report", report };
    expect(advanceSession(edgeIn("live"), event, 1).effects).toEqual([{ type: "send", frame: status }]);
    for (const phase of ["greeting", "opening"] as const) {
      expect(advanceSession(edgeIn(phase), event, 1).effects).toEqual([]);
    }
  });

  test("is noted by a cloud in a live session, and is an error otherwise", () => {
    const event: SessionEvent = { type: "frame", frame: status };
    expect(advanceSession(cloudIn("live"), event, 1).effects).toEqual([{ type: "note", report }]);
    for (const state of [cloudIn("greeting"), cloudIn("opening"), edgeIn("live"), edgeIn("opening")]) {
      expect(closeCode(advanceSession(state, event, 1))).toBe("PROTOCOL_ERROR");
    }
  });
});
