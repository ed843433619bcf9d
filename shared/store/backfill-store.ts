import { and, asc, eq } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import { isBackfillOpen, type BackfillRecord } from "../entities/backfill.ts";
import type { BackfillSaved } from "../entities/change.ts";
import { backfill } from "./backfill-tables.ts";
import type { Queryable } from "./unit-of-work.ts";

export interface StoredBackfill {
  readonly record: BackfillRecord;
  /** Cloud: whom it asks; edge: null. */
  readonly edgeId: Uuid | null;
  readonly updatedMs: number;
}

export async function findBackfill(db: Queryable, id: Uuid): Promise<StoredBackfill | null> {
  const [row] = await db.select().from(backfill).where(eq(backfill.id, id));
  return row === undefined ? null : toStoredBackfill(row);
}

/** Nobody else changes it until the commit. */
export async function lockBackfill(tx: Queryable, id: Uuid): Promise<StoredBackfill | null> {
  const [row] = await tx.select().from(backfill).where(eq(backfill.id, id)).for("update");
  return row === undefined ? null : toStoredBackfill(row);
}

/** The one that was asked for first, of those that are open. */
export async function findOpenBackfill(db: Queryable): Promise<BackfillRecord | null> {
  const [row] = await db
    .select()
    .from(backfill)
    .where(and(backfill.isOpen))
    .orderBy(asc(backfill.createdMs), asc(backfill.id))
    .limit(1);
  return row === undefined ? null : toStoredBackfill(row).record;
}

export async function putBackfill(tx: Queryable, { record, edgeId, updatedMs }: StoredBackfill): Promise<void> {
  const { createdMs, id } = record;
  const row = { edgeId, isOpen: isBackfillOpen(record), updatedMs: Math.round(updatedMs), body: record };
  await tx
    .insert(backfill)
    .values({ id, createdMs, ...row })
    .onConflictDoUpdate({ target: backfill.id, set: row });
}

export async function deleteBackfill(tx: Queryable, id: Uuid): Promise<void> {
  await tx.delete(backfill).where(eq(backfill.id, id));
}

export function backfillSaved(record: BackfillRecord): BackfillSaved {
  return { kind: "backfill-saved", entity: record.entity, body: JSON.stringify(record) };
}

export function toStoredBackfill({ body, edgeId, updatedMs }: typeof backfill.$inferSelect): StoredBackfill {
  return {
    record: body as BackfillRecord, // written from one only
    edgeId: edgeId as Uuid | null, // a uuid column
    updatedMs,
  };
}
