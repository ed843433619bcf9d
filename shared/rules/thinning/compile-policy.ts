import type { Schedule } from "../alarm-schedule.ts";
import { compileSchedule } from "../alarm-schedule.ts";
import { keyRuleOf, type KeyRule, type UplinkPolicyForm } from "./policy.ts";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** A week has every opening there is; and a day, as clocks are set back in some weeks. */
const OPENING_MINUTES_MAX = 8 * 24 * 60;

export interface UplinkPolicy {
  ruleOf(key: string): KeyRule;
  /** It has a schedule or a budget. */
  readonly isGated: boolean;
  /** It keeps something back. */
  readonly isThinning: boolean;
  /** Whether the schedule lets telemetry go now. */
  isOn(nowMs: number): boolean;
  /** The next time at which the schedule lets telemetry go; a week from now when it never does. */
  opensMs(nowMs: number): number;
  readonly budget: { readonly bytesPerDay: number; readonly per: "DEVICE" | "PROFILE" } | null;
}

export function compileUplinkPolicy({ budget = null, keys, schedule, ...form }: UplinkPolicyForm): UplinkPolicy {
  const rules = new Map(Object.entries(keys ?? {}).map(([key, rule]) => [key, keyRuleOf(rule)]));
  const others = keyRuleOf(form.default);
  const isOn = compileSchedule(schedule);
  const isGated = budget !== null || ((schedule ?? null) !== null && schedule?.type !== "ANY_TIME");
  return {
    ruleOf: (key) => rules.get(key) ?? others,
    isGated,
    isThinning: isGated || [others, ...rules.values()].some(({ type }) => type === "change" || type === "window"),
    isOn,
    opensMs: createOpening(isOn),
    budget,
  };
}

/** The start of the day of UTC. */
export function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS) * DAY_MS;
}

export function dayAfter(nowMs: number): number {
  return dayOf(nowMs) + DAY_MS;
}

/** Looked for minute by minute, and kept until it is over. */
function createOpening(isOn: Schedule): (nowMs: number) => number {
  let known = { fromMs: Infinity, opensMs: -Infinity };
  return (nowMs) => {
    if (nowMs >= known.fromMs && nowMs < known.opensMs) return known.opensMs;
    const thisMinuteMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
    let opensMs = nowMs;
    for (let minutes = 1; minutes <= OPENING_MINUTES_MAX && !isOn(opensMs); minutes += 1)
      opensMs = thisMinuteMs + minutes * MINUTE_MS;
    known = { fromMs: nowMs, opensMs };
    return opensMs;
  };
}
