import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AppError } from "../core/errors.ts";
import { uuidToBytes } from "../core/ids.ts";
import type { TelemetryColumns } from "../entities/telemetry-columns.ts";
import { uuidFromWire } from "./checked.ts";
import { TelemetryRecordsSchema } from "./gen/skerry/sync/v1/sync_pb.ts";

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
  });
  return toBinary(TelemetryRecordsSchema, message);
}

/** @throws AppError PROTOCOL_ERROR when the columns do not fit each other or hold anything else than `count` records */
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
    countLines(message.values),
  ];
  if (lengths.some((length) => length !== count)) {
    throw new AppError(
      "PROTOCOL_ERROR",
      `Telemetry batch has columns of ${lengths.join(", ")} records, expected ${count}`,
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
  return { entityIds, entityIndex: message.entityIndex, tsMs, keySet: message.keySet, values: message.values };
}

function countLines(text: string): number {
  let count = 1;
  for (let position = text.indexOf("\n"); position !== -1; position = text.indexOf("\n", position + 1)) count += 1;
  return count;
}
