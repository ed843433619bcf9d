import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "./change.ts";
import { idText, parsePeerJson, shortText, timeMs } from "./peer-json.ts";

// A request for history that an edge has and did not send.

/** In the order in which they may follow each other. */
export const BACKFILL_STATES = ["QUEUED", "RUNNING", "CANCELLED", "FAILED", "DONE"] as const;
export type BackfillState = (typeof BACKFILL_STATES)[number];

export const BACKFILL_KEYS_MAX = 500;

export interface BackfillRecord {
  readonly id: Uuid;
  readonly entity: EntityRef;
  /** null: all keys. */
  readonly keys: readonly string[] | null;
  /** Times of measurement, the end not included. */
  readonly startMs: number;
  readonly endMs: number;
  readonly createdMs: number;
  readonly state: BackfillState;
  /** Why it failed. */
  readonly reason: string | null;
  /** Everything that was measured before this time is on its way to the cloud, or there. */
  readonly nextMs: number;
  /** Records that were sent. */
  readonly records: number;
}

const time = z.int();

const recordSchema: z.ZodType<BackfillRecord> = z.object({
  id: idText,
  entity: z.object({ type: shortText, id: idText }),
  keys: z.array(shortText).max(BACKFILL_KEYS_MAX).nullable(),
  startMs: time,
  endMs: time,
  createdMs: timeMs,
  state: z.enum(BACKFILL_STATES),
  reason: z.string().max(1_024).nullable(),
  nextMs: time,
  records: z.int().min(0),
});

/** @throws AppError INVALID_ARGUMENT that names the field */
export function parseBackfillRecord(text: string): BackfillRecord {
  return parsePeerJson(text, { what: "a request for history", schema: recordSchema });
}

/** null: it can't be read. */
export function readBackfillRecord(text: string): BackfillRecord | null {
  try {
    return parseBackfillRecord(text);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

export function isBackfillOpen({ state }: Pick<BackfillRecord, "state">): boolean {
  return state === "QUEUED" || state === "RUNNING";
}

/** What both sides know of one request. Commutative, associative and idempotent: of two ends the later of BACKFILL_STATES counts. */
export function mergeBackfills(one: BackfillRecord, other: BackfillRecord): BackfillRecord {
  const further = BACKFILL_STATES.indexOf(one.state) >= BACKFILL_STATES.indexOf(other.state) ? one : other;
  const reasons = [one, other].flatMap(({ reason, state }) =>
    state === further.state && reason !== null ? [reason] : [],
  );
  return {
    ...one,
    state: further.state,
    reason: reasons.toSorted().at(-1) ?? null,
    nextMs: Math.max(one.nextMs, other.nextMs),
    records: Math.max(one.records, other.records),
  };
}

export function isSameBackfill(one: BackfillRecord, other: BackfillRecord): boolean {
  return (
    one.state === other.state &&
    one.reason === other.reason &&
    one.nextMs === other.nextMs &&
    one.records === other.records
  );
}
