import { AppError, type ErrorCode } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Change, EntityRef } from "../entities/change.ts";
import type { FieldConflict } from "../entities/entity-base.ts";

export interface ApplyContext {
  /** Who made the change. */
  readonly from: "edge" | "cloud";
  /** Whose entities these are, on this side. */
  readonly tenantId: Uuid;
  /** Makes names unique. */
  readonly edgeName: string;
  /** When the change was made, on the clock of the side that made it. */
  readonly changedMs: number;
  /** The edge that applies it: its own attributes come from the cloud. @default none, in the cloud */
  readonly edgeId?: Uuid | undefined;
  /** Entities that were saved here without the sender having heard of it when it read what it says; only on an edge. @default none */
  readonly unheard?: ReadonlySet<Uuid>;
}

export type ApplyResult =
  | {
      readonly kind: "applied";
      /** What is different now on this side; empty when nothing is. For whoever else follows the entity. */
      readonly effects: readonly Change[];
      /** What the sender has to be told because it was not taken as sent. */
      readonly followUps: readonly Change[];
      /** What of it met something else here. @default nothing */
      readonly conflicts?: readonly EditConflict[];
    }
  | { readonly kind: "rejected"; readonly code: ErrorCode; readonly text: string };

/**
 * An edit of an edge that was not taken as it was made.
 * - fields: the cloud had changed the same fields
 * - name: another entity has the name
 * - deleted: the entity was deleted in the cloud
 * - not-allowed: the edge may not change such entities
 */
export const CONFLICT_KINDS = ["fields", "name", "deleted", "not-allowed"] as const;

export interface EditConflict {
  readonly entity: EntityRef;
  readonly name: string;
  readonly kind: (typeof CONFLICT_KINDS)[number];
  readonly fields: readonly FieldConflict[];
}

export function applied(
  effects: readonly Change[] = [],
  followUps: readonly Change[] = [],
  conflicts: readonly EditConflict[] = [],
): ApplyResult {
  return { kind: "applied", effects, followUps, ...(conflicts.length === 0 ? {} : { conflicts }) };
}

export function rejected(code: ErrorCode, text: string): ApplyResult {
  return { kind: "rejected", code, text };
}

/** A body that can't be read is refused; `apply` reads it before it writes. @throws whatever else `apply` throws */
export async function orRejected(apply: () => Promise<ApplyResult>): Promise<ApplyResult> {
  try {
    return await apply();
  } catch (error) {
    if (error instanceof AppError && error.code === "INVALID_ARGUMENT") return rejected(error.code, error.message);
    throw error;
  }
}
