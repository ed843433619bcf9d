import type { Clock } from "./clock.ts";
import { AppError } from "./errors.ts";
import type { Random } from "./random.ts";

/** A lower-case UUID in text form. */
export type Uuid = string & { readonly __brand: "Uuid" };

/** "No customer", and "system" as a tenant: the null uuid of the public REST convention. */
export const NULL_UUID = "13814000-1dd2-11b2-8080-808080808080" as Uuid;

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): text is Uuid {
  return UUID_PATTERN.test(text);
}

/** @throws AppError INVALID_ARGUMENT when `text` is not a uuid */
export function parseUuid(text: string, field = "id"): Uuid {
  if (!isUuid(text)) {
    throw new AppError("INVALID_ARGUMENT", `Invalid UUID string: ${text.slice(0, 64)}`, { field });
  }
  return text.toLowerCase() as Uuid;
}

/** A version 7 uuid (RFC 9562): ordered by time, so that index pages fill one after the other. */
export function createUuid(clock: Pick<Clock, "nowMs">, random: Random): Uuid {
  const bytes = random.bytes(16);
  let timeMs = clock.nowMs();
  for (let index = 5; index >= 0; index -= 1) {
    bytes[index] = timeMs % 256;
    timeMs = Math.floor(timeMs / 256);
  }
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return uuidFromBytes(bytes);
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** 16 bytes as uuid text. */
export function uuidFromBytes(bytes: Uint8Array): Uuid {
  if (bytes.length !== 16) {
    throw new AppError("INVALID_ARGUMENT", `A uuid has 16 bytes, got ${bytes.length}`);
  }
  let text = "";
  for (let index = 0; index < 16; index += 1) {
    text += HEX[bytes[index] ?? 0] ?? "";
    if (index === 3 || index === 5 || index === 7 || index === 9) text += "-";
  }
  return text as Uuid;
}

/** Uuid text as 16 bytes. */
export function uuidToBytes(uuid: Uuid): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  let position = 0;
  for (let index = 0; index < 16; index += 1) {
    if (index === 4 || index === 6 || index === 8 || index === 10) position += 1;
    bytes[index] = hexDigit(uuid.charCodeAt(position)) * 16 + hexDigit(uuid.charCodeAt(position + 1));
    position += 2;
  }
  return bytes;
}

/** Of 0-9 and a-f as a character code; a Uuid has no other digits. */
function hexDigit(code: number): number {
  return code <= 57 ? code - 48 : code - 87;
}
