import { AppError } from "../core/errors.ts";

export type Decoded<T> =
  | { readonly isReadable: true; readonly content: T }
  /** Why not, for people. */
  | { readonly isReadable: false; readonly reason: string };

/** What `decode` makes of bytes that were stored for long: a fault of a disk is no reason to stop what comes after them. */
export function tryDecode<T>(decode: () => T): Decoded<T> {
  try {
    return { isReadable: true, content: decode() };
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== "PROTOCOL_ERROR") throw thrown;
    return { isReadable: false, reason: thrown.message };
  }
}
