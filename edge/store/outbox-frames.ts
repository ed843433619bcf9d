import type { BlobRef } from "../../shared/core/blob-ref.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { concatColumns, recordsBetween } from "../../shared/entities/telemetry-columns.ts";
import type { OutgoingBatch, WantedLoad } from "../../shared/sync/sender.ts";
import { decodeItems } from "../../shared/wire/changes-codec.ts";
import type { Compressed } from "../../shared/wire/compression.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry, encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { tryDecode } from "../../shared/wire/try-decode.ts";

// Rows of the outbox as frames: small ones joined, large ones cut, none much larger than the link takes in a part of a second.

export interface OutboxRow extends Compressed {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly configSeq: number;
}

/** Small rows are sent together up to about this many records. */
const JOINED_ROW_ITEMS = 1_024;

/** Rows as they are stored, small ones joined, or the parts of them that the range asks for. */
export function telemetryBatches(rows: readonly OutboxRow[], request: WantedLoad): readonly OutgoingBatch[] {
  const batches: OutgoingBatch[] = [];
  let bytes = 0;
  for (const row of joinSmallRows(rows, request)) {
    for (const batch of splitRow(row, request)) {
      batches.push(batch);
      bytes += batch.payload.length;
      // A row of many frames is not cut further than is sent now.
      if (bytes >= request.bytesMax) return batches;
    }
  }
  return batches;
}

/**
 * Encoded items can be joined end to end, so that one frame carries many rows. One that waits for its contents holds up none before it, and one
 * that can't be read any more takes no other with it.
 */
export function configBatches(
  rows: readonly OutboxRow[],
  blobs: ReadonlyMap<number, readonly BlobRef[]>,
  { itemsMax, frameBytesMax }: WantedLoad,
): readonly OutgoingBatch[] {
  const batches: OutgoingBatch[] = [];
  let joined: OutboxRow[] = [];
  let bytes = 0;
  for (const row of rows.slice(0, itemsMax)) {
    const named = blobs.get(row.firstSeq);
    const { isReadable } = tryDecode(() => decodeItems(decompress(row), 1));
    if (joined.length > 0 && (named !== undefined || !isReadable || bytes + row.payload.length > frameBytesMax)) {
      batches.push(configBatch(joined));
      joined = [];
      bytes = 0;
    }
    if (!isReadable) {
      const { compression, firstSeq, payload } = row;
      batches.push({ type: "batch", lane: "config", firstSeq, count: 1, configSeq: 0, compression, payload });
      continue;
    }
    if (named !== undefined) {
      batches.push({ ...configBatch([row]), blobs: named });
      continue;
    }
    joined.push(row);
    bytes += row.payload.length;
  }
  if (joined.length > 0) batches.push(configBatch(joined));
  return batches;
}

/** A frame costs both ends as much as some hundred records: rows of small commits share one. Rows that follow each other only. */
function joinSmallRows(
  rows: readonly OutboxRow[],
  { afterSeq, upToSeq, frameBytesMax }: WantedLoad,
): readonly OutboxRow[] {
  const joined: OutboxRow[] = [];
  let small: OutboxRow[] = [];
  let bytes = 0;
  const flush = (): void => {
    const [first] = small;
    const last = small.at(-1);
    if (first !== undefined && last !== undefined)
      joined.push(...(small.length === 1 ? [first] : joinRows(small, last)));
    small = [];
    bytes = 0;
  };
  for (const row of rows) {
    const start = small[0]?.firstSeq ?? row.firstSeq;
    const follows = row.firstSeq === (small.at(-1)?.lastSeq ?? 0) + 1;
    if (!follows || row.lastSeq - start >= JOINED_ROW_ITEMS || bytes + row.payload.length > frameBytesMax) flush();
    // What the peer has a part of already is cut to its rest.
    if (row.compression === "none" && row.firstSeq > afterSeq && row.lastSeq <= upToSeq) {
      small.push(row);
      bytes += row.payload.length;
    } else {
      flush();
      joined.push(row);
    }
  }
  flush();
  return joined;
}

/** One that can't be read any more goes as it is, for the cloud to refuse it, and no other with it. */
function joinRows(rows: readonly OutboxRow[], last: OutboxRow): readonly OutboxRow[] {
  const [first = last] = rows;
  const columns = tryDecode(() => concatColumns(rows.map(openTelemetry)));
  if (!columns.isReadable) return rows;
  const { firstSeq } = first;
  const { lastSeq, configSeq } = last;
  return [{ firstSeq, lastSeq, configSeq, ...compress(encodeTelemetry(columns.content)) }];
}

/** @throws AppError PROTOCOL_ERROR when the bytes are not those that were stored */
export function openTelemetry(row: Pick<OutboxRow, "firstSeq" | "lastSeq" | keyof Compressed>): TelemetryColumns {
  return decodeTelemetry(decompress(row), row.lastSeq - row.firstSeq + 1);
}

function* splitRow(row: OutboxRow, { afterSeq, upToSeq, frameBytesMax }: WantedLoad): Iterable<OutgoingBatch> {
  const { configSeq, compression, payload } = row;
  const firstSeq = Math.max(row.firstSeq, afterSeq + 1);
  const lastSeq = Math.min(row.lastSeq, upToSeq);
  const rowItems = row.lastSeq - row.firstSeq + 1;
  const count = lastSeq - firstSeq + 1;
  const asItIs = { type: "batch", lane: "telemetry", firstSeq, count, configSeq, compression, payload } as const;
  const isSentAsItIs = count === rowItems && (payload.length <= frameBytesMax || count === 1);
  const opened = isSentAsItIs ? null : tryDecode(() => openTelemetry(row));
  if (opened?.isReadable !== true) {
    yield asItIs;
    return;
  }
  const columns = opened.content;
  const partItems = Math.max(1, Math.floor((rowItems * frameBytesMax) / payload.length));
  for (let first = firstSeq; first <= lastSeq; first += partItems) {
    const items = Math.min(partItems, lastSeq - first + 1);
    const part = compress(encodeTelemetry(recordsBetween(columns, { skipped: first - row.firstSeq, count: items })));
    yield { type: "batch", lane: "telemetry", firstSeq: first, count: items, configSeq, ...part };
  }
}

function configBatch(rows: readonly OutboxRow[]): OutgoingBatch {
  const parts = rows.map(decompress);
  const items = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    items.set(part, offset);
    offset += part.length;
  }
  const firstSeq = rows[0]?.firstSeq ?? 0;
  return { type: "batch", lane: "config", firstSeq, count: rows.length, configSeq: 0, ...compress(items) };
}
