import type { Uuid } from "../../shared/core/ids.ts";
import type { EntityRef } from "../../shared/entities/change.ts";
import type { EntityRecord, Json } from "../../shared/entities/entity-record.ts";
import { isKindType } from "../../shared/entities/entity-types.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { ChainReads, EntityFacts, LatestValue, RelationQuery } from "../../shared/rules/chain/reads.ts";
import { findActiveAlarm } from "../../shared/store/alarm-store.ts";
import { readAttributeRows } from "../../shared/store/attribute-store.ts";
import { findEntity, findEntityByName } from "../../shared/store/entity-store.ts";
import { stepRelations } from "../../shared/store/relation-store.ts";
import { readLatest } from "../../shared/store/telemetry-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

const RELATIONS_MAX = 1_000;
const LEVELS_MAX = 10;

export interface ChainReadsDeps {
  readonly db: () => Queryable;
  readonly tenantId: Uuid;
  /** Newest values that are not in telemetry_latest yet, the oldest first. */
  readonly unsettled: (entityId: Uuid) => readonly TelemetryRecord[];
}

/** What nodes of chains read on the edge. */
export function createChainReads({ db, tenantId, unsettled }: ChainReadsDeps): ChainReads {
  return {
    attributes: async ({ id }, scope, keys) => {
      const rows = await readAttributeRows(db(), { entityId: id, scopes: [scope], keys: storable(keys) });
      return new Map(rows.map(({ key, value }) => [key, JSON.parse(value) as Json])); // canonical JSON
    },
    latest: async ({ id }, keys) => {
      const values = new Map<string, LatestValue>();
      for (const [key, { tsMs, value }] of await readLatest(db(), { entityId: id, keys: storable(keys) }))
        values.set(key, { tsMs, value: JSON.parse(value) as Json }); // canonical JSON
      for (const record of unsettled(id)) noteNewer(values, record, keys);
      return values;
    },
    entity: async ({ type, id }) => {
      if (!isKindType(type)) return null;
      const record = await findEntity(db(), { type, id, tenantId });
      return record === null ? null : await factsOf(db(), record);
    },
    entityByName: async (type, name) => {
      if (!isKindType(type) || storable([name]).length === 0) return null;
      const record = await findEntityByName(db(), { type, tenantId, name });
      return record === null ? null : { type, id: record.id };
    },
    related: (start, query, limit) => findRelated({ db: db(), tenantId }, { start, query, limit }),
    activeAlarm: async ({ id }, type) => {
      if (storable([type]).length === 0) return null;
      return findActiveAlarm(db(), { originatorId: id, type });
    },
  };
}

/** A character that no text of the database holds would fail the transaction of the commit, not just the query. */
function storable(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => !text.includes("\0"));
}

function noteNewer(values: Map<string, LatestValue>, record: TelemetryRecord, keys: readonly string[]): void {
  const members = JSON.parse(record.values) as Readonly<Record<string, Json>>; // canonical JSON of an object
  for (const key of keys) {
    const value = members[key];
    const known = values.get(key);
    if (value !== undefined && (known === undefined || known.tsMs <= record.tsMs))
      values.set(key, { tsMs: record.tsMs, value });
  }
}

async function factsOf(db: Queryable, record: EntityRecord): Promise<EntityFacts> {
  const { label } = record.body;
  const profile =
    record.entityType === "DEVICE" && record.profileId !== null
      ? await findEntity(db, { type: "DEVICE_PROFILE", id: record.profileId })
      : null;
  return {
    name: record.name,
    type: profile?.name ?? record.subtype,
    label: typeof label === "string" ? label : null,
    createdMs: record.createdMs,
    customer: record.customerId === null ? null : { type: "CUSTOMER", id: record.customerId },
    tenant: { type: "TENANT", id: record.tenantId },
  };
}

interface RelatedQuery {
  readonly start: EntityRef;
  readonly query: RelationQuery;
  readonly limit: number;
}

/** Breadth first, each entity once. */
async function findRelated(
  { db, tenantId }: { readonly db: Queryable; readonly tenantId: Uuid },
  { start, query, limit }: RelatedQuery,
): Promise<readonly EntityRef[]> {
  const { direction, filters, maxLevel } = query;
  const seen = new Set<string>([start.id]);
  const found: EntityRef[] = [];
  let ids: readonly Uuid[] = [start.id];
  for (let level = 0; level < Math.min(maxLevel, LEVELS_MAX) && ids.length > 0; level += 1) {
    const step = { ids, direction, typeGroup: "COMMON", limit: RELATIONS_MAX } as const;
    const next: Uuid[] = [];
    for (const { from, to, type } of await stepRelations(db, tenantId, step)) {
      const end = direction === "FROM" ? to : from;
      if (seen.has(end.id)) continue;
      const passes =
        filters.length === 0 ||
        filters.some(
          ({ entityTypes, relationType }) =>
            (relationType === null || relationType === type) &&
            (entityTypes.length === 0 || entityTypes.includes(end.type)),
        );
      if (!passes) continue;
      seen.add(end.id);
      next.push(end.id);
      found.push(end);
      if (found.length >= limit) return found;
    }
    ids = next;
  }
  return found;
}
