import type { AlarmSeverity } from "../entities/alarm.ts";
import type { Json } from "../entities/entity-record.ts";
import type { AlarmEffect } from "./alarm-evaluator.ts";
import type { CompiledRules } from "./compile-rules.ts";
import { compileProfile, type Decided, type DeviceAlarms, type DeviceKnowledge } from "./device-alarms.ts";

// Runs the alarm rules of a profile over recorded telemetry of a device, with the time of the record for the time: which alarms there
// would have been. Durations end when they are over, up to the end of the history; alarms have no past when it begins.

/** Telemetry of one moment. */
export interface RecordedReading {
  readonly tsMs: number;
  readonly values: Readonly<Record<string, Json>>;
}

/** What happened at a time. */
export type AlarmReplayLine =
  | {
      readonly ts: number;
      readonly kind: "raise-alarm" | "update-alarm";
      readonly alarmType: string;
      readonly severity: AlarmSeverity;
      readonly details: Json;
    }
  | { readonly ts: number; readonly kind: "clear-alarm"; readonly alarmType: string; readonly details: Json }
  | AlarmReplaySummary;

export interface AlarmReplaySummary {
  readonly ts: number;
  readonly kind: "summary";
  readonly messages: number;
  readonly alarms: readonly ReplayedAlarm[];
  /** Why rules were left out. */
  readonly problems: readonly string[];
}

export interface ReplayedAlarm {
  readonly alarmType: string;
  /** The highest that it had. */
  readonly severity: AlarmSeverity;
  readonly startTs: number;
  /** null: it was still active at the end. */
  readonly clearTs: number | null;
}

export interface AlarmReplayOptions {
  /** What is known of the device before. */
  readonly known: DeviceKnowledge;
  /**
   * Until when time passes after the last reading.
   *
   * @default to the last reading
   */
  readonly endMs?: number;
}

/** @param history in the order of time */
export async function* replayAlarms(
  { problems, rules }: CompiledRules,
  history: Iterable<RecordedReading> | AsyncIterable<RecordedReading>,
  { known, endMs }: AlarmReplayOptions,
): AsyncGenerator<AlarmReplayLine> {
  const device = compileProfile(rules).watch(known);
  const alarms = new ReplayedAlarms();
  let messages = 0;
  let ts = 0;
  for await (const { tsMs, values } of history) {
    ts = tsMs;
    messages += 1;
    device.passTo(tsMs, tsMs);
    device.take({ tsMs, values, nowMs: tsMs });
    yield* alarms.note(device);
  }
  if (endMs !== undefined && messages > 0) {
    device.passTo(endMs, endMs);
    yield* alarms.note(device);
  }
  yield { ts, kind: "summary", messages, alarms: alarms.list(), problems };
}

/** Nothing is known of the device but what is recorded. */
export function unknownDevice(fields: Readonly<Record<string, Json>>): DeviceKnowledge {
  const none = new Map<string, never>();
  return {
    telemetry: none,
    attributes: none,
    customerAttributes: none,
    tenantAttributes: none,
    fields: new Map(Object.entries(fields)),
    states: none,
  };
}

class ReplayedAlarms {
  readonly #all: ReplayedAlarm[] = [];
  readonly #active = new Map<string, number>();

  list(): readonly ReplayedAlarm[] {
    return this.#all;
  }

  *note(device: DeviceAlarms): Generator<AlarmReplayLine> {
    const happened = device
      .takeDecided()
      .flatMap(({ effects, rule }: Decided) => effects.map((effect) => ({ effect, alarmType: rule.rule.alarmType })));
    for (const { effect, alarmType } of happened.toSorted((one, other) => one.effect.tsMs - other.effect.tsMs))
      yield this.#line(effect, alarmType);
  }

  #line(effect: AlarmEffect, alarmType: string): AlarmReplayLine {
    const { details, tsMs: ts } = effect;
    const index = this.#active.get(alarmType);
    const alarm = index === undefined ? undefined : this.#all[index];
    if (effect.kind === "clear") {
      if (index !== undefined && alarm !== undefined) this.#all[index] = { ...alarm, clearTs: ts };
      this.#active.delete(alarmType);
      return { ts, kind: "clear-alarm", alarmType, details };
    }
    const severity = effect.kind === "raise" ? effect.severity : (alarm?.severity ?? "INDETERMINATE");
    if (index !== undefined && alarm !== undefined) this.#all[index] = { ...alarm, severity };
    else {
      this.#active.set(alarmType, this.#all.length);
      this.#all.push({ alarmType, severity, startTs: ts, clearTs: null });
    }
    return { ts, kind: effect.kind === "raise" ? "raise-alarm" : "update-alarm", alarmType, severity, details };
  }
}
