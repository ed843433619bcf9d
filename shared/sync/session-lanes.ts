import { forgetBlobs, isDelivered } from "./blob-sender.ts";
import { createRounds } from "./digest-round.ts";
import type { Ack, Batch, LaneCourse, Settings } from "./frames.ts";
import type { Lane } from "./lanes.ts";
import { LANES } from "./lanes.ts";
import { applyFinished, arrived, createReceiver, takeApplicable } from "./receiver.ts";
import { createAcks } from "./rejections.ts";
import { acknowledged, createSender, loadFinished, loadStarted, takeSendable, wake, wantedLoad } from "./sender.ts";
import { onBlobOffer, pumpBlobs } from "./session-blobs.ts";
import { onQuestion } from "./session-rounds.ts";
import type { SessionEffect, SessionEvent, SessionState, Step } from "./session-state.ts";
import {
  APPLY_ITEMS_MAX,
  fail,
  findSender,
  prepend,
  replaceReceiver,
  replaceSender,
  updateSender,
} from "./session-state.ts";

// What a live session does with its lanes.

type Event<T extends SessionEvent["type"]> = Extract<SessionEvent, { type: T }>;

export function onOpened(state: SessionState, { opening }: Event<"opened">, nowMs: number): Step {
  const live: SessionState = {
    ...state,
    phase: "live",
    window: opening.window,
    senders: inLaneOrder(opening.sending).map((sending) => createSender(sending, nowMs)),
    receivers: inLaneOrder(opening.receiving).map(({ lane, course }) => createReceiver(lane, course)),
    held: [],
    heldOffer: null,
    rounds: opening.roundsEveryMs === undefined ? null : createRounds(opening.roundsEveryMs, nowMs),
    lastReceivedMs: nowMs,
  };
  const first = opening.welcome === null ? opening.missedAcks : [opening.welcome, ...opening.missedAcks];
  const greeting = first.map((frame): SessionEffect => ({ type: "send", frame }));
  let step = prepend(greeting, pump(live, nowMs));
  for (const frame of state.held) {
    if (step.state.phase !== "live") break;
    step = prepend(step.effects, onHeld(step.state, frame, nowMs));
  }
  if (state.heldOffer === null || step.state.phase !== "live") return step;
  return prepend(step.effects, onBlobOffer(step.state, state.heldOffer));
}

function onHeld(state: SessionState, frame: SessionState["held"][number], nowMs: number): Step {
  switch (frame.type) {
    case "batch":
      return onBatch(state, frame, nowMs);
    case "ack":
      return onAck(state, frame, nowMs);
    case "digest":
      return onQuestion(state, frame);
    case "settings":
      return onSettings(state, frame);
  }
}

/** Only a cloud sets something. */
export function onSettings(state: SessionState, { settings }: Settings): Step {
  if (state.role === "cloud") return fail(state, "PROTOCOL_ERROR", "Frame settings came from an edge");
  return { state, effects: [{ type: "keep-settings", settings }] };
}

function inLaneOrder<T extends LaneCourse>(items: readonly T[]): readonly T[] {
  return items.toSorted((left, right) => LANES.indexOf(left.lane) - LANES.indexOf(right.lane));
}

export function onBatch(state: SessionState, batch: Batch, nowMs: number): Step {
  const receiver = state.receivers.find(({ lane }) => lane === batch.lane);
  if (receiver === undefined) return fail(state, "PROTOCOL_ERROR", `Lane ${batch.lane} is not received here`);
  const next = arrived(receiver, batch, state.window);
  if (typeof next === "string") return fail(state, "PROTOCOL_ERROR", next);
  return pump(replaceReceiver(state, next), nowMs);
}

export function onAck(state: SessionState, ack: Ack, nowMs: number): Step {
  const { lane, seq, rejections } = ack;
  const sender = findSender(state, lane);
  const next = sender === undefined ? null : acknowledged(sender, seq, nowMs);
  if (next === null) {
    const expected = sender?.inFlight.length ? "one in flight" : "nothing";
    return fail(state, "PROTOCOL_ERROR", `Ack of lane ${lane} names ${seq}, expected ${expected}`);
  }
  const settle: SessionEffect = { type: "settle", lane, seq, committed: next.committed, rejections };
  return prepend([settle], pump(replaceSender(state, next.sender), nowMs));
}

export function onLoaded(state: SessionState, { lane, batches, drained }: Event<"loaded">, nowMs: number): Step {
  const sender = findSender(state, lane);
  const next = sender === undefined ? null : loadFinished(sender, batches, drained);
  if (next === null) {
    const expected = sender?.course[0]?.first ?? "none";
    return fail(state, "INTERNAL", `Outbox of lane ${lane} does not continue at ${expected}`);
  }
  return pump(replaceSender(state, next), nowMs);
}

export function onApplied(state: SessionState, { lane, rejections }: Event<"applied">, nowMs: number): Step {
  const receiver = state.receivers.find((candidate) => candidate.lane === lane);
  if (receiver === undefined || receiver.applying === null)
    return fail(state, "INTERNAL", `Nothing was being applied on lane ${lane}`);
  const next = applyFinished(receiver);
  const acks = createAcks({ lane, upTo: next.applied, rejections });
  const sent = acks.map((frame): SessionEffect => ({ type: "send", frame }));
  return prepend(sent, pump(replaceReceiver(state, next), nowMs));
}

export function onWoken(state: SessionState, { lane }: Event<"woken">, nowMs: number): Step {
  return pump(updateSender(state, lane, wake), nowMs);
}

/** The same handler, after which the lanes and the contents go on. */
export function thenPump<O>(handler: (state: SessionState, occurrence: O, nowMs: number) => Step) {
  return (state: SessionState, occurrence: O, nowMs: number): Step => {
    const step = handler(state, occurrence, nowMs);
    return step.state.phase === "live" ? prepend(step.effects, pump(step.state, nowMs)) : step;
  };
}

/** Starts whatever can go on: sends, loads and one apply, in the order of the lanes. */
function pump(state: SessionState, nowMs: number): Step {
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
  next = pumpBlobs(next, nowMs, effects);
  return { state: next, effects };
}

function pumpSender(state: SessionState, lane: Lane, nowMs: number, effects: SessionEffect[]): SessionState {
  const before = findSender(state, lane);
  if (before === undefined) return state;
  const config = findSender(state, "config");
  const configSent = config?.sent ?? Number.MAX_SAFE_INTEGER;
  const { sender, batches } = takeSendable(
    before,
    state.window,
    ({ configSeq, blobs = [] }) => configSeq <= configSent && isDelivered(state.blobSender, blobs),
    nowMs,
  );
  let { blobSender } = state;
  for (const { configSeq: _, blobs = [], ...batch } of batches) {
    effects.push({ type: "send", frame: batch });
    blobSender = forgetBlobs(blobSender, blobs);
  }
  let next = sender === before ? { ...state, blobSender } : replaceSender({ ...state, blobSender }, sender);
  // Telemetry that waits for config that was not looked for yet: look.
  const blockedBy = sender.staged[0]?.configSeq ?? 0;
  if (lane !== "config" && config !== undefined && blockedBy > config.loaded && config.mode === "drained") {
    next = pumpSender(updateSender(next, "config", wake), "config", nowMs, effects);
  }
  const wanted = wantedLoad(sender, state.window);
  if (wanted === null) return next;
  effects.push({ type: "load", lane, ...wanted });
  return replaceSender(next, loadStarted(sender));
}
