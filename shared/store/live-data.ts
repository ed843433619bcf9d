import { sql } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { TelemetryPoint } from "../entities/telemetry.ts";
import { arrayParam } from "./array-param.ts";
import type { AttributeRow } from "./attribute-store.ts";
import { fromJsonbText } from "./canonical-column.ts";
import type { Queryable } from "./unit-of-work.ts";

// What those who watch entities are told of: newest values and attributes of many entities at once.

export interface LatestRow extends TelemetryPoint {
  readonly entityId: Uuid;
  readonly key: string;
}

export async function readLatestOf(db: Queryable, ids: readonly Uuid[]): Promise<LatestRow[]> {
  const rows = await db.execute<{ entity_id: Uuid; key: string; ts_ms: number; value: string }>(sql`
    select entity_id, key, ts_ms, value::text as value from telemetry_latest
    where entity_id = any (${arrayParam(ids, "uuid")})`);
  return rows.map((row) => ({
    entityId: row.entity_id,
    key: row.key,
    tsMs: row.ts_ms,
    value: fromJsonbText(row.value),
  }));
}

export async function readAttributesOf(db: Queryable, ids: readonly Uuid[]): Promise<AttributeRow[]> {
  const rows = await db.execute<{
    entity_id: Uuid;
    scope: AttributeRow["scope"];
    key: string;
    updated_ms: number;
    value: string;
  }>(sql`
    select entity_id, scope, key, updated_ms, value::text as value from attribute
    where entity_id = any (${arrayParam(ids, "uuid")})`);
  return rows.map((row) => ({
    entityId: row.entity_id,
    scope: row.scope,
    key: row.key,
    updatedMs: row.updated_ms,
    value: fromJsonbText(row.value),
  }));
}
