import { sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, SentChange, SentItem } from "../../shared/entities/change.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { ApplyMode, ItemOutcome, Refusal } from "../../shared/store/apply-items.ts";
import { applyFastThenCareful, applyItem } from "../../shared/store/apply-items.ts";
import { NewcomerRuns } from "../../shared/store/apply-newcomers.ts";
import type { ApplyContext } from "../../shared/store/apply-result.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { contentNamedBy } from "../../shared/store/blob-upload.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { Batch, Rejection } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { createRejection } from "../../shared/sync/rejections.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { bringBackLarge } from "../../shared/wire/large-changes.ts";
import { storeDownlinkRejections } from "./downlink-rejections.ts";
import type { EdgeOutcome } from "./group-writer.ts";
import { beginRepair, endRepair } from "./repair.ts";
import type { Site } from "./site-store.ts";
import { moveDownlinkApplied } from "./site-store.ts";

export interface AppliedDownlinks {
  readonly rejections: readonly Rejection[];
  /** What is different now on this edge. */
  readonly effects: readonly Change[];
}

export interface DownlinkDeps extends StoreDeps {
  /** Contents that came from the cloud. */
  readonly blobs: Pick<BlobStore, "has" | "readWhole">;
  /** Version of this program, for what it refuses. */
  readonly edgeVersion: string;
  /** Around putting a change of some MB together: what its transfer left would lie beside it, and its bytes beside it when it is applied. @default nothing */
  readonly collectGarbage?: () => void;
}

/** Putting it together and applying it takes five times as much. */
const COLLECTED_BYTES_MIN = 4 * 1024 * 1024;

/**
 * Applies downlinks and moves the downlink sequence in one transaction, through the one writer of the edge: what the cloud has to
 * hear in return goes to the outbox with it.
 */
export function applyDownlinks(
  unitOfWork: UnitOfWork,
  deps: DownlinkDeps,
  batches: readonly Batch[],
): Promise<AppliedDownlinks> {
  return applyFastThenCareful((mode) => unitOfWork.run((tx) => applyOnce(tx, deps, { batches, mode })));
}

async function applyOnce(
  tx: Queryable,
  deps: DownlinkDeps,
  { batches, mode }: { readonly batches: readonly Batch[]; readonly mode: ApplyMode },
): Promise<EdgeOutcome<AppliedDownlinks>> {
  const rejections: Rejection[] = [];
  const effects: Change[] = [];
  const followUps: Change[] = [];
  for (const batch of batches) {
    const items = decodeItems(decompress(batch), batch.count);
    // Side by side: a connection takes them in this order.
    const [{ edgeId, tenantId, name: edgeName }, unheard] = await Promise.all([
      moveDownlinkSequence(tx, batch),
      findUnheardEdits(tx, batch, items),
    ]);
    const newcomers = new NewcomerRuns(tx, deps, items);
    for (const [index, sent] of items.entries()) {
      const { changedMs } = sent;
      const context = { from: "cloud", edgeId: edgeId ?? undefined, tenantId, edgeName, changedMs, unheard } as const;
      const early = mode === "fast" ? await newcomers.outcomeOf(index, context) : null;
      const outcome = early ?? (await applySent(tx, deps, { sent, mode, context }));
      if (outcome.kind === "rejected")
        rejections.push(createRejection(batch.firstSeq + index, outcome, deps.edgeVersion));
      else {
        effects.push(...outcome.effects);
        followUps.push(...outcome.followUps);
      }
    }
  }
  await storeDownlinkRejections(tx, rejections);
  return { result: { rejections, effects }, changes: followUps, heard: effects };
}

/**
 * Entities of these items that were saved here later than what the cloud had committed when it looked for them. That the edge has heard of
 * its commit since then says nothing: what came before it is still on its way.
 */
async function findUnheardEdits(
  tx: Queryable,
  { heardSeq }: Batch,
  items: readonly SentItem[],
): Promise<ReadonlySet<Uuid>> {
  const ids = items.flatMap(({ changes }) =>
    changes.flatMap(({ entity, kind }) => (MAY_SAVE.has(kind) ? entity.id : [])),
  );
  // A cloud that does not say it orders its changes by their versions alone.
  if (heardSeq === undefined || ids.length === 0) return new Set();
  const rows = await tx.execute<{ entity_id: Uuid }>(sql`
    select distinct entity_id from cloud_event
    where lane = 'config' and first_seq > ${heardSeq} and action in ('ADDED', 'UPDATED')
      and entity_id = any(${arrayParam(ids, "uuid")})`);
  return new Set(rows.map((row) => row.entity_id));
}

const MAY_SAVE: ReadonlySet<SentChange["kind"]> = new Set(["entity-saved", "large-change"]);

interface SentWork {
  readonly sent: SentItem;
  readonly mode: ApplyMode;
  readonly context: ApplyContext;
}

/** One item, with what a repair does around it. */
async function applySent(tx: Queryable, deps: DownlinkDeps, { sent, mode, context }: SentWork): Promise<ItemOutcome> {
  const isLarge = sent.changes.some(isVeryLarge);
  if (isLarge) deps.collectGarbage?.();
  const { item, refusal } = await bringBackLarge(sent, (ref, bytesMax) => deps.blobs.readWhole(tx, ref, bytesMax));
  if (isLarge) deps.collectGarbage?.();
  const apply = (inner: Queryable, change: Change) => applyChange(inner, deps, { change, context });
  const repair = item.isRepair === true ? await beginRepair(tx, item.changes) : null;
  const merged = { ...item, changes: repair?.changes ?? item.changes };
  const missing = refusal ?? (await findMissingContent(tx, deps.blobs, merged.changes));
  const outcome = await applyItem(tx, { item: merged, refusal: missing, mode, apply });
  if (outcome.kind === "rejected" || repair === null) return outcome;
  const { effects, followUps } = await endRepair(tx, repair, deps.clock.nowMs());
  return {
    ...outcome,
    effects: [...outcome.effects, ...effects],
    followUps: [...outcome.followUps, ...followUps],
  };
}

function isVeryLarge(change: SentItem["changes"][number]): boolean {
  return change.kind === "large-change" && change.content.bytes >= COLLECTED_BYTES_MIN;
}

/** A record that names a file is of no use without it. */
async function findMissingContent(
  tx: Queryable,
  blobs: DownlinkDeps["blobs"],
  changes: readonly Change[],
): Promise<Refusal | null> {
  for (const change of changes) {
    const content = contentNamedBy(change);
    if (content === null || (await blobs.has(tx, content))) continue;
    return { code: "CONTENT_MISSING", text: `Content ${content.sha256} of ${content.bytes} bytes is not here whole` };
  }
  return null;
}

async function moveDownlinkSequence(tx: Queryable, batch: Batch): Promise<Site> {
  const from = batch.firstSeq - 1;
  const moved = await moveDownlinkApplied(tx, { from, to: lastSeqOf(batch), tag: batch.tag ?? null });
  if (moved === null)
    throw new AppError("PROTOCOL_ERROR", `Downlinks go on after ${from}, but something else was applied here`);
  return moved;
}
