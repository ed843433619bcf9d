import type { Json } from "../entities/entity-record.ts";
import { replayAlarms, type AlarmReplayLine, type AlarmReplayOptions, type RecordedReading } from "./alarm-replay.ts";
import { readAlarmRules, usesCel } from "./alarm-rule.ts";
import { compileReadFields, DeviceFields, type CompiledFields, type FieldKnowledge } from "./calculated-fields.ts";
import { readCalculatedFields } from "./calculated-form.ts";
import { loadCel } from "./cel.ts";
import { compileReadRules } from "./compile-rules.ts";

export interface ProfileReplayOptions extends AlarmReplayOptions {
  /** Attributes for calculated fields. */
  readonly attributes: FieldKnowledge["attributes"];
}

/** Runs what the body of a device profile says, calculated fields and alarm rules, over recorded telemetry of a device. @param history in the order of time */
export async function* replayProfile(
  body: unknown,
  history: Iterable<RecordedReading> | AsyncIterable<RecordedReading>,
  options: ProfileReplayOptions,
): AsyncGenerator<AlarmReplayLine> {
  const read = readAlarmRules(body);
  const fields = readCalculatedFields(body);
  const hasFields = fields.fields.length > 0;
  const cel = hasFields || read.rules.some(usesCel) ? await loadCel() : null;
  const rules = compileReadRules(read, cel);
  const compiled = cel === null ? null : compileReadFields(fields, cel);
  const problems = [...rules.problems, ...(compiled?.problems ?? fields.problems)];
  const readings = compiled === null || !hasFields ? history : withDerived(compiled, history, options.attributes);
  yield* replayAlarms({ ...rules, problems }, readings, options);
}

async function* withDerived(
  compiled: CompiledFields,
  history: Iterable<RecordedReading> | AsyncIterable<RecordedReading>,
  attributes: FieldKnowledge["attributes"],
): AsyncGenerator<RecordedReading> {
  const device = new DeviceFields(compiled, { latest: new Map(), attributes, points: new Map() });
  for await (const { tsMs, values } of history) {
    const all: Record<string, Json> = { ...values };
    for (const { field, outcome } of device.take({ tsMs, values, nowMs: tsMs })) {
      if (outcome.ok) all[field.field.output.name] = outcome.value;
    }
    yield { tsMs, values: all };
  }
}
