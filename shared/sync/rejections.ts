import type { Ack, Batch, Rejection } from "./frames.ts";
import type { Lane } from "./lanes.ts";

// What a receiver refused for good. It stores every rejection with the watermark that passes the item, and forgets it only when the
// sender's cursor is beyond: an ack that got lost is said again behind the handshake.

/** No ack carries more rejections; the rest follows in further acks. */
export const REJECTIONS_PER_ACK_MAX = 500;
/** Longer texts are cut. */
export const REJECTION_TEXT_MAX = 300;
export const REJECTION_CODE_MAX = 64;

/** As a receiver stores and sends it. */
export function createRejection(
  seq: number,
  { code, text }: { readonly code: string; readonly text: string },
  version: string,
): Rejection {
  // PostgreSQL takes no NUL in a text, and a lone half of a surrogate pair does not survive the wire.
  const storable = text.replaceAll("\0", " ").slice(0, REJECTION_TEXT_MAX).toWellFormed();
  return { seq, code: code.slice(0, REJECTION_CODE_MAX), text: storable, version };
}

/** For a batch whose bytes don't say what its items are: all of them. */
export function createBatchRejections(
  { count, firstSeq }: Pick<Batch, "firstSeq" | "count">,
  text: string,
  version: string,
): readonly Rejection[] {
  return Array.from({ length: count }, (_, index) =>
    createRejection(firstSeq + index, { code: "ITEM_UNREADABLE", text }, version),
  );
}

export interface AckedRange {
  readonly lane: Lane;
  /** The last sequence committed. */
  readonly upTo: number;
  /** In order, none above `upTo`. */
  readonly rejections: readonly Rejection[];
}

/** One ack, or several when there are many rejections. Each names only sequences whose rejections it or one before it carries. */
export function createAcks({ lane, upTo, rejections }: AckedRange, perAckMax = REJECTIONS_PER_ACK_MAX): readonly Ack[] {
  const acks: Ack[] = [];
  for (let start = 0; start < rejections.length; start += perAckMax) {
    const page = rejections.slice(start, start + perAckMax);
    acks.push({ type: "ack", lane, seq: page.at(-1)?.seq ?? upTo, rejections: page });
  }
  const last = acks.pop();
  return [...acks, { type: "ack", lane, seq: upTo, rejections: last?.rejections ?? [] }];
}

/** The acks that a sender, who knows of everything up to `ackedSeq`, has missed; none when it knows all. */
export function createMissedAcks(
  range: AckedRange & { readonly ackedSeq: number },
  perAckMax?: number,
): readonly Ack[] {
  return range.ackedSeq < range.upTo ? createAcks(range, perAckMax) : [];
}
