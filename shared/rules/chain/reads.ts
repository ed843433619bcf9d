import type { AlarmSeverity } from "../../entities/alarm.ts";
import type { AttributeScope } from "../../entities/attributes.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { Json } from "../../entities/entity-record.ts";
import type { ChainEffect } from "./effects.ts";

export interface LatestValue {
  readonly tsMs: number;
  readonly value: Json;
}

/** What nodes ask of an entity. */
export interface EntityFacts {
  readonly name: string;
  /** Of a device its profile's name, of an asset likewise. */
  readonly type: string | null;
  readonly label: string | null;
  readonly createdMs: number;
  readonly customer: EntityRef | null;
  readonly tenant: EntityRef;
}

export interface RelationFilter {
  /** null: any. */
  readonly relationType: string | null;
  /** Empty: any. */
  readonly entityTypes: readonly string[];
}

export interface RelationQuery {
  /** FROM: relations that lead away from the entity. */
  readonly direction: "FROM" | "TO";
  readonly maxLevel: number;
  /** Empty: any relation. */
  readonly filters: readonly RelationFilter[];
}

export interface AlarmFacts {
  readonly severity: AlarmSeverity;
  readonly startMs: number;
  readonly details: Json;
}

/** What runs read of the store. The same answers give the same run. */
export interface ChainReads {
  attributes(entity: EntityRef, scope: AttributeScope, keys: readonly string[]): Promise<ReadonlyMap<string, Json>>;
  latest(entity: EntityRef, keys: readonly string[]): Promise<ReadonlyMap<string, LatestValue>>;
  entity(entity: EntityRef): Promise<EntityFacts | null>;
  /** By name, of the tenant. */
  entityByName(type: string, name: string): Promise<EntityRef | null>;
  /** In an order that stays; `limit` at most. */
  related(entity: EntityRef, query: RelationQuery, limit: number): Promise<readonly EntityRef[]>;
  activeAlarm(originator: EntityRef, alarmType: string): Promise<AlarmFacts | null>;
}

/** Shows a run what it has done itself: its effects are performed when it is over. */
export function readsWithEffects(reads: ChainReads, effects: readonly ChainEffect[]): ChainReads {
  return {
    latest: (entity, keys) => reads.latest(entity, keys),
    entity: (entity) => reads.entity(entity),
    entityByName: (type, name) => reads.entityByName(type, name),
    related: (entity, query, limit) => reads.related(entity, query, limit),
    attributes: async (entity, scope, keys) => {
      const values = new Map(await reads.attributes(entity, scope, keys));
      for (const effect of effects) {
        if (effect.kind === "save-attributes" && isSame(effect.entity, entity) && effect.scope === scope) {
          for (const { key, value } of effect.attributes) {
            if (keys.includes(key)) values.set(key, JSON.parse(value) as Json); // canonical JSON
          }
        } else if (effect.kind === "delete-attributes" && isSame(effect.entity, entity) && effect.scope === scope) {
          for (const key of effect.keys) values.delete(key);
        }
      }
      return values;
    },
    activeAlarm: async (originator, alarmType) => {
      let alarm = await reads.activeAlarm(originator, alarmType);
      for (const effect of effects) {
        if (effect.kind !== "raise-alarm" && effect.kind !== "clear-alarm") continue;
        if (!isSame(effect.originator, originator) || effect.alarmType !== alarmType) continue;
        alarm = effect.kind === "clear-alarm" ? null : effect;
      }
      return alarm;
    },
  };
}

function isSame(one: EntityRef, other: EntityRef): boolean {
  return one.id === other.id && one.type === other.type;
}
