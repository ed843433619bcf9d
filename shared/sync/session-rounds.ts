import { advanceRound, lookAtRounds, nextLookMs } from "./digest-round.ts";
import type { DigestAnswer, DigestQuestion } from "./frames.ts";
import type { SessionEvent, SessionState, Step } from "./session-state.ts";
import { fail, prepend, QUESTIONS_MAX, send, stay } from "./session-state.ts";

// Digest rounds beside the lanes of a session: the cloud runs them (digest-round.ts), an edge answers.

type Event<T extends SessionEvent["type"]> = Extract<SessionEvent, { type: T }>;

/** An edge works on a question. */
export function onQuestion(state: SessionState, question: DigestQuestion): Step {
  if (state.role !== "edge") return fail(state, "PROTOCOL_ERROR", `Frame ${question.type} does not go up`);
  if (state.answering >= QUESTIONS_MAX)
    return fail(state, "PROTOCOL_ERROR", `More than ${QUESTIONS_MAX} questions wait for their answer`);
  return { state: { ...state, answering: state.answering + 1 }, effects: [{ type: "answer", question }] };
}

export function onAnswered(state: SessionState, { answer }: Event<"answered">): Step {
  return send({ ...state, answering: state.answering - 1 }, answer);
}

export function onAnswer(state: SessionState, frame: DigestAnswer, nowMs: number): Step {
  if (state.rounds === null) return fail(state, "PROTOCOL_ERROR", `Frame ${frame.type} came, but nothing was asked`);
  const { state: rounds, effects } = advanceRound(state.rounds, { type: "answered", frame }, nowMs);
  return { state: { ...state, rounds }, effects };
}

export function onRound(state: SessionState, { event }: Event<"round">, nowMs: number): Step {
  if (state.rounds === null) return stay(state);
  const { state: rounds, effects } = advanceRound(state.rounds, event, nowMs);
  return { state: { ...state, rounds }, effects };
}

/** After every step: a round begins when it is due and nothing is on its way, or is given up when it is not answered. */
export function withDueRound(step: Step, nowMs: number): Step {
  const { phase, rounds } = step.state;
  if (phase !== "live" || rounds === null) return step;
  const look = lookAtRounds(rounds, { isQuiet: isQuiet(step.state), nowMs });
  return prepend(step.effects, { state: { ...step.state, rounds: look.state }, effects: look.effects });
}

/** When the next look is due if nothing else happens, monotonic ms. */
export function nextRoundLookMs(state: SessionState): number {
  return state.rounds === null ? Infinity : nextLookMs(state.rounds, isQuiet(state));
}

/** Nothing is on its way on any lane that goes out. */
function isQuiet({ senders }: SessionState): boolean {
  return senders.every(({ mode, staged, inFlight }) => mode === "drained" && staged.length + inFlight.length === 0);
}
