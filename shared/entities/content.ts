import type { BlobRef } from "../core/blob-ref.ts";
import type { EntityRecord } from "./entity-record.ts";

/** Kinds whose body may name a file by `sha256` and `dataSize`. */
export const CONTENT_TYPES: readonly string[] = ["OTA_PACKAGE", "TB_RESOURCE"];

/** The file of a record that has one. */
export function contentOf({ body }: Pick<EntityRecord, "body">): BlobRef | null {
  const { sha256, dataSize } = body;
  return typeof sha256 === "string" && typeof dataSize === "number" ? { sha256, bytes: dataSize } : null;
}
