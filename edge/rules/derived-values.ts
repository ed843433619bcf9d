import type { Uuid } from "../../shared/core/ids.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { joinValues, keySetOf, readValue } from "../../shared/entities/values.ts";
import type { Log } from "../../shared/observe/log.ts";
import {
  DeviceFields,
  type CompiledField,
  type CompiledFields,
  type FieldKnowledge,
} from "../../shared/rules/calculated-fields.ts";

/** The calculated fields of a profile as what they make of records. */
export class DerivedValues {
  readonly compiled: CompiledFields;
  readonly #log: Log;
  readonly #profileId: Uuid;
  /** Told of once: a field that fails, fails with each message. */
  readonly #failed = new Set<CompiledField>();

  constructor(compiled: CompiledFields, { log, profileId }: { readonly log: Log; readonly profileId: Uuid }) {
    this.compiled = compiled;
    this.#log = log;
    this.#profileId = profileId;
  }

  watch(known: FieldKnowledge): DeviceFields {
    return new DeviceFields(this.compiled, known);
  }

  /** What a record of a device leads to; null: nothing. */
  derive(fields: DeviceFields, { entityId, tsMs, values }: TelemetryRecord, nowMs: number): TelemetryRecord | null {
    const members = new Map<string, CanonicalJson>();
    const reading = { tsMs, values: JSON.parse(values) as Record<string, Json>, nowMs }; // canonical JSON of an object
    for (const { field, outcome } of fields.take(reading)) {
      if (outcome.ok) members.set(field.field.output.name, canonicalOf(field, outcome.value));
      else this.#noteFailure(field, outcome.reason);
    }
    return members.size === 0
      ? null
      : { entityId, tsMs, values: joinValues(members), keySet: keySetOf(members.keys()) };
  }

  #noteFailure(field: CompiledField, reason: string): void {
    if (this.#failed.has(field)) return;
    this.#failed.add(field);
    const { name } = field.field;
    this.#log.warn("A calculated field gives no value", { profileId: this.#profileId, field: name, reason });
  }
}

/** Numbers are doubles, but those without decimals: so a key keeps its kind whatever its value. */
function canonicalOf({ field }: CompiledField, value: string | number | boolean): CanonicalJson {
  if (typeof value !== "number") return readValue(JSON.stringify(value));
  const text = String(value);
  const isWhole = field.output.decimalsByDefault === 0 || /[.e]/.test(text);
  return readValue(isWhole ? text : `${text}.0`);
}
