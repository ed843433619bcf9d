import { asc, gt, lte } from "drizzle-orm";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Ack, Rejection } from "../../shared/sync/frames.ts";
import { createMissedAcks } from "../../shared/sync/rejections.ts";
import { downlinkRejection } from "./schema.ts";

// What this edge refused of the cloud's downlinks: written with the sequence that passes it, told again until the cloud's cursor is
// beyond. The cloud sends no more than a window above its cursor, so no more than that is kept.

/** In the transaction that applies. */
export async function storeDownlinkRejections(tx: Queryable, rejections: readonly Rejection[]): Promise<void> {
  if (rejections.length === 0) return;
  const rows = rejections.map(({ seq, code, text, version }) => ({ seq, code, reason: text, version }));
  await tx.insert(downlinkRejection).values(rows);
}

export interface DownlinkKnowledge {
  /** What the cloud knows to be committed. */
  readonly ackedSeq: number;
  /** What is committed. */
  readonly applied: number;
  /** Whether the sequences are those of the session before; else what was refused then is another history. */
  readonly continues: boolean;
}

/** Forgets what the cloud knows. @returns the acks that it has missed */
export async function recallDownlinkRejections(
  tx: Queryable,
  { ackedSeq, applied, continues }: DownlinkKnowledge,
): Promise<readonly Ack[]> {
  const { seq, code, reason, version } = downlinkRejection;
  await tx.delete(downlinkRejection).where(continues ? lte(seq, ackedSeq) : undefined);
  if (ackedSeq >= applied) return [];
  const rejections = await tx
    .select({ seq, code, text: reason, version })
    .from(downlinkRejection)
    .where(gt(seq, ackedSeq))
    .orderBy(asc(seq));
  return createMissedAcks({ lane: "downlink", ackedSeq, upTo: applied, rejections });
}
