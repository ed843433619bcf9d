import type { CanonicalJson, TelemetryPoint } from "../../entities/telemetry.ts";
import { kindOf } from "../../entities/values.ts";
import type { ChangeRule, WindowRule } from "./policy.ts";
import { addToWindow, windowResults, windowStart, type WindowState } from "./window.ts";

// What is known of one key of a device, and what follows from a value or from time that passes. Values are compared by time of
// measurement; what waits for time to pass waits on the edge's clock.

/** A clock further ahead than this stands wrong, and gives way to whatever comes next. */
const AHEAD_MAX_MS = 86_400_000;
/** A window waits for values that are on their way, when no later one closes it: a part of its length, at most so long. */
const GRACE_PART = 0.1;
const GRACE_MAX_MS = 10_000;

export interface KeyState {
  /** The newest value by time of measurement, sent or not; of equals the later. */
  readonly newest: TelemetryPoint;
  /** The last value that was sent; null: none, or only windows. */
  readonly sent: TelemetryPoint | null;
  /** When that was, on the edge's clock. */
  readonly sentAtMs: number;
  /** Of a window rule. */
  readonly window: OpenWindow | null;
  /** Start of the newest window that was closed; null: none was. */
  readonly closedMs: number | null;
  /** The newest results of a window that could not go yet. */
  readonly held: Results | null;
  /** What waits can't go before. */
  readonly notBeforeMs: number;
}

export interface OpenWindow extends WindowState {
  /** On the edge's clock: then it closes, if no value of a later one has closed it. */
  readonly closesMs: number;
}

export interface Results {
  readonly tsMs: number;
  readonly values: readonly (readonly [key: string, value: CanonicalJson])[];
}

/** Decides by schedule and budget whether results may go, and counts them. */
export interface Gate {
  admit(results: Results): boolean;
  /** When it may open again. */
  opensMs(): number;
}

export interface Step {
  readonly state: KeyState;
  readonly sends: readonly Results[];
}

export interface Moment {
  readonly key: string;
  readonly nowMs: number;
  readonly gate: Gate;
}

/** A value of a key that goes by change, or always (`deadband` null and no interval). */
export function takeByChange(rule: ChangeRule, state: KeyState | null, point: TelemetryPoint, moment: Moment): Step {
  if (state !== null && isLate(state.newest.tsMs, point.tsMs, moment.nowMs)) return { state, sends: [] };
  const known: KeyState = { ...(state ?? NOTHING_SENT), newest: point };
  if (known.sent !== null && !isDue(rule, known.sent, point)) return { state: known, sends: [] };
  return sendNewest(known, moment);
}

/** Sends the newest value, if it was not, when its time has come. */
export function passByChange(rule: ChangeRule, state: KeyState, moment: Moment): Step {
  const dueMs = dueByChange(rule, state);
  return dueMs === null || dueMs > moment.nowMs ? { state, sends: [] } : sendNewest(state, moment);
}

/** On the edge's clock; null: nothing waits. */
export function dueByChange(rule: ChangeRule, state: KeyState): number | null {
  const { newest, notBeforeMs, sent, sentAtMs } = state;
  if (sent === null) return notBeforeMs;
  if (sent.tsMs === newest.tsMs && sent.value === newest.value) return null;
  const waitMs = isChange(rule, sent.value, newest.value) ? rule.minIntervalMs : rule.maxIntervalMs;
  return Math.max(sentAtMs + waitMs, notBeforeMs);
}

export function takeByWindow(rule: WindowRule, state: KeyState | null, point: TelemetryPoint, moment: Moment): Step {
  const startMs = windowStart(rule, point.tsMs);
  const open = state?.window ?? null;
  if (state !== null && isOver(state, startMs, moment.nowMs)) return { state, sends: [] };
  const closed: Step | null =
    state === null || open === null || open.startMs === startMs ? null : close(rule, state, moment);
  const before = closed?.state ?? state ?? { ...NOTHING_SENT, newest: point };
  const newest = open?.startMs === startMs && before.newest.tsMs > point.tsMs ? before.newest : point;
  const leftMs = startMs + rule.ms - point.tsMs + Math.min(rule.ms * GRACE_PART, GRACE_MAX_MS);
  const closesMs = before.window?.closesMs ?? moment.nowMs + leftMs;
  const window = { ...addToWindow(before.window, startMs, point), closesMs };
  return { state: { ...before, newest, window }, sends: closed?.sends ?? [] };
}

/** What was kept for rules of another type has no use. */
export function withoutWindows(state: KeyState): KeyState {
  return state.window === null && state.held === null ? state : { ...state, window: null, held: null };
}

/** Closes the window when its time has come, and sends what waits. */
export function passByWindow(rule: WindowRule, state: KeyState, moment: Moment): Step {
  if (state.window !== null && state.window.closesMs <= moment.nowMs) return close(rule, state, moment);
  if (state.held === null || state.notBeforeMs > moment.nowMs) return { state, sends: [] };
  return sendResults(state, state.held, moment);
}

export function dueByWindow({ held, notBeforeMs, window }: KeyState): number | null {
  const dueMs = Math.min(window?.closesMs ?? Infinity, held === null ? Infinity : notBeforeMs);
  return dueMs === Infinity ? null : dueMs;
}

const NOTHING_SENT = { sent: null, sentAtMs: 0, window: null, closedMs: null, held: null, notBeforeMs: 0 } as const;

/** Whether a window is closed for what comes late. */
function isOver({ closedMs, window }: KeyState, startMs: number, nowMs: number): boolean {
  const isBehind = (latestMs: number): boolean => startMs < latestMs && !isAhead(latestMs, nowMs);
  if (window !== null) return isBehind(window.startMs);
  return closedMs !== null && (startMs === closedMs || isBehind(closedMs));
}

function sendNewest(state: KeyState, { gate, key, nowMs }: Moment): Step {
  const { newest } = state;
  const results: Results = { tsMs: newest.tsMs, values: [[key, newest.value]] };
  if (!gate.admit(results)) return { state: { ...state, notBeforeMs: gate.opensMs() }, sends: [] };
  return { state: { ...state, sent: newest, sentAtMs: nowMs, notBeforeMs: 0 }, sends: [results] };
}

function close(rule: WindowRule, state: KeyState, moment: Moment): Step {
  const { window } = state;
  if (window === null) return { state, sends: [] };
  const values = windowResults(window, moment.key, rule);
  const closed = { ...state, window: null, closedMs: window.startMs };
  return values.length === 0
    ? { state: closed, sends: [] }
    : sendResults(closed, { tsMs: window.startMs, values }, moment);
}

function sendResults(state: KeyState, results: Results, { gate, nowMs }: Moment): Step {
  if (!gate.admit(results)) return { state: { ...state, held: results, notBeforeMs: gate.opensMs() }, sends: [] };
  return { state: { ...state, held: null, sentAtMs: nowMs, notBeforeMs: 0 }, sends: [results] };
}

export function isLate(newestMs: number, tsMs: number, nowMs: number): boolean {
  return tsMs < newestMs && !isAhead(newestMs, nowMs);
}

function isAhead(tsMs: number, nowMs: number): boolean {
  return tsMs > nowMs + AHEAD_MAX_MS;
}

function isDue(rule: ChangeRule, sent: TelemetryPoint, point: TelemetryPoint): boolean {
  const sinceMs = Math.abs(point.tsMs - sent.tsMs);
  return sinceMs >= rule.maxIntervalMs || (sinceMs >= rule.minIntervalMs && isChange(rule, sent.value, point.value));
}

/** Numbers by the deadband, all else by its text; a value of another kind is a change. */
function isChange({ deadband }: ChangeRule, from: CanonicalJson, to: CanonicalJson): boolean {
  if (deadband === null) return true;
  if (from === to) return false;
  if (!isNumeric(from) || !isNumeric(to)) return true;
  const difference = Math.abs(Number(to) - Number(from));
  // 64-bit integers that a double can't tell apart.
  if (difference === 0) return deadband.value === 0 && kindOf(from) === kindOf(to);
  const band = deadband.type === "ABSOLUTE" ? deadband.value : (Math.abs(Number(from)) * deadband.value) / 100;
  return difference > band;
}

function isNumeric(value: CanonicalJson): boolean {
  const kind = kindOf(value);
  return kind === "long" || kind === "double";
}
