import { AppError } from "../../core/errors.ts";
import type { ChainMessage } from "./message.ts";

// Messages that a node keeps. What a node remembers is written whole with each commit that changes it, so it must stay small.

/** Characters of all messages that a node keeps. */
const KEPT_LENGTH_MAX = 1024 * 1024;
/** Ids, the time, and names of members. */
const FRAME_LENGTH = 200;
const CALLER_LENGTH = 100;

/** About as many characters as it has where it is kept. */
export function lengthOf({ callers, data, metadata, type }: ChainMessage): number {
  let length = FRAME_LENGTH + type.length + data.length + callers.length * CALLER_LENGTH;
  for (const [key, value] of Object.entries(metadata)) length += key.length + value.length;
  return length;
}

/** @throws AppError TOO_MANY_REQUESTS */
export function checkKept(length: number): void {
  if (length > KEPT_LENGTH_MAX)
    throw new AppError("TOO_MANY_REQUESTS", `Messages of more than ${KEPT_LENGTH_MAX} characters wait here`);
}
