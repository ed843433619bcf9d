import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { viewedOf } from "../../shared/entities/entity-view.ts";
import { ruleChainType } from "../../shared/entities/rule-chain.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { edge, edgeAssignment } from "./schema.ts";

// What only some kinds ask for before they go to an edge or leave it.

export interface Move {
  readonly edgeId: Uuid;
  readonly record: EntityRecord;
}

/** @throws AppError INVALID_ARGUMENT */
export async function checkAssign(tx: Queryable, { edgeId, record }: Move): Promise<void> {
  if (record.entityType === "RULE_CHAIN" && ruleChainType(record) !== "EDGE") {
    throw new AppError("INVALID_ARGUMENT", "Can't assign non EDGE ruleChain to edge!");
  }
  if (record.entityType === "ENTITY_VIEW") {
    const viewed = viewedOf(record.body);
    if (viewed === null || (await isPutOn(tx, edgeId, viewed.id))) return;
    const text = "Can't assign entity view to edge because related device/asset doesn't assigned to edge!";
    throw new AppError("INVALID_ARGUMENT", text);
  }
}

async function isPutOn(tx: Queryable, edgeId: Uuid, entityId: Uuid): Promise<boolean> {
  const rows = await tx
    .select({ id: edgeAssignment.entityId })
    .from(edgeAssignment)
    .where(
      and(eq(edgeAssignment.edgeId, edgeId), eq(edgeAssignment.entityId, entityId), eq(edgeAssignment.follows, false)),
    );
  return rows.length > 0;
}

/** @throws AppError INVALID_ARGUMENT */
export async function checkUnassign(tx: Queryable, { edgeId, record }: Move): Promise<void> {
  if (record.entityType === "RULE_CHAIN") {
    const [root] = await tx
      .select({ name: edge.name })
      .from(edge)
      .where(and(eq(edge.id, edgeId), eq(edge.rootRuleChainId, record.id)));
    if (root === undefined) return;
    const text = `Can't unassign root rule chain from edge [${root.name}]. Please assign another root rule chain first!`;
    throw new AppError("INVALID_ARGUMENT", text);
  }
  if (record.entityType === "DEVICE" || record.entityType === "ASSET") {
    const [view] = await tx
      .select({ id: entity.id })
      .from(entity)
      .innerJoin(edgeAssignment, and(eq(edgeAssignment.entityId, entity.id), eq(edgeAssignment.edgeId, edgeId)))
      .where(and(eq(entity.entityType, "ENTITY_VIEW"), sql`${entity.refersTo} @> array[${record.id}::uuid]`))
      .limit(1);
    if (view === undefined) return;
    const text =
      "Can't unassign device/asset from edge that is related to entity view and entity view is assigned to edge!";
    throw new AppError("INVALID_ARGUMENT", text);
  }
}
