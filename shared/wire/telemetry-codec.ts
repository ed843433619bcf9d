import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AppError } from "../core/errors.ts";
import { uuidToBytes } from "../core/ids.ts";
import type { SparseSeqs, TelemetryColumns } from "../entities/telemetry-columns.ts";
import { uuidFromWire } from "./checked.ts";
import { type TelemetryRecords, TelemetryRecordsSchema } from "./gen/skerry/sync/v1/sync_pb.ts";

export function encodeTelemetry(columns: TelemetryColumns): Uint8Array {
  let before = 0;
  const tsDeltaMs = columns.tsMs.map((tsMs) => {
    const delta = BigInt(tsMs - before);
    before = tsMs;
    return delta;
  });
  const message = create(TelemetryRecordsSchema, {
    entityIds: columns.entityIds.map(uuidToBytes),
    entityIndex: [...columns.entityIndex],
    tsDeltaMs,
    keySet: [...columns.keySet],
    values: columns.values,
    ...(columns.sparse === undefined ? {} : skippedSeqs(columns.sparse)),
  });
  return toBinary(TelemetryRecordsSchema, message);
}

function skippedSeqs({ count, offsets }: SparseSeqs): { readonly seqCount: number; readonly seqSkipped: number[] } {
  return { seqCount: count, seqSkipped: offsets.map((offset, index) => offset - (offsets[index - 1] ?? -1) - 1) };
}

/**
 * @param count sequence numbers of the batch: as many as records, unless some were removed
 * @throws AppError PROTOCOL_ERROR when the columns do not fit each other or stand for anything else than `count` numbers
 */
export function decodeTelemetry(bytes: Uint8Array, count: number): TelemetryColumns {
  let message;
  try {
    message = fromBinary(TelemetryRecordsSchema, bytes);
  } catch (error) {
    throw new AppError("PROTOCOL_ERROR", "Telemetry batch is not a TelemetryRecords message", { cause: error });
  }
  const lengths = [
    message.entityIndex.length,
    message.tsDeltaMs.length,
    message.keySet.length,
    message.entityIndex.length === 0 && message.values === "" ? 0 : countLines(message.values),
  ];
  const sparse = message.seqCount === 0 ? undefined : sparseFrom(message, count);
  const expected = sparse?.offsets.length ?? count;
  if (lengths.some((length) => length !== expected)) {
    throw new AppError(
      "PROTOCOL_ERROR",
      `Telemetry batch has columns of ${lengths.join(", ")} records, expected ${expected}`,
    );
  }
  if (message.entityIndex.some((index) => index >= message.entityIds.length)) {
    throw new AppError("PROTOCOL_ERROR", "Telemetry batch names an entity that it does not list");
  }
  let before = 0;
  let isExact = true;
  const tsMs = message.tsDeltaMs.map((delta) => {
    before += Number(delta);
    isExact &&= Number.isSafeInteger(before);
    return before;
  });
  if (!isExact) throw new AppError("PROTOCOL_ERROR", "Telemetry batch holds a time beyond 2^53 ms");
  const entityIds = message.entityIds.map(uuidFromWire);
  const { entityIndex, keySet, values } = message;
  return { entityIds, entityIndex, tsMs, keySet, values, ...(sparse === undefined ? {} : { sparse }) };
}

function sparseFrom({ seqCount, seqSkipped }: TelemetryRecords, count: number): SparseSeqs {
  let offset = -1;
  const offsets = seqSkipped.map((skipped) => (offset += skipped + 1));
  if (seqCount !== count || offset >= count) {
    throw new AppError(
      "PROTOCOL_ERROR",
      `Telemetry batch stands for ${Math.max(seqCount, offset + 1)} numbers, expected ${count}`,
    );
  }
  return { count, offsets };
}

function countLines(text: string): number {
  let count = 1;
  for (let position = text.indexOf("\n"); position !== -1; position = text.indexOf("\n", position + 1)) count += 1;
  return count;
}
