import type { AlarmScheduleForm } from "./alarm-rule.ts";

// When a rule is looked at: days of the week and times of day in a time zone.

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** 1970-01-01 was a Thursday. */
const FIRST_DAY = 3;
/** No zone changes its offset in between. */
const OFFSET_STEP_MS = 900_000;
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** Whether it is on at a time, in ms since 1970 UTC. */
export type Schedule = (tsMs: number) => boolean;

/**
 * The start of a window is in it, its end is not. `endsOn` 0 is the end of the day; an `endsOn` below `startsOn` is on the next day, and
 * the window belongs to the day on which it starts.
 */
export function compileSchedule(form: AlarmScheduleForm | null | undefined): Schedule {
  if (form === null || form === undefined || form.type === "ANY_TIME") return () => true;
  const windows = windowsOf(form);
  const weekTime = createWeekTime(form.timezone);
  return (tsMs) => {
    const weekMs = weekTime(tsMs);
    return windows.some(({ endMs, startMs }) => {
      const sinceStartMs = modulo(weekMs - startMs, WEEK_MS);
      return sinceStartMs < endMs - startMs;
    });
  };
}

/** In ms since Monday 0:00; the end may lie in the next week. */
interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

function windowsOf(form: Exclude<AlarmScheduleForm, { type: "ANY_TIME" }>): readonly Window[] {
  const windowOn = (day: number, startsOn: number, endsOn: number): Window => {
    const midnightMs = (day - 1) * DAY_MS;
    const end = endsOn === 0 ? DAY_MS : endsOn < startsOn ? endsOn + DAY_MS : endsOn;
    return { startMs: midnightMs + startsOn, endMs: midnightMs + end };
  };
  if (form.type === "CUSTOM") {
    const enabled = form.items.filter((item) => item.enabled);
    return enabled.map(({ dayOfWeek, endsOn, startsOn }) => windowOn(dayOfWeek, startsOn, endsOn));
  }
  const days = form.daysOfWeek ?? [];
  return (days.length === 0 ? [1, 2, 3, 4, 5, 6, 7] : days).map((day) => windowOn(day, form.startsOn, form.endsOn));
}

/** Wall time in the zone, in ms since Monday 0:00. Asking Intl takes some us, so the last offset is kept. */
function createWeekTime(timeZone: string): (tsMs: number) => number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    weekday: "short",
    hour: "numeric",
    minute: "numeric",
  });
  let known = { step: NaN, offsetMs: 0 };
  return (tsMs) => {
    const step = Math.floor(tsMs / OFFSET_STEP_MS);
    if (step !== known.step) known = { step, offsetMs: offsetAt(format, step * OFFSET_STEP_MS) };
    return modulo(utcWeekMs(tsMs) + known.offsetMs, WEEK_MS);
  };
}

function offsetAt(format: Intl.DateTimeFormat, tsMs: number): number {
  const parts = new Map(format.formatToParts(tsMs).map(({ type, value }) => [type, value]));
  const minutes = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
  const localMs = WEEKDAYS.indexOf(parts.get("weekday") ?? "") * DAY_MS + minutes * 60_000;
  return localMs - utcWeekMs(tsMs);
}

function utcWeekMs(tsMs: number): number {
  return modulo(tsMs + FIRST_DAY * DAY_MS, WEEK_MS);
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
