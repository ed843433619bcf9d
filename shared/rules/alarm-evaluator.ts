import { ALARM_SEVERITIES, type AlarmSeverity } from "../entities/alarm.ts";
import type { Json } from "../entities/entity-record.ts";
import {
  compileCondition,
  compileOperand,
  compileSources,
  fillTemplate,
  NamedKeys,
  numberOf,
  templateKeys,
  type Condition,
  type ConditionContext,
  type DeviceFacts,
  type Operand,
  type PartName,
} from "./alarm-condition.ts";
import { DURATION_UNITS_MS, scheduleSchema, type AlarmRule, type AlarmRulePart, type AlarmSpec } from "./alarm-rule.ts";
import { compileSchedule, type Schedule } from "./alarm-schedule.ts";
import type { Cel } from "./cel.ts";

// One alarm rule of one device: (state, event) -> { state, effects }. Nothing here knows a clock, a database or a message.
//
// - A severity raises the alarm when its condition holds: at once (SIMPLE), when it has held for a time (DURATION), or for so many
//   messages in a row (REPEATING). Of several severities the highest counts; one that falls stays until the alarm is cleared.
// - While a severity holds, the alarm is not cleared, whatever the clear rule says.
// - A value holds until the next one: a duration that is over before the next value comes is over when it is over, not when that comes.
// - A condition that ceases to hold, if only because its schedule ended, begins anew. So does everything when the alarm ends.
// - Details are brought up to date with the first event that is UPDATE_EVERY_MS later than the last change of the alarm: a value that
//   stays above a limit must not write an alarm with each message.

/** In time of measurement. */
export const UPDATE_EVERY_MS = 60_000;

/** What is to be remembered of a condition that holds, but not long enough. */
export interface ConditionState {
  /** Since when it has held, in time of measurement. */
  readonly sinceMs: number;
  /** Since when it has held on the clock of the program. */
  readonly seenMs: number;
  /** Messages in a row, up to those that are needed. */
  readonly count: number;
}

/** The severity of the alarm that is active, as far as this rule knows. */
export interface ActiveAlarm {
  readonly severity: AlarmSeverity;
  /** Time of measurement of its last change by this rule. */
  readonly updatedMs: number;
}

export interface RuleState {
  /** What has to survive a restart. */
  readonly conditions: Readonly<Partial<Record<PartName, ConditionState>>>;
  /** Kept where alarms are. */
  readonly alarm: ActiveAlarm | null;
}

export const NO_STATE: RuleState = { conditions: {}, alarm: null };

export type AlarmEvent =
  /** Values came, or attributes were changed; the facts are with them. */
  | { readonly kind: "values"; readonly keys: ReadonlySet<string>; readonly tsMs: number; readonly nowMs: number }
  /** No value came until `tsMs`. */
  | { readonly kind: "time"; readonly tsMs: number; readonly nowMs: number }
  /** Somebody made or changed the alarm. */
  | { readonly kind: "alarm-changed"; readonly severity: AlarmSeverity; readonly tsMs: number }
  /** Somebody cleared or deleted the alarm. */
  | { readonly kind: "alarm-ended" };

export type AlarmEffect =
  | { readonly kind: "raise"; readonly severity: AlarmSeverity; readonly details: Json; readonly tsMs: number }
  /** The severity stays. */
  | { readonly kind: "update"; readonly details: Json; readonly tsMs: number }
  /** `details` null: as they are. */
  | { readonly kind: "clear"; readonly details: Json; readonly tsMs: number };

export interface RuleOutcome {
  /** The very same object when nothing changed. */
  readonly state: RuleState;
  readonly effects: readonly AlarmEffect[];
}

interface Part {
  readonly name: PartName;
  readonly holds: Condition;
  readonly isOn: (facts: DeviceFacts, tsMs: number) => boolean;
  readonly spec: { readonly type: AlarmSpec["type"]; readonly needed: Operand; readonly unitMs: number };
  /** Keys whose updates count for REPEATING. */
  readonly keys: NamedKeys;
  readonly details: (facts: DeviceFacts) => Json;
}

export interface CompiledRule {
  readonly rule: AlarmRule;
  /** Everything that has to be known of the device and its owners. */
  readonly keys: NamedKeys;
  /** Highest first. */
  readonly create: readonly (Part & { readonly name: AlarmSeverity })[];
  readonly clear: Part | null;
}

/** @throws AppError INVALID_ARGUMENT for an expression that is none */
export function compileAlarmRule(rule: AlarmRule, cel: Cel | null): CompiledRule {
  const keys = new NamedKeys();
  const create = ALARM_SEVERITIES.flatMap((name) => {
    const form = rule.createRules[name];
    return form === undefined ? [] : [{ ...compilePart(name, form, { keys, cel }), name }];
  });
  const { clearRule } = rule;
  const clear = clearRule === null || clearRule === undefined ? null : compilePart("CLEAR", clearRule, { keys, cel });
  return { rule, keys, create, clear };
}

function compilePart(name: PartName, form: AlarmRulePart, { keys, cel }: ConditionContext): Part {
  const own = new NamedKeys();
  const holds = compileCondition(form.condition, { keys: own, cel });
  for (const place of ["telemetry", "attributes", "customerAttributes", "tenantAttributes"] as const)
    for (const key of own[place]) keys[place].add(key);
  const spec = form.condition.spec ?? { type: "SIMPLE" as const };
  return {
    name,
    holds,
    isOn: compileIsOn(form.schedule, keys),
    spec: {
      type: spec.type,
      needed: spec.type === "SIMPLE" ? () => 0 : compileOperand(spec.predicate, keys),
      unitMs: spec.type === "DURATION" ? DURATION_UNITS_MS[spec.unit] : 1,
    },
    keys: own,
    details: compileDetails(form, keys),
  };
}

/** The schedule may be an attribute; one that can't be read is as if there were none. */
function compileIsOn(form: AlarmRulePart["schedule"], keys: NamedKeys): Part["isOn"] {
  const own = compileSchedule(form);
  const sources = compileSources(form?.dynamicValue, keys);
  if (sources.length === 0) return (_, tsMs) => own(tsMs);
  let known: { readonly value: Json; readonly schedule: Schedule } | null = null;
  return (facts, tsMs) => {
    const value = sources.map((source) => source(facts)).find((found) => found !== undefined && found !== null);
    if (value === undefined) return own(tsMs);
    if (known?.value !== value) known = { value, schedule: readSchedule(value) ?? own };
    return known.schedule(tsMs);
  };
}

function readSchedule(value: Json): Schedule | null {
  const read = scheduleSchema.safeParse(typeof value === "string" ? tryParse(value) : value);
  return read.success ? compileSchedule(read.data) : null;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function compileDetails({ alarmDetails, dashboardId }: AlarmRulePart, keys: NamedKeys): Part["details"] {
  const template = alarmDetails ?? "";
  const dashboard = dashboardId === null || dashboardId === undefined ? {} : { dashboardId: dashboardId.id };
  for (const key of templateKeys(template)) {
    keys.telemetry.add(key);
    keys.attributes.add(key);
  }
  return (facts) => {
    const data = template === "" ? {} : { data: fillTemplate(template, facts) };
    const details = { ...data, ...dashboard };
    return Object.keys(details).length === 0 ? null : details;
  };
}

/** What follows from an event for one rule of a device. */
export function evaluateAlarmRule(
  rule: CompiledRule,
  state: RuleState,
  { event, facts }: { readonly event: AlarmEvent; readonly facts: DeviceFacts },
): RuleOutcome {
  switch (event.kind) {
    case "alarm-ended":
      return unchanged(state.alarm === null && isEmpty(state.conditions) ? state : NO_STATE);
    case "alarm-changed":
      return unchanged(
        state.alarm?.severity === event.severity
          ? state
          : { ...state, alarm: { severity: event.severity, updatedMs: event.tsMs } },
      );
    case "values":
    case "time":
      return evaluateParts(rule, state, { event, facts });
    default:
      return event satisfies never;
  }
}

type Tick = Extract<AlarmEvent, { readonly kind: "values" | "time" }>;

interface Occasion {
  readonly event: Tick;
  readonly facts: DeviceFacts;
}

function evaluateParts(rule: CompiledRule, state: RuleState, occasion: Occasion): RuleOutcome {
  let { conditions } = state;
  let raised: (Part & { readonly name: AlarmSeverity }) | null = null;
  for (const part of rule.create) {
    const held = evaluatePart(part, conditions[part.name], occasion);
    conditions = withCondition(conditions, part.name, held.condition);
    if (held.isTrue) raised ??= part;
  }
  const { alarm } = state;
  if (raised !== null) {
    return raise(withState(state, withCondition(conditions, "CLEAR", undefined), alarm), raised, occasion);
  }
  if (alarm === null || rule.clear === null) return unchanged(withState(state, conditions, alarm));
  const held = evaluatePart(rule.clear, conditions.CLEAR, occasion);
  if (!held.isTrue) return unchanged(withState(state, withCondition(conditions, "CLEAR", held.condition), alarm));
  const effect: AlarmEffect = { kind: "clear", details: rule.clear.details(occasion.facts), tsMs: occasion.event.tsMs };
  return { state: NO_STATE, effects: [effect] };
}

function raise(
  state: RuleState,
  part: Part & { readonly name: AlarmSeverity },
  { event: { tsMs }, facts }: Occasion,
): RuleOutcome {
  const { alarm } = state;
  const { name: severity } = part;
  const isHigher = alarm === null || rankOf(severity) < rankOf(alarm.severity);
  const isDue = alarm?.severity === severity && tsMs - alarm.updatedMs >= UPDATE_EVERY_MS;
  if (!isHigher && !isDue) return unchanged(state);
  const details = part.details(facts);
  const effect: AlarmEffect = isHigher ? { kind: "raise", severity, details, tsMs } : { kind: "update", details, tsMs };
  return { state: { ...state, alarm: { severity, updatedMs: tsMs } }, effects: [effect] };
}

/** 0: the highest. */
function rankOf(severity: AlarmSeverity): number {
  return ALARM_SEVERITIES.indexOf(severity);
}

interface Held {
  readonly isTrue: boolean;
  /** undefined: nothing is to be remembered. */
  readonly condition: ConditionState | undefined;
}

const NOT_HELD: Held = { isTrue: false, condition: undefined };
const HELD: Held = { isTrue: true, condition: undefined };

function evaluatePart(part: Part, before: ConditionState | undefined, { event, facts }: Occasion): Held {
  const { spec } = part;
  if (!part.holds(facts) || !part.isOn(facts, event.tsMs)) return NOT_HELD;
  if (spec.type === "SIMPLE") return HELD;
  const needed = neededOf(part, facts);
  if (needed === undefined) return NOT_HELD;
  const { nowMs, tsMs } = event;
  // A time before its beginning: the clock that told the beginning was wrong.
  const isNew = before === undefined || (spec.type === "DURATION" && tsMs < before.sinceMs);
  const known = isNew ? { sinceMs: tsMs, seenMs: nowMs, count: 0 } : before;
  if (spec.type === "DURATION") return { isTrue: tsMs - known.sinceMs >= needed, condition: known };
  if (known.count >= needed) return { isTrue: true, condition: known };
  if (!counts(part, event)) return { isTrue: false, condition: before };
  const count = known.count + 1;
  return { isTrue: count >= needed, condition: { ...known, count } };
}

/** ms or messages. */
function neededOf({ spec }: Part, facts: DeviceFacts): number | undefined {
  const value = spec.needed(facts);
  const number = value === undefined ? undefined : numberOf(value);
  return number === undefined ? undefined : number * spec.unitMs;
}

function counts({ keys }: Part, event: Tick): boolean {
  if (event.kind !== "values") return false;
  return !keys.telemetry.isDisjointFrom(event.keys) || !keys.attributes.isDisjointFrom(event.keys);
}

/** When a duration is over if no value comes before. */
export interface Due {
  /** In time of measurement. */
  readonly tsMs: number;
  /** On the clock of the program. */
  readonly seenMs: number;
  /** The whole duration. */
  readonly neededMs: number;
}

/** The first of the durations that run; null: none does. */
export function nextDue(
  { clear, create }: CompiledRule,
  { alarm, conditions }: RuleState,
  facts: DeviceFacts,
): Due | null {
  let first: Due | null = null;
  const look = (part: Part): void => {
    const condition = conditions[part.name];
    if (condition === undefined || part.spec.type !== "DURATION") return;
    const neededMs = neededOf(part, facts);
    if (neededMs === undefined) return;
    const due = { tsMs: condition.sinceMs + neededMs, seenMs: condition.seenMs + neededMs, neededMs };
    if (first === null || due.seenMs < first.seenMs) first = due;
  };
  for (const part of create) {
    if (alarm === null || rankOf(part.name) < rankOf(alarm.severity)) look(part);
  }
  if (alarm !== null && clear !== null) look(clear);
  return first;
}

function withState(state: RuleState, conditions: RuleState["conditions"], alarm: ActiveAlarm | null): RuleState {
  return state.conditions === conditions && state.alarm === alarm ? state : { conditions, alarm };
}

function withCondition(
  conditions: RuleState["conditions"],
  name: PartName,
  condition: ConditionState | undefined,
): RuleState["conditions"] {
  if (conditions[name] === condition) return conditions;
  const { [name]: _, ...others } = conditions;
  return condition === undefined ? others : { ...others, [name]: condition };
}

function unchanged(state: RuleState): RuleOutcome {
  return { state, effects: NO_EFFECTS };
}

const NO_EFFECTS: readonly AlarmEffect[] = [];

function isEmpty(conditions: RuleState["conditions"]): boolean {
  return Object.keys(conditions).length === 0;
}
