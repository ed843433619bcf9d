import { AppError } from "../../shared/core/errors.ts";
import type { Change, ChangeItem } from "../../shared/entities/change.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { Batch, Rejection } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import type { Site } from "./site-store.ts";
import { moveDownlinkApplied } from "./site-store.ts";

export interface AppliedDownlinks {
  readonly rejections: readonly Rejection[];
  /** What is different now on this edge. */
  readonly effects: readonly Change[];
}

/**
 * Applies downlinks and moves the downlink sequence in one transaction, through the one writer of the edge: what the cloud has to
 * hear in return goes to the outbox with it.
 */
export function applyDownlinks(
  unitOfWork: UnitOfWork,
  deps: StoreDeps,
  batches: readonly Batch[],
): Promise<AppliedDownlinks> {
  return unitOfWork.run(async (tx) => {
    const rejections: Rejection[] = [];
    const effects: Change[] = [];
    const followUps: Change[] = [];
    for (const batch of batches) {
      const known = await moveDownlinkSequence(tx, batch.firstSeq - 1, lastSeqOf(batch));
      const items = decodeItems(decompress(batch), batch.count);
      for (const [index, item] of items.entries()) {
        const applied = await applyItem(tx, deps, { item, site: known });
        effects.push(...applied.effects);
        followUps.push(...applied.followUps);
        if (applied.rejection !== null) rejections.push({ seq: batch.firstSeq + index, ...applied.rejection });
      }
    }
    return { result: { rejections, effects }, changes: followUps };
  });
}

async function moveDownlinkSequence(tx: Queryable, from: number, to: number): Promise<Site> {
  const moved = await moveDownlinkApplied(tx, from, to);
  if (moved === null)
    throw new AppError("PROTOCOL_ERROR", `Downlinks go on after ${from}, but something else was applied here`);
  return moved;
}

interface AppliedItem {
  readonly effects: readonly Change[];
  readonly followUps: readonly Change[];
  readonly rejection: { readonly code: string; readonly text: string } | null;
}

/** The changes of an item belong together, but one that can't be taken does not keep back the others. */
async function applyItem(
  tx: Queryable,
  deps: StoreDeps,
  { item, site: { tenantId, name: edgeName } }: { readonly item: ChangeItem; readonly site: Site },
): Promise<AppliedItem> {
  const effects: Change[] = [];
  const followUps: Change[] = [];
  let rejection: AppliedItem["rejection"] =
    item.unknown === 0
      ? null
      : { code: "UNSUPPORTED_ITEM", text: `${item.unknown} changes are of a kind that this edge does not know` };
  for (const change of item.changes) {
    const context = { from: "cloud", tenantId, edgeName, changedMs: item.changedMs } as const;
    const result = await applyChange(tx, deps, { change, context });
    if (result.kind === "rejected") {
      rejection ??= { code: result.code, text: result.text };
      continue;
    }
    effects.push(...result.effects);
    followUps.push(...result.followUps);
  }
  return { effects, followUps, rejection };
}
