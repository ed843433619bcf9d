import { AppError } from "../../shared/core/errors.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { positionOfSeq } from "../../shared/entities/telemetry-columns.ts";
import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import type { Rejection } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { decodeItems, encodeItems } from "../../shared/wire/changes-codec.ts";
import type { Compressed } from "../../shared/wire/compression.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry, encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { tryDecode } from "../../shared/wire/try-decode.ts";

/** Columns times rows stay far below what one statement takes. */
const ROWS_PER_INSERT = 1_000;

/**
 * Copies what the cloud refused out of the outbox, so that it stays when the outbox is pruned. What was parked before stays as it
 * is: rejections are told again when an acknowledgement is lost.
 */
export async function parkItems(
  tx: TransactionSql,
  lane: UplinkLane,
  { rejections, nowMs }: { readonly rejections: readonly Rejection[]; readonly nowMs: number },
): Promise<void> {
  const ordered = rejections.toSorted((left, right) => left.seq - right.seq);
  const parkedMs = Math.round(nowMs);
  for (let start = 0; start < ordered.length; start += ROWS_PER_INSERT) {
    const part = ordered.slice(start, start + ROWS_PER_INSERT);
    const payloads = await readItems(
      tx,
      lane,
      part.map(({ seq }) => seq),
    );
    const rows = part.map(({ seq, code, text, version }) => ({
      lane,
      seq,
      code,
      reason: text,
      refused_by: version,
      parked_ms: parkedMs,
      payload: payloads.get(seq) ?? new Uint8Array(),
    }));
    await tx`insert into parked_item ${tx(rows)} on conflict do nothing`;
  }
}

interface Row extends Compressed {
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** Each item alone, uncompressed. Those that are no longer in the outbox are left out. */
export async function readItems(
  tx: Sql | TransactionSql,
  lane: UplinkLane,
  seqs: readonly number[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  const payloads = new Map<number, Uint8Array>();
  let row: Row | undefined;
  let extract: ((offset: number) => Uint8Array | null) | undefined;
  for (const seq of seqs) {
    if (row === undefined || seq > row.lastSeq) {
      [row] = await tx<Row[]>`
        select first_seq as "firstSeq", last_seq as "lastSeq", compression, payload from cloud_event
        where lane = ${lane} and first_seq <= ${seq} order by first_seq desc limit 1`;
      extract = row === undefined || row.lastSeq < seq ? undefined : extractor(lane, row);
    }
    const payload = row === undefined ? null : (extract?.(seq - row.firstSeq) ?? null);
    if (payload !== null) payloads.set(seq, payload);
  }
  return payloads;
}

/** Opens a row once, for all that is taken out of it; null for a record that was removed to make room, and for all of a row that can't be read. */
function extractor(lane: UplinkLane, row: Row): (offset: number) => Uint8Array | null {
  const opened = tryDecode(() => openRow(lane, row));
  return opened.isReadable ? opened.content : () => null;
}

function openRow(lane: UplinkLane, row: Row): (offset: number) => Uint8Array | null {
  const bytes = decompress(row);
  const count = row.lastSeq - row.firstSeq + 1;
  if (lane === "telemetry") {
    const columns = decodeTelemetry(bytes, count);
    const lines = columns.values.split("\n");
    return (offset) => {
      const position = positionOfSeq(columns, offset);
      return position === -1 ? null : encodeTelemetry(recordAt(columns, lines, position));
    };
  }
  const items = decodeItems(bytes, count);
  return (position) => encodeItems(items.slice(position, position + 1));
}

/** Like selectRecords of one position, without splitting the values again for each record. */
function recordAt(columns: TelemetryColumns, lines: readonly string[], position: number): TelemetryColumns {
  const entityId = columns.entityIds[columns.entityIndex[position] ?? -1];
  const values = lines[position];
  const tsMs = columns.tsMs[position];
  if (entityId === undefined || values === undefined || tsMs === undefined)
    throw new AppError("INTERNAL", `A record batch of ${columns.tsMs.length} records has none at ${position}`);
  return { entityIds: [entityId], entityIndex: [0], tsMs: [tsMs], keySet: [0], values };
}
