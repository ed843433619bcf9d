import { and, desc, eq, inArray, sql } from "drizzle-orm";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { FieldConflict } from "../../shared/entities/entity-base.ts";
import type { EditConflict } from "../../shared/store/apply-result.ts";
import { toPage, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { entityConflict } from "./schema.ts";

// Edits of edges that were not taken as they were made, for people to look at. The newest of each edge are kept.

const KEPT_MAX = 1_000;
/** Of the JSON of a field; more would make a list of dashboards. */
const VALUE_CHARACTERS_MAX = 4_000;

export interface StoredConflict extends EditConflict {
  readonly id: Uuid;
  readonly edgeId: Uuid;
  readonly createdMs: number;
}

export async function saveConflicts(
  tx: Queryable,
  { clock, random }: StoreDeps,
  {
    edgeId,
    tenantId,
    conflicts,
  }: {
    readonly edgeId: Uuid;
    readonly tenantId: Uuid;
    readonly conflicts: readonly EditConflict[];
  },
): Promise<void> {
  if (conflicts.length === 0) return;
  const rows = conflicts.map(({ entity, name, kind, fields }) => ({
    id: createUuid(clock, random),
    tenantId,
    edgeId,
    entityType: entity.type,
    entityId: entity.id,
    entityName: name,
    kind,
    fields: fields.map(({ field, kept, dropped }) => ({ field, kept: cut(kept), dropped: cut(dropped) })),
    createdMs: Math.round(clock.nowMs()),
  }));
  await tx.insert(entityConflict).values(rows);
  const tooOld = tx
    .select({ id: entityConflict.id })
    .from(entityConflict)
    .where(eq(entityConflict.edgeId, edgeId))
    .orderBy(desc(entityConflict.createdMs), desc(entityConflict.id))
    .offset(KEPT_MAX);
  await tx.delete(entityConflict).where(inArray(entityConflict.id, tooOld));
}

function cut(json: string): string {
  return json.slice(0, VALUE_CHARACTERS_MAX);
}

/** Newest first. */
export async function listConflicts(db: Queryable, edgeId: Uuid, page: PageRequest): Promise<Page<StoredConflict>> {
  const where = eq(entityConflict.edgeId, edgeId);
  const rows = await db
    .select()
    .from(entityConflict)
    .where(where)
    .orderBy(desc(entityConflict.createdMs), desc(entityConflict.id))
    .limit(page.pageSize)
    .offset(page.pageSize * page.page);
  const [total] = await db
    .select({ count: sql<number>`count(*)` })
    .from(entityConflict)
    .where(where);
  const data = rows.map((row): StoredConflict => ({
    // All written by saveConflicts only.
    id: row.id as Uuid,
    edgeId: row.edgeId as Uuid,
    entity: { type: row.entityType, id: row.entityId as Uuid },
    name: row.entityName,
    kind: row.kind as EditConflict["kind"],
    fields: row.fields as readonly FieldConflict[],
    createdMs: row.createdMs,
  }));
  return toPage(data, total?.count ?? 0, page);
}

/** False when there is no such conflict of the edge. */
export async function deleteConflict(
  db: Queryable,
  { edgeId, id }: { readonly edgeId: Uuid; readonly id: Uuid },
): Promise<boolean> {
  const rows = await db
    .delete(entityConflict)
    .where(and(eq(entityConflict.edgeId, edgeId), eq(entityConflict.id, id)))
    .returning({ id: entityConflict.id });
  return rows.length > 0;
}
