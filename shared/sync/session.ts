import type { ErrorCode } from "../core/errors.ts";
import type { EdgeReport } from "./edge-report.ts";
import type { Ack, Batch, Frame, GoAway, Hello, Lane, Rejection, Welcome, Window } from "./frames.ts";
import { LANES } from "./frames.ts";
import type { ReceiverState } from "./receiver.ts";
import { applyFinished, arrived, createReceiver, takeApplicable } from "./receiver.ts";
import { createAcks } from "./rejections.ts";
import type { OutgoingBatch, SenderState } from "./sender.ts";
import { acknowledged, createSender, loadFinished, loadStarted, takeSendable, wake, wantedLoad } from "./sender.ts";

// One session of the sync protocol, as a pure machine for either end: (state, event) -> { state, effects }.
// SPEC.md in this folder is its text; the names are the same.
//
// Phases:
//   greeting  the stream is open; the peer's first frame is awaited (edge: Welcome, cloud: Hello)
//   opening   the first frame is here; the driver does its database work, then reports `opened`
//             (the cloud is live once its Welcome is out: an edge holds the batches that come before it is)
//   live      lanes run
//   closed    final; every event is ignored
//
// Limits: frames of a lane lie inside the window; one load per lane, one apply per session, at most one unanswered ping.

export type Role = "edge" | "cloud";

export interface SessionState {
  readonly role: Role;
  readonly phase: "greeting" | "opening" | "live" | "closed";
  readonly window: Window;
  readonly senders: readonly SenderState[];
  readonly receivers: readonly ReceiverState[];
  /** Batches and acks that came while opening. */
  readonly held: readonly (Batch | Ack)[];
  /** When the peer was last heard; while opening, when its first frame came. */
  readonly lastReceivedMs: number;
  readonly pingSentMs: number | null;
  readonly nextNonce: number;
}

export type SessionEvent =
  | { readonly type: "frame"; readonly frame: Frame }
  /** The database work of `opening` is done; sending and receiving go on from these watermarks. */
  | { readonly type: "opened"; readonly opening: Opening }
  | {
      readonly type: "loaded";
      readonly lane: Lane;
      readonly batches: readonly OutgoingBatch[];
      readonly drained: boolean;
    }
  | { readonly type: "applied"; readonly lane: Lane; readonly rejections: readonly Rejection[] }
  /** Rows were committed to the outbox of a lane. */
  | { readonly type: "woken"; readonly lane: Lane }
  /** The edge has something to tell of itself. */
  | { readonly type: "report"; readonly report: EdgeReport }
  | { readonly type: "tick" }
  /** Local work failed, or this side wants to stop: tell the peer and close. */
  | { readonly type: "stop"; readonly code: ErrorCode; readonly text: string; readonly retryAfterMs?: number };

export interface Opening {
  readonly window: Window;
  /** `seq`: the receiver's watermark; `ackedSeq`: what this side knew of before. */
  readonly sending: readonly { readonly lane: Lane; readonly seq: number; readonly ackedSeq: number }[];
  readonly receiving: readonly { readonly lane: Lane; readonly seq: number }[];
  /** The cloud's answer to the Hello; null on the edge. */
  readonly welcome: Welcome | null;
  /** Of lanes that come in: what the peer does not know to be committed yet. */
  readonly missedAcks: readonly Ack[];
}

export type SessionEffect =
  | { readonly type: "send"; readonly frame: Frame }
  /** Do the database work that the peer's first frame asks for, then report `opened`. */
  | { readonly type: "open"; readonly first: Hello | Welcome }
  /** Read the outbox above `afterSeq`: at most so many bytes and items, but at least one batch if there is one. Report `loaded`. */
  | {
      readonly type: "load";
      readonly lane: Lane;
      readonly afterSeq: number;
      readonly bytesMax: number;
      readonly itemsMax: number;
    }
  /** Apply in one transaction that also moves the watermark from before the first to the last. Report `applied`. */
  | { readonly type: "apply"; readonly lane: Lane; readonly batches: readonly Batch[] }
  /** The peer has committed up to `seq`: keep it, park the rejected items. */
  | { readonly type: "settle"; readonly lane: Lane; readonly seq: number; readonly rejections: readonly Rejection[] }
  /** The edge told this of itself: keep the newest. */
  | { readonly type: "note"; readonly report: EdgeReport }
  | { readonly type: "close"; readonly code: string; readonly text: string; readonly retryAfterMs: number };

export interface Step {
  readonly state: SessionState;
  readonly effects: readonly SessionEffect[];
}

/** Silence after which a ping is sent, the wait for any answer to it, and the wait for the first frame and for acknowledgements. */
export const PING_AFTER_MS = 10_000;
export const PONG_WITHIN_MS = 5_000;
export const GREETING_WITHIN_MS = 15_000;
export const ACK_WITHIN_MS = 60_000;
/** Items applied in one transaction, beyond the first batch. */
export const APPLY_ITEMS_MAX = 20_000;

/** Acks that an edge holds while it opens: each stands for what a lost one held. */
export const HELD_ACKS_MAX = 1_000;

/** The edge speaks first. */
export function startEdgeSession(hello: Hello, nowMs: number): Step {
  return { state: createSession("edge", nowMs), effects: [{ type: "send", frame: hello }] };
}

export function startCloudSession(nowMs: number): Step {
  return { state: createSession("cloud", nowMs), effects: [] };
}

function createSession(role: Role, nowMs: number): SessionState {
  return {
    role,
    phase: "greeting",
    window: { bytes: 0, items: 0 },
    senders: [],
    receivers: [],
    held: [],
    lastReceivedMs: nowMs,
    pingSentMs: null,
    nextNonce: 1,
  };
}

/** The whole protocol. `nowMs` is monotonic. */
export function advanceSession(state: SessionState, event: SessionEvent, nowMs: number): Step {
  if (state.phase === "closed") return { state, effects: [] };
  switch (event.type) {
    case "frame":
      return onFrame(state, event.frame, nowMs);
    case "opened":
      return onOpened(state, event.opening, nowMs);
    case "loaded":
      return onLoaded(state, event.lane, event.batches, event.drained, nowMs);
    case "applied":
      return onApplied(state, event.lane, event.rejections, nowMs);
    case "woken":
      return pump(updateSender(state, event.lane, wake), nowMs);
    case "report":
      return onReport(state, event.report);
    case "tick":
      return onTick(state, nowMs);
    case "stop":
      return fail(state, event.code, event.text, event.retryAfterMs ?? 0);
  }
}

/** When the next tick is due, monotonic ms; the driver may tick more often. */
export function nextTickMs(state: SessionState): number {
  if (state.phase === "greeting" || state.phase === "opening") return state.lastReceivedMs + GREETING_WITHIN_MS;
  const pingDue = state.pingSentMs === null ? state.lastReceivedMs + PING_AFTER_MS : state.pingSentMs + PONG_WITHIN_MS;
  return Math.min(pingDue, ...stallDeadlines(state).map(({ atMs }) => atMs));
}

/** The peer applies lanes in their order, so an acknowledgement of an earlier lane explains the silence of a later one. */
function stallDeadlines(state: SessionState): readonly { readonly lane: Lane; readonly atMs: number }[] {
  let progressMs = -Infinity;
  const deadlines: { readonly lane: Lane; readonly atMs: number }[] = [];
  for (const sender of state.senders) {
    progressMs = Math.max(progressMs, sender.progressMs);
    if (sender.inFlight.length > 0) deadlines.push({ lane: sender.lane, atMs: progressMs + ACK_WITHIN_MS });
  }
  return deadlines;
}

export function findSender(state: SessionState, lane: Lane): SenderState | undefined {
  return state.senders.find((sender) => sender.lane === lane);
}

function onFrame(state: SessionState, frame: Frame, nowMs: number): Step {
  if (frame.type === "go-away") return closeOn(state, frame);
  if (state.phase === "opening") return onEarlyFrame(state, frame);
  const heard: SessionState = { ...state, lastReceivedMs: nowMs, pingSentMs: null };
  return state.phase === "greeting" ? onFirstFrame(heard, frame) : onLiveFrame(heard, frame, nowMs);
}

function onLiveFrame(state: SessionState, frame: Exclude<Frame, GoAway>, nowMs: number): Step {
  switch (frame.type) {
    case "batch":
      return onBatch(state, frame, nowMs);
    case "ack":
      return onAck(state, frame, nowMs);
    case "ping":
      return { state, effects: [{ type: "send", frame: { type: "pong", nonce: frame.nonce } }] };
    case "pong":
      return { state, effects: [] };
    case "status":
      if (state.role === "edge") return fail(state, "PROTOCOL_ERROR", "Frame status came from a cloud");
      return { state, effects: [{ type: "note", report: frame.report }] };
    case "hello":
    case "welcome":
      return fail(state, "PROTOCOL_ERROR", `Frame ${frame.type} came in a live session`);
  }
}

function onFirstFrame(state: SessionState, frame: Frame): Step {
  const expected = state.role === "edge" ? "welcome" : "hello";
  if (frame.type !== expected || (frame.type !== "hello" && frame.type !== "welcome")) {
    return fail(state, "PROTOCOL_ERROR", `First frame is ${frame.type}, expected ${expected}`);
  }
  const window = frame.type === "welcome" ? frame.window : state.window;
  return { state: { ...state, phase: "opening", window }, effects: [{ type: "open", first: frame }] };
}

/** An edge may hear more of the cloud before its own database work is done; a cloud that did not answer yet may not. */
function onEarlyFrame(state: SessionState, frame: Exclude<Frame, GoAway>): Step {
  if (state.role === "edge" && frame.type === "ping") {
    return { state, effects: [{ type: "send", frame: { type: "pong", nonce: frame.nonce } }] };
  }
  if (state.role !== "edge" || (frame.type !== "batch" && frame.type !== "ack")) {
    return fail(state, "PROTOCOL_ERROR", `Frame ${frame.type} came before the session was open`);
  }
  const held = [...state.held, frame];
  const batches = held.filter((one) => one.type === "batch");
  const items = batches.reduce((sum, { count }) => sum + count, 0);
  if ((batches.length > 1 && items > state.window.items) || held.length - batches.length > HELD_ACKS_MAX) {
    return fail(
      state,
      "PROTOCOL_ERROR",
      `Frames before the session was open exceed ${HELD_ACKS_MAX} acks or the window of ${state.window.items} items`,
    );
  }
  return { state: { ...state, held }, effects: [] };
}

function onOpened(state: SessionState, opening: Opening, nowMs: number): Step {
  const live: SessionState = {
    ...state,
    phase: "live",
    window: opening.window,
    senders: inLaneOrder(opening.sending).map(({ lane, seq, ackedSeq }) =>
      createSender(lane, { watermark: seq, ackedSeq }, nowMs),
    ),
    receivers: inLaneOrder(opening.receiving).map(({ lane, seq }) => createReceiver(lane, seq)),
    held: [],
    lastReceivedMs: nowMs,
  };
  const first = opening.welcome === null ? opening.missedAcks : [opening.welcome, ...opening.missedAcks];
  const greeting = first.map((frame): SessionEffect => ({ type: "send", frame }));
  let step = prepend(greeting, pump(live, nowMs));
  for (const frame of state.held) {
    if (step.state.phase === "live") step = prepend(step.effects, onLiveFrame(step.state, frame, nowMs));
  }
  return step;
}

function inLaneOrder<T extends { readonly lane: Lane }>(items: readonly T[]): readonly T[] {
  return items.toSorted((left, right) => LANES.indexOf(left.lane) - LANES.indexOf(right.lane));
}

function onBatch(state: SessionState, batch: Batch, nowMs: number): Step {
  const receiver = state.receivers.find(({ lane }) => lane === batch.lane);
  if (receiver === undefined) return fail(state, "PROTOCOL_ERROR", `Lane ${batch.lane} is not received here`);
  const next = arrived(receiver, batch, state.window);
  if (typeof next === "string") return fail(state, "PROTOCOL_ERROR", next);
  return pump(replaceReceiver(state, next), nowMs);
}

function onAck(state: SessionState, ack: Ack, nowMs: number): Step {
  const sender = findSender(state, ack.lane);
  const next = sender === undefined ? null : acknowledged(sender, ack.seq, nowMs);
  if (sender === undefined || next === null) {
    const range = sender === undefined ? "nothing" : `${sender.acked} to ${sender.sent}`;
    return fail(state, "PROTOCOL_ERROR", `Ack of lane ${ack.lane} names ${ack.seq}, expected ${range}`);
  }
  const settle: SessionEffect = { type: "settle", lane: ack.lane, seq: ack.seq, rejections: ack.rejections };
  return prepend([settle], pump(replaceSender(state, next), nowMs));
}

function onLoaded(
  state: SessionState,
  lane: Lane,
  batches: readonly OutgoingBatch[],
  drained: boolean,
  nowMs: number,
): Step {
  const sender = findSender(state, lane);
  const next = sender === undefined ? null : loadFinished(sender, batches, drained);
  if (next === null)
    return fail(state, "INTERNAL", `Outbox of lane ${lane} does not continue at ${(sender?.loaded ?? 0) + 1}`);
  return pump(replaceSender(state, next), nowMs);
}

function onApplied(state: SessionState, lane: Lane, rejections: readonly Rejection[], nowMs: number): Step {
  const receiver = state.receivers.find((candidate) => candidate.lane === lane);
  if (receiver === undefined || receiver.applying === null)
    return fail(state, "INTERNAL", `Nothing was being applied on lane ${lane}`);
  const next = applyFinished(receiver);
  const acks = createAcks({ lane, upTo: next.applied, rejections });
  const sent = acks.map((frame): SessionEffect => ({ type: "send", frame }));
  return prepend(sent, pump(replaceReceiver(state, next), nowMs));
}

/** Outside of a live session it is dropped: the next one reports anew. */
function onReport(state: SessionState, report: EdgeReport): Step {
  if (state.phase !== "live") return { state, effects: [] };
  return { state, effects: [{ type: "send", frame: { type: "status", report } }] };
}

function onTick(state: SessionState, nowMs: number): Step {
  if (nowMs < nextTickMs(state)) return { state, effects: [] };
  if (state.phase !== "live") return fail(state, "LINK_DOWN", "The peer did not open the session in time", 0);
  const stalled = stallDeadlines(state).find(({ atMs }) => nowMs >= atMs);
  if (stalled !== undefined) {
    return fail(state, "STALLED", `Lane ${stalled.lane} was not acknowledged for ${ACK_WITHIN_MS} ms`);
  }
  if (state.pingSentMs !== null)
    return fail(state, "LINK_DOWN", `The peer was silent for ${PING_AFTER_MS + PONG_WITHIN_MS} ms`);
  const ping: SessionEffect = { type: "send", frame: { type: "ping", nonce: state.nextNonce } };
  return { state: { ...state, pingSentMs: nowMs, nextNonce: state.nextNonce + 1 }, effects: [ping] };
}

/** Starts whatever can go on: sends, loads and one apply, in the order of the lanes. */
function pump(state: SessionState, nowMs: number): Step {
  if (state.phase !== "live") return { state, effects: [] };
  const effects: SessionEffect[] = [];
  let next = state;
  for (const { lane } of state.senders) {
    next = pumpSender(next, lane, nowMs, effects);
  }
  if (next.receivers.every((receiver) => receiver.applying === null)) {
    const ready = next.receivers.find((receiver) => receiver.pending.length > 0);
    if (ready !== undefined) {
      const { receiver, batches } = takeApplicable(ready, APPLY_ITEMS_MAX);
      next = replaceReceiver(next, receiver);
      effects.push({ type: "apply", lane: receiver.lane, batches });
    }
  }
  return { state: next, effects };
}

function pumpSender(state: SessionState, lane: Lane, nowMs: number, effects: SessionEffect[]): SessionState {
  const before = findSender(state, lane);
  if (before === undefined) return state;
  const config = findSender(state, "config");
  const configSent = config?.sent ?? Number.MAX_SAFE_INTEGER;
  const { sender, batches } = takeSendable(before, state.window, configSent, nowMs);
  for (const { configSeq: _, ...batch } of batches) effects.push({ type: "send", frame: batch });
  let next = replaceSender(state, sender);
  // Telemetry that waits for config that was not looked for yet: look.
  const blockedBy = sender.staged[0]?.configSeq ?? 0;
  if (lane !== "config" && config !== undefined && blockedBy > config.loaded && config.mode === "drained") {
    next = pumpSender(updateSender(next, "config", wake), "config", nowMs, effects);
  }
  const wanted = wantedLoad(sender, state.window);
  if (wanted === null) return next;
  effects.push({ type: "load", lane, afterSeq: sender.loaded, ...wanted });
  return replaceSender(next, loadStarted(sender));
}

function closeOn(state: SessionState, goAway: GoAway): Step {
  const { code, text, retryAfterMs } = goAway;
  return { state: { ...state, phase: "closed" }, effects: [{ type: "close", code, text, retryAfterMs }] };
}

function fail(state: SessionState, code: ErrorCode, text: string, retryAfterMs = 0): Step {
  return {
    state: { ...state, phase: "closed" },
    effects: [
      { type: "send", frame: { type: "go-away", code, text, retryAfterMs } },
      { type: "close", code, text, retryAfterMs },
    ],
  };
}

function prepend(effects: readonly SessionEffect[], step: Step): Step {
  return { state: step.state, effects: [...effects, ...step.effects] };
}

function updateSender(state: SessionState, lane: Lane, update: (sender: SenderState) => SenderState): SessionState {
  return { ...state, senders: state.senders.map((sender) => (sender.lane === lane ? update(sender) : sender)) };
}

function replaceSender(state: SessionState, sender: SenderState): SessionState {
  return updateSender(state, sender.lane, () => sender);
}

function replaceReceiver(state: SessionState, receiver: ReceiverState): SessionState {
  return { ...state, receivers: state.receivers.map((other) => (other.lane === receiver.lane ? receiver : other)) };
}
