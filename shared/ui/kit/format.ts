import { text } from "../text/en.ts";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const ONE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export function formatCount(value: number): string {
  return WHOLE.format(value);
}

export function formatRate(perSecond: number): string {
  return text.format.perSecond(Math.abs(perSecond) < 10 ? ONE.format(perSecond) : WHOLE.format(perSecond));
}

/** `1.5 MB` */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${unit === 0 ? WHOLE.format(value) : ONE.format(value)} ${units[unit] ?? ""}`;
}

const STEPS = [
  { ms: 86_400_000, name: "d" },
  { ms: 3_600_000, name: "h" },
  { ms: 60_000, name: "min" },
  { ms: 1_000, name: "s" },
] as const;

/** `2 h 5 min`: the two largest units. */
export function formatDuration(durationMs: number): string {
  const lengthMs = Math.abs(durationMs);
  if (lengthMs < 1_000) return `${WHOLE.format(lengthMs)} ms`;
  const first = STEPS.findIndex(({ ms }) => lengthMs >= ms);
  const step = STEPS[first];
  const next = STEPS[first + 1];
  if (step === undefined) return "";
  const head = `${Math.floor(lengthMs / step.ms)} ${step.name}`;
  const rest = next === undefined ? 0 : Math.floor((lengthMs % step.ms) / next.ms);
  return rest === 0 ? head : `${head} ${rest} ${next?.name ?? ""}`;
}

export function formatTime(ms: number): string {
  return TIME.format(ms);
}
