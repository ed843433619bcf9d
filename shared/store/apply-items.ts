import type { ErrorCode } from "../core/errors.ts";
import type { Change, ChangeItem } from "../entities/change.ts";
import { databaseError, isDataError, sqlStateOf } from "../postgres/connect.ts";
import type { ApplyResult, EditConflict } from "./apply-result.ts";
import type { Queryable } from "./unit-of-work.ts";

// Items of the other side take effect as a whole or not at all, and none of them stops the others.
//
// Modes of an attempt to apply a batch:
//   fast     without savepoints; the attempt ends when an item is refused after a part of it took effect, or when the database or a
//            fault of this program stands against an item
//   careful  each item in a savepoint, so that the one at fault is found, undone and refused
// A batch is tried fast, then careful: refusals are rare, and what is no item's fault (connection, disk, fence) ends both.

export type ApplyMode = "fast" | "careful";

export interface Refusal {
  /** A code of shared/core/errors.ts. */
  readonly code: string;
  readonly text: string;
}

export type ItemOutcome =
  | {
      readonly kind: "applied";
      readonly effects: readonly Change[];
      readonly followUps: readonly Change[];
      readonly conflicts: readonly EditConflict[];
    }
  | ({ readonly kind: "rejected" } & Refusal);

/** Something was refused after a part of it took effect: everything has to be undone. */
export class HalfApplied extends Error {}

/** An item that has to be undone alone. */
class ItemRefused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.text);
    this.refusal = refusal;
  }
}

/** @param attempt one transaction, which leaves nothing behind when it throws */
export async function applyFastThenCareful<T>(attempt: (mode: ApplyMode) => Promise<T>): Promise<T> {
  try {
    return await attempt("fast");
  } catch (thrown) {
    if (!(thrown instanceof HalfApplied) && refusalOf(thrown) === null) throw thrown;
    return attempt("careful");
  }
}

export interface ItemWork {
  readonly item: ChangeItem;
  /** Why a part of the item is not there; null: it is whole. */
  readonly refusal: Refusal | null;
  readonly mode: ApplyMode;
  readonly apply: (tx: Queryable, change: Change) => Promise<ApplyResult>;
}

/** Applies the changes of one item, or none of them. @throws what ends the attempt */
export async function applyItem(tx: Queryable, work: ItemWork): Promise<ItemOutcome> {
  const { item, mode, refusal } = work;
  if (item.unknown > 0) {
    const text = `${item.unknown} changes are of a kind that this version does not know`;
    return { kind: "rejected", code: "UNSUPPORTED_ITEM", text };
  }
  if (refusal !== null) return { kind: "rejected", ...refusal };
  if (mode === "fast") return applyChanges(tx, work);
  try {
    return await tx.transaction((inner) => applyChanges(inner, work));
  } catch (thrown) {
    const reason = thrown instanceof ItemRefused ? thrown.refusal : refusalOf(thrown);
    if (reason === null) throw thrown;
    return { kind: "rejected", ...reason };
  }
}

async function applyChanges(tx: Queryable, { item, mode, apply }: ItemWork): Promise<ItemOutcome> {
  const effects: Change[] = [];
  const followUps: Change[] = [];
  const conflicts: EditConflict[] = [];
  for (const [index, change] of item.changes.entries()) {
    const result = await apply(tx, change);
    if (result.kind === "rejected") {
      // A change is refused before it writes; what came before it in the item has written.
      if (index === 0) return result;
      throw mode === "fast" ? new HalfApplied() : new ItemRefused(result);
    }
    effects.push(...result.effects);
    followUps.push(...result.followUps);
    conflicts.push(...(result.conflicts ?? []));
  }
  return { kind: "applied", effects, followUps, conflicts };
}

/** Codes that are about the session or this process, whatever the item is. */
const NO_ITEMS_FAULT: ReadonlySet<ErrorCode> = new Set(["SESSION_FENCED", "PROTOCOL_ERROR", "CANCELLED"]);

/** Why an item can't be applied, now or later; null: the failure is not the item's. */
export function refusalOf(thrown: unknown): Refusal | null {
  const error = databaseError(thrown);
  if (isDataError(thrown)) return { code: "INVALID_ARGUMENT", text: error.message };
  if (error.code === "ENTITY_LIMIT") return { code: error.code, text: error.message };
  if (error.retryable || NO_ITEMS_FAULT.has(error.code) || sqlStateOf(thrown) !== undefined) return null;
  // A fault of this program that one item brings out: parked, it can be replayed when it is mended.
  return { code: error.code, text: error.message };
}
