import type { Json } from "../entities/entity-record.ts";
import { NamedKeys, type DeviceFacts } from "./alarm-condition.ts";
import {
  evaluateAlarmRule,
  nextDue,
  NO_STATE,
  type ActiveAlarm,
  type AlarmEffect,
  type AlarmEvent,
  type CompiledRule,
  type Due,
  type RuleState,
} from "./alarm-evaluator.ts";

// All alarm rules of one device with what they look at. Readings go in by their time of measurement, and a key's value of an earlier
// time than the one that is known changes nothing: what a device or a gateway sends late is history, and raises no alarm of now.
// Only a value that is further ahead than any clock that was merely set to the wrong zone gives way to whatever comes next, so that one
// wrong time does not silence the rules for years.

const AHEAD_MAX_MS = 24 * 3_600_000;

/** The rules of a device profile, and what they need to know. */
export interface CompiledProfile {
  readonly rules: readonly CompiledRule[];
  readonly keys: NamedKeys;
  /** For one of its devices. */
  watch(known: DeviceKnowledge): DeviceAlarms;
}

export function compileProfile(rules: readonly CompiledRule[]): CompiledProfile {
  const keys = new NamedKeys();
  for (const place of ["telemetry", "attributes", "customerAttributes", "tenantAttributes"] as const)
    for (const rule of rules) for (const key of rule.keys[place]) keys[place].add(key);
  const profile: CompiledProfile = { rules, keys, watch: (known) => new DeviceAlarms(profile, known) };
  return profile;
}

export interface KnownValue {
  readonly value: Json;
  readonly tsMs: number;
}

/** What is known of a device at first. */
export interface DeviceKnowledge {
  readonly telemetry: ReadonlyMap<string, KnownValue>;
  readonly attributes: ReadonlyMap<string, KnownValue>;
  readonly customerAttributes: ReadonlyMap<string, Json>;
  readonly tenantAttributes: ReadonlyMap<string, Json>;
  readonly fields: ReadonlyMap<string, Json>;
  /** By the id of the rule. */
  readonly states: ReadonlyMap<string, RuleState>;
}

export interface Reading {
  readonly tsMs: number;
  readonly values: Readonly<Record<string, Json>>;
  /** On the clock of the program. */
  readonly nowMs: number;
}

export interface Decided {
  readonly rule: CompiledRule;
  readonly effects: readonly AlarmEffect[];
  /** What is to be remembered now. */
  readonly state: RuleState;
  /** Whether that differs in what has to survive a restart. */
  readonly isToBeKept: boolean;
}

export class DeviceAlarms {
  readonly #profile: CompiledProfile;
  readonly #facts: DeviceFacts;
  readonly #telemetry = new Map<string, Json>();
  readonly #attributes = new Map<string, Json>();
  readonly #times = { telemetry: new Map<string, number>(), attributes: new Map<string, number>() };
  readonly #states: RuleState[];
  /** Since the last `takeDecided`. */
  readonly #effects = new Map<number, AlarmEffect[]>();
  readonly #before = new Map<number, RuleState>();
  /** Rules with conditions that hold, but not long enough. */
  readonly #pending = new Set<number>();

  constructor(profile: CompiledProfile, known: DeviceKnowledge) {
    this.#profile = profile;
    for (const [key, { tsMs, value }] of known.telemetry) this.#put("telemetry", key, { tsMs, value });
    for (const [key, { tsMs, value }] of known.attributes) this.#put("attributes", key, { tsMs, value });
    const { customerAttributes, fields, tenantAttributes } = known;
    this.#facts = {
      telemetry: this.#telemetry,
      attributes: this.#attributes,
      customerAttributes,
      tenantAttributes,
      fields,
    };
    this.#states = profile.rules.map(({ rule }) => known.states.get(rule.id) ?? NO_STATE);
    for (const index of this.#states.keys()) this.#notePending(index);
  }

  take(reading: Reading): void {
    this.#takeValues("telemetry", reading);
  }

  takeAttributes(reading: Reading): void {
    this.#takeValues("attributes", reading);
  }

  /** Whether a reading of telemetry would do something to an alarm at once. Changes nothing. */
  reactsTo({ nowMs, tsMs, values }: Reading): boolean {
    const changed = this.#newestKeys("telemetry", { nowMs, tsMs, values });
    if (changed.size === 0) return false;
    const telemetry = { get: (key: string) => (changed.has(key) ? values[key] : this.#telemetry.get(key)) };
    const occasion = {
      event: { kind: "values", keys: changed, tsMs, nowMs },
      facts: { ...this.#facts, telemetry },
    } as const;
    return this.#profile.rules.some(
      (rule, index) =>
        !rule.keys.telemetry.isDisjointFrom(changed) &&
        evaluateAlarmRule(rule, this.#state(index), occasion).effects.length > 0,
    );
  }

  /** Attributes that are gone; nothing is decided by that until the next value comes. */
  dropAttributes(keys: readonly string[]): void {
    for (const key of keys) {
      this.#attributes.delete(key);
      this.#times.attributes.delete(key);
    }
  }

  /** No value came until `tsMs`, in time of measurement. */
  passTo(tsMs: number, nowMs: number): void {
    for (const index of Array.from(this.#pending)) {
      for (let due = this.#dueOf(index); due !== null && due.tsMs <= tsMs;) {
        this.#evaluate(index, { kind: "time", tsMs: due.tsMs, nowMs });
        const next = this.#dueOf(index);
        due = next?.tsMs === due.tsMs ? null : next;
      }
    }
  }

  /** The clock of the program has come to `seenMs` without a value. */
  passSeen(seenMs: number, nowMs: number): void {
    for (const index of Array.from(this.#pending)) {
      const due = this.#dueOf(index);
      if (due !== null && due.seenMs <= seenMs) this.#evaluate(index, { kind: "time", tsMs: due.tsMs, nowMs });
    }
  }

  /** The first duration that is over on the clock of the program; null: none runs. */
  nextDue(): Due | null {
    let first: Due | null = null;
    for (const index of this.#pending) {
      const due = this.#dueOf(index);
      if (due !== null && (first === null || due.seenMs < first.seenMs)) first = due;
    }
    return first;
  }

  /** The alarms that are active now, by type, after somebody else did something to alarms. */
  noteAlarms(active: ReadonlyMap<string, ActiveAlarm>): void {
    for (const [index, { rule }] of this.#profile.rules.entries()) {
      const alarm = active.get(rule.alarmType);
      if (alarm !== undefined)
        this.#evaluate(index, { kind: "alarm-changed", severity: alarm.severity, tsMs: alarm.updatedMs });
      else if (this.#state(index).alarm !== null) this.#evaluate(index, { kind: "alarm-ended" });
    }
  }

  /** What was decided since the last call. */
  takeDecided(): readonly Decided[] {
    if (this.#before.size === 0) return NOTHING;
    const decided = Array.from(this.#before, ([index, before]): Decided => {
      const state = this.#state(index);
      const isToBeKept = JSON.stringify(state.conditions) !== JSON.stringify(before.conditions);
      return { rule: this.#rule(index), effects: this.#effects.get(index) ?? [], state, isToBeKept };
    });
    this.#before.clear();
    this.#effects.clear();
    return decided;
  }

  #takeValues(place: "telemetry" | "attributes", { nowMs, tsMs, values }: Reading): void {
    const changed = this.#newestKeys(place, { nowMs, tsMs, values });
    if (changed.size === 0) return;
    this.passTo(tsMs, nowMs);
    for (const key of changed) this.#put(place, key, { tsMs, value: values[key] ?? null });
    const event = { kind: "values", keys: changed, tsMs, nowMs } as const;
    for (const [index, { keys }] of this.#profile.rules.entries()) {
      if (!keys[place].isDisjointFrom(changed)) this.#evaluate(index, event);
    }
  }

  #newestKeys(place: "telemetry" | "attributes", { nowMs, tsMs, values }: Reading): ReadonlySet<string> {
    const newest = new Set<string>();
    for (const key of this.#profile.keys[place]) {
      if (values[key] !== undefined && this.#isNewest(place, key, { tsMs, nowMs })) newest.add(key);
    }
    return newest;
  }

  #isNewest(place: "telemetry" | "attributes", key: string, { nowMs, tsMs }: Pick<Reading, "tsMs" | "nowMs">): boolean {
    const knownMs = this.#times[place].get(key) ?? -Infinity;
    return tsMs >= knownMs || knownMs > nowMs + AHEAD_MAX_MS;
  }

  #put(place: "telemetry" | "attributes", key: string, { tsMs, value }: KnownValue): void {
    (place === "telemetry" ? this.#telemetry : this.#attributes).set(key, value);
    this.#times[place].set(key, tsMs);
  }

  #evaluate(index: number, event: AlarmEvent): void {
    const before = this.#state(index);
    const { effects, state } = evaluateAlarmRule(this.#rule(index), before, { event, facts: this.#facts });
    if (state === before) return;
    this.#states[index] = state;
    if (!this.#before.has(index)) this.#before.set(index, before);
    if (effects.length > 0) this.#effects.set(index, [...(this.#effects.get(index) ?? []), ...effects]);
    this.#notePending(index);
  }

  #notePending(index: number): void {
    if (Object.keys(this.#state(index).conditions).length > 0) this.#pending.add(index);
    else this.#pending.delete(index);
  }

  #dueOf(index: number): Due | null {
    return nextDue(this.#rule(index), this.#state(index), this.#facts);
  }

  #rule(index: number): CompiledRule {
    const rule = this.#profile.rules[index];
    if (rule === undefined) throw new RangeError(`There is no rule number ${index}`);
    return rule;
  }

  #state(index: number): RuleState {
    return this.#states[index] ?? NO_STATE;
  }
}

const NOTHING: readonly Decided[] = [];
