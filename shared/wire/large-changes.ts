import type { BlobRef } from "../core/blob-ref.ts";
import { AppError } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { Change, ChangeItem, SentChange, SentItem } from "../entities/change.ts";
import { decodeChange, encodeChange } from "./changes-codec.ts";

// Changes that are too large for a batch leave their item as a content of their own, which travels in chunks ahead of it.

/** Above it a change travels in chunks. */
export const LARGE_CHANGE_BYTES = 1024 * 1024;
/** Above it a change is refused: to be applied it has to be in memory as a whole. */
export const CHANGE_BYTES_MAX = 64 * 1024 * 1024;

/** Large changes are handed to `put` and replaced by a reference. */
export async function takeOutLarge(
  changes: readonly Change[],
  put: (content: Uint8Array) => Promise<BlobRef>,
): Promise<{ readonly changes: readonly SentChange[]; readonly blobs: readonly BlobRef[] }> {
  const sent: SentChange[] = [];
  const blobs: BlobRef[] = [];
  for (const change of changes) {
    if (lengthOf(change) <= LARGE_CHANGE_BYTES) {
      sent.push(change);
      continue;
    }
    const content = await put(encodeChange(change));
    blobs.push(content);
    sent.push({ kind: "large-change", entity: change.entity, content });
  }
  return { changes: sent, blobs };
}

export interface WholeItem {
  readonly item: ChangeItem;
  /** Why a large change is not in the item; null: all are. */
  readonly refusal: { readonly code: ErrorCode; readonly text: string } | null;
}

/** Puts large changes back in their places. `read` gives null for a content that is not there or is larger than `bytesMax`. */
export async function bringBackLarge(
  { changes, unknown, ...item }: SentItem,
  read: (content: BlobRef, bytesMax: number) => Promise<Uint8Array | null>,
): Promise<WholeItem> {
  const whole: Change[] = [];
  let unknownLarge = 0;
  let refusal: WholeItem["refusal"] = null;
  for (const change of changes) {
    if (change.kind !== "large-change") {
      whole.push(change);
      continue;
    }
    const { content } = change;
    try {
      const bytes = await read(content, CHANGE_BYTES_MAX);
      const decoded = bytes === null ? null : decodeChange(bytes);
      if (bytes === null) refusal ??= missing(content);
      else if (decoded === null) unknownLarge += 1;
      else whole.push(decoded);
    } catch (thrown) {
      if (!(thrown instanceof AppError) || thrown.code !== "PROTOCOL_ERROR") throw thrown;
      refusal ??= { code: "INVALID_PAYLOAD", text: thrown.message };
    }
  }
  return { item: { ...item, changes: whole, unknown: unknown + unknownLarge }, refusal };
}

function missing({ sha256, bytes }: BlobRef): { readonly code: ErrorCode; readonly text: string } {
  if (bytes > CHANGE_BYTES_MAX)
    return { code: "PAYLOAD_TOO_LARGE", text: `A change of ${bytes} bytes exceeds the limit of ${CHANGE_BYTES_MAX}` };
  return { code: "CONTENT_MISSING", text: `Content ${sha256} of ${bytes} bytes is not here whole` };
}

/** About the bytes of what may be long. */
function lengthOf(change: Change): number {
  switch (change.kind) {
    case "entity-saved":
    case "user-saved":
    case "alarm-saved":
    case "alarm-comment-saved":
    case "relation-saved":
    case "rpc-saved":
    case "backfill-saved":
      return change.body.length;
    case "attributes-saved":
      return change.attributes.reduce((sum, { value }) => sum + value.length, 0);
    case "entity-removed":
    case "entity-wanted":
    case "attributes-deleted":
    case "credentials-saved":
    case "telemetry-gap":
    case "alarm-removed":
      return 0;
  }
}
