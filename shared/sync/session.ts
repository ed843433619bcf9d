import { createBlobReceiver } from "./blob-receiver.ts";
import { createBlobSender } from "./blob-sender.ts";
import type { BlobOffer, Frame, GoAway, Hello, Ping, Status, Welcome } from "./frames.ts";
import { onBlobOffer, onBlobOpened, onChunk, onChunkAck, onChunkRead, onChunksWritten } from "./session-blobs.ts";
import { onAck, onApplied, onBatch, onLoaded, onOpened, onSettings, onWoken, thenPump } from "./session-lanes.ts";
import { onTick } from "./session-liveness.ts";
import { onAnswer, onAnswered, onQuestion, onRound, withDueRound } from "./session-rounds.ts";
import type { Phase, Role, SessionEvent, SessionState, Step } from "./session-state.ts";
import { fail, HELD_ACKS_MAX, send, stay } from "./session-state.ts";

// One session of the sync protocol, as a pure machine for either end: (state, event) -> { state, effects }.
// SPEC.md in this folder is its text; the names are the same. Phases, events and effects are in session-state.ts.
//
// Limits: see session-state.ts.

/** The edge speaks first. */
export function startEdgeSession(hello: Hello, nowMs: number): Step {
  return { state: createSession("edge", nowMs), effects: [{ type: "send", frame: hello }] };
}

export function startCloudSession(nowMs: number): Step {
  return { state: createSession("cloud", nowMs), effects: [] };
}

/** The whole protocol. `nowMs` is monotonic. */
export function advanceSession(state: SessionState, event: SessionEvent, nowMs: number): Step {
  return withDueRound(advance(state, event, nowMs), nowMs);
}

function advance(state: SessionState, event: SessionEvent, nowMs: number): Step {
  if (event.type !== "frame") return handle(state, event, nowMs);
  // What comes while opening does not put off its deadline.
  const isHeard = state.phase === "greeting" || state.phase === "live";
  const heard = isHeard ? { ...state, lastReceivedMs: nowMs, pingSentMs: null } : state;
  return handle(heard, event.frame, nowMs);
}

type Occurrence = Exclude<SessionEvent, { type: "frame" }> | Frame;
type Transitions = {
  readonly [Type in Occurrence["type"]]: (
    state: SessionState,
    occurrence: Extract<Occurrence, { type: Type }>,
    nowMs: number,
  ) => Step;
};

/** Section 3 of SPEC.md: what each event and each frame does in each phase. */
const TRANSITIONS = {
  greeting: {
    hello: onFirstFrame,
    welcome: onFirstFrame,
    batch: refuseFirst,
    ack: refuseFirst,
    "blob-offer": refuseFirst,
    chunk: refuseFirst,
    "chunk-ack": refuseFirst,
    ping: refuseFirst,
    pong: refuseFirst,
    status: refuseFirst,
    settings: refuseFirst,
    digest: refuseFirst,
    "entries-wanted": refuseFirst,
    "digest-diff": refuseFirst,
    entries: refuseFirst,
    "go-away": closeOn,
    opened: stay,
    loaded: stay,
    applied: stay,
    "blob-opened": stay,
    "chunks-written": stay,
    "chunk-read": stay,
    woken: stay,
    report: stay,
    tell: stay,
    round: stay,
    answered: stay,
    tick: onTick,
    stop: onStop,
  },
  opening: {
    hello: refuseEarly,
    welcome: refuseEarly,
    batch: onEarlyWork,
    ack: onEarlyWork,
    "blob-offer": onEarlyOffer,
    chunk: refuseEarly,
    "chunk-ack": refuseEarly,
    ping: onEarlyPing,
    pong: refuseEarly,
    status: refuseEarly,
    settings: onEarlyWork,
    digest: onEarlyWork,
    "entries-wanted": refuseEarly,
    "digest-diff": refuseEarly,
    entries: refuseEarly,
    "go-away": closeOn,
    opened: onOpened,
    loaded: stay,
    applied: stay,
    "blob-opened": stay,
    "chunks-written": stay,
    "chunk-read": stay,
    woken: stay,
    report: stay,
    tell: stay,
    round: stay,
    answered: stay,
    tick: onTick,
    stop: onStop,
  },
  live: {
    hello: refuseLate,
    welcome: refuseLate,
    batch: onBatch,
    ack: onAck,
    "blob-offer": onBlobOffer,
    chunk: thenPump(onChunk),
    "chunk-ack": thenPump(onChunkAck),
    ping: answer,
    pong: stay,
    status: onStatus,
    settings: onSettings,
    digest: onQuestion,
    "entries-wanted": onQuestion,
    "digest-diff": onAnswer,
    entries: onAnswer,
    "go-away": closeOn,
    opened: stay,
    loaded: onLoaded,
    applied: onApplied,
    "blob-opened": onBlobOpened,
    "chunks-written": thenPump(onChunksWritten),
    "chunk-read": thenPump(onChunkRead),
    woken: onWoken,
    report: onReport,
    tell: onTell,
    round: onRound,
    answered: onAnswered,
    tick: onTick,
    stop: onStop,
  },
  closed: {
    hello: stay,
    welcome: stay,
    batch: stay,
    ack: stay,
    "blob-offer": stay,
    chunk: stay,
    "chunk-ack": stay,
    ping: stay,
    pong: stay,
    status: stay,
    settings: stay,
    digest: stay,
    "entries-wanted": stay,
    "digest-diff": stay,
    entries: stay,
    "go-away": stay,
    opened: stay,
    loaded: stay,
    applied: stay,
    "blob-opened": stay,
    "chunks-written": stay,
    "chunk-read": stay,
    woken: stay,
    report: stay,
    tell: stay,
    round: stay,
    answered: stay,
    tick: stay,
    stop: stay,
  },
} as const satisfies Record<Phase, Transitions>;

function handle(state: SessionState, occurrence: Occurrence, nowMs: number): Step {
  const transitions: Transitions = TRANSITIONS[state.phase];
  // The entry of a type takes occurrences of this very type.
  const transition = transitions[occurrence.type] as (
    state: SessionState,
    occurrence: Occurrence,
    nowMs: number,
  ) => Step;
  return transition(state, occurrence, nowMs);
}

function createSession(role: Role, nowMs: number): SessionState {
  return {
    role,
    phase: "greeting",
    window: { bytes: 0, items: 0 },
    senders: [],
    receivers: [],
    blobSender: createBlobSender(),
    blobReceiver: createBlobReceiver(),
    held: [],
    heldOffer: null,
    rounds: null,
    answering: 0,
    lastReceivedMs: nowMs,
    pingSentMs: null,
    nextNonce: 1,
  };
}

function onFirstFrame(state: SessionState, frame: Hello | Welcome): Step {
  if (frame.type !== firstFrameFor(state)) return refuseFirst(state, frame);
  const window = frame.type === "welcome" ? frame.window : state.window;
  return { state: { ...state, phase: "opening", window }, effects: [{ type: "open", first: frame }] };
}

function refuseFirst(state: SessionState, frame: Frame): Step {
  return fail(state, "PROTOCOL_ERROR", `First frame is ${frame.type}, expected ${firstFrameFor(state)}`);
}

function firstFrameFor({ role }: SessionState): "hello" | "welcome" {
  return role === "edge" ? "welcome" : "hello";
}

/** An edge may hear more of the cloud before its own database work is done; a cloud that did not answer yet may not. */
function onEarlyWork(state: SessionState, frame: SessionState["held"][number]): Step {
  if (state.role !== "edge") return refuseEarly(state, frame);
  const held = [...state.held, frame];
  const batches = held.filter((one) => one.type === "batch");
  const items = batches.reduce((sum, { count }) => sum + count, 0);
  const fits = batches.length <= 1 || items <= state.window.items;
  if (fits && held.length - batches.length <= HELD_ACKS_MAX) return stay({ ...state, held });
  const text = `Frames before the session was open exceed ${HELD_ACKS_MAX} acks or the window of ${state.window.items} items`;
  return fail(state, "PROTOCOL_ERROR", text);
}

function onEarlyOffer(state: SessionState, offer: BlobOffer): Step {
  if (state.role !== "edge" || state.heldOffer !== null) return refuseEarly(state, offer);
  return stay({ ...state, heldOffer: offer });
}

function onEarlyPing(state: SessionState, ping: Ping): Step {
  return state.role === "edge" ? answer(state, ping) : refuseEarly(state, ping);
}

function refuseEarly(state: SessionState, frame: Frame): Step {
  return fail(state, "PROTOCOL_ERROR", `Frame ${frame.type} came before the session was open`);
}

function refuseLate(state: SessionState, frame: Frame): Step {
  return fail(state, "PROTOCOL_ERROR", `Frame ${frame.type} came in a live session`);
}

function answer(state: SessionState, { nonce }: Ping): Step {
  return send(state, { type: "pong", nonce });
}

/** Only an edge tells of itself. */
function onStatus(state: SessionState, { report }: Status): Step {
  if (state.role === "edge") return fail(state, "PROTOCOL_ERROR", "Frame status came from a cloud");
  return { state, effects: [{ type: "note", report }] };
}

/** Outside of a live session it is dropped: the next one reports anew. */
function onReport(state: SessionState, { report }: Extract<SessionEvent, { type: "report" }>): Step {
  return send(state, { type: "status", report });
}

/** Outside of a live session it is dropped: the next Welcome says it. */
function onTell(state: SessionState, { settings }: Extract<SessionEvent, { type: "tell" }>): Step {
  return send(state, { type: "settings", settings });
}

function closeOn(state: SessionState, { code, text, retryAfterMs }: GoAway): Step {
  return { state: { ...state, phase: "closed" }, effects: [{ type: "close", code, text, retryAfterMs }] };
}

function onStop(state: SessionState, { code, text, retryAfterMs }: Extract<SessionEvent, { type: "stop" }>): Step {
  return fail(state, code, text, retryAfterMs);
}
