import type { AttributeScope } from "../../entities/attributes.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { Json } from "../../entities/entity-record.ts";
import type { ChainEffect } from "./effects.ts";
import type { JsonObject } from "./message.ts";
import type { AlarmFacts, ChainReads, EntityFacts, LatestValue } from "./reads.ts";

/** What a replay begins with; nothing of it is written to. */
export interface ReplayStart {
  readonly tenant: EntityRef;
  /** By `type/id`. */
  readonly entities: ReadonlyMap<string, EntityFacts>;
  readonly attributes: readonly {
    readonly entity: EntityRef;
    readonly scope: AttributeScope;
    readonly values: JsonObject;
  }[];
}

/** A store in memory in which the effects of a replay take place, so that what a chain did is there for its next message. */
export class ReplayWorld implements ChainReads {
  readonly #start: ReplayStart;
  readonly #attributes = new Map<string, Map<string, Json>>();
  readonly #latest = new Map<string, Map<string, LatestValue>>();
  readonly #alarms = new Map<string, AlarmFacts>();

  constructor(start: ReplayStart) {
    this.#start = start;
    for (const { entity, scope, values } of start.attributes) this.#save(`${keyOf(entity)}/${scope}`, values);
  }

  perform(effect: ChainEffect): void {
    switch (effect.kind) {
      case "save-telemetry":
        this.#saveTelemetry(effect);
        return;
      case "save-attributes": {
        const entries = effect.attributes.map(({ key, value }) => [key, JSON.parse(value) as Json] as const); // canonical JSON
        this.#save(`${keyOf(effect.entity)}/${effect.scope}`, Object.fromEntries(entries));
        return;
      }
      case "delete-attributes":
        for (const key of effect.keys) this.#attributes.get(`${keyOf(effect.entity)}/${effect.scope}`)?.delete(key);
        return;
      case "raise-alarm":
        this.#alarms.set(alarmKey(effect.originator, effect.alarmType), effect);
        return;
      case "clear-alarm":
        this.#alarms.delete(alarmKey(effect.originator, effect.alarmType));
        return;
      case "send-rpc":
      case "reply-rpc":
      case "push-to-cloud":
      case "call-http":
      case "publish-mqtt":
      case "log":
      case "wake":
        return;
      default:
        effect satisfies never;
    }
  }

  attributes(entity: EntityRef, scope: AttributeScope, keys: readonly string[]): Promise<ReadonlyMap<string, Json>> {
    return Promise.resolve(chosen(this.#attributes.get(`${keyOf(entity)}/${scope}`), keys));
  }

  latest(entity: EntityRef, keys: readonly string[]): Promise<ReadonlyMap<string, LatestValue>> {
    return Promise.resolve(chosen(this.#latest.get(keyOf(entity)), keys));
  }

  entity(entity: EntityRef): Promise<EntityFacts | null> {
    return Promise.resolve(this.#start.entities.get(keyOf(entity)) ?? null);
  }

  entityByName(): Promise<EntityRef | null> {
    return Promise.resolve(null);
  }

  related(): Promise<readonly EntityRef[]> {
    return Promise.resolve([]);
  }

  activeAlarm(originator: EntityRef, alarmType: string): Promise<AlarmFacts | null> {
    return Promise.resolve(this.#alarms.get(alarmKey(originator, alarmType)) ?? null);
  }

  #save(key: string, values: JsonObject): void {
    const saved = this.#attributes.get(key) ?? new Map<string, Json>();
    for (const [name, value] of Object.entries(values)) saved.set(name, value);
    this.#attributes.set(key, saved);
  }

  #saveTelemetry({ entity, points }: Extract<ChainEffect, { kind: "save-telemetry" }>): void {
    const key = keyOf(entity);
    const latest = this.#latest.get(key) ?? new Map<string, LatestValue>();
    for (const { tsMs, values } of points) {
      for (const [name, value] of Object.entries(JSON.parse(values) as JsonObject)) {
        const known = latest.get(name);
        if (known === undefined || known.tsMs <= tsMs) latest.set(name, { tsMs, value });
      }
    }
    this.#latest.set(key, latest);
  }
}

export function keyOf({ type, id }: EntityRef): string {
  return `${type}/${id}`;
}

function alarmKey(originator: EntityRef, alarmType: string): string {
  return `${keyOf(originator)}/${alarmType}`;
}

function chosen<Value>(values: ReadonlyMap<string, Value> | undefined, keys: readonly string[]): Map<string, Value> {
  const found = new Map<string, Value>();
  for (const key of keys) {
    const value = values?.get(key);
    if (value !== undefined) found.set(key, value);
  }
  return found;
}
