import type { BlobRef } from "../core/blob-ref.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { uuidFromBytes, uuidToBytes } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";

// What a peer sends is its fault when it is wrong: PROTOCOL_ERROR, whatever the part that finds it would say.

/** @throws AppError PROTOCOL_ERROR unless there are 16 bytes */
export function uuidFromWire(bytes: Uint8Array): Uuid {
  if (bytes.length !== 16) throw new AppError("PROTOCOL_ERROR", `A uuid has 16 bytes, got ${bytes.length}`);
  return uuidFromBytes(bytes);
}

/** No bytes stand for none. */
export function uuidBytesOrNone(uuid: Uuid | null | undefined): Uint8Array<ArrayBuffer> {
  return uuid === null || uuid === undefined ? new Uint8Array() : uuidToBytes(uuid);
}

/** @throws AppError PROTOCOL_ERROR unless there are 16 bytes or none */
export function uuidFromBytesOrNone(bytes: Uint8Array): Uuid | null {
  return bytes.length === 0 ? null : uuidFromWire(bytes);
}

/** @throws AppError PROTOCOL_ERROR when there is none or its id is malformed */
export function refFrom(message: { readonly type: string; readonly id: Uint8Array } | undefined): EntityRef {
  if (message === undefined) throw new AppError("PROTOCOL_ERROR", "A change names no entity");
  return { type: message.type, id: uuidFromWire(message.id) };
}

export function refToWire({ type, id }: EntityRef): { readonly type: string; readonly id: Uint8Array<ArrayBuffer> } {
  return { type, id: uuidToBytes(id) };
}

/** @throws AppError PROTOCOL_ERROR unless there are 32 bytes */
export function sha256FromWire(bytes: Uint8Array): string {
  if (bytes.length !== 32) throw new AppError("PROTOCOL_ERROR", `A SHA-256 has 32 bytes, got ${bytes.length}`);
  return bytes.toHex();
}

/** @throws AppError PROTOCOL_ERROR when there is none or it is malformed */
export function blobFromWire(message: { readonly sha256: Uint8Array; readonly bytes: bigint } | undefined): BlobRef {
  if (message === undefined) throw new AppError("PROTOCOL_ERROR", "A content is not named");
  return { sha256: sha256FromWire(message.sha256), bytes: numberFromWire(message.bytes) };
}

/** @throws AppError PROTOCOL_ERROR when the number can't be held exactly */
export function numberFromWire(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new AppError("PROTOCOL_ERROR", "Number exceeds 2^53");
  return number;
}
