import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import { KIND_TYPES } from "./entity-types.ts";
import { TEXT_LENGTH_MAX } from "./fields.ts";

// Records as the other side sends them. They were valid there; they are checked all the same, because a peer may be newer, older or broken.

const idText = z.uuid().transform((text) => text.toLowerCase() as Uuid);
const shortText = z
  .string()
  .max(TEXT_LENGTH_MAX)
  .refine((text) => !text.includes("\0"), { error: "0x00 is not allowed" });
const timeMs = z.int().min(0);

const entityRecordSchema = z.object({
  entityType: z.enum(KIND_TYPES),
  id: idText,
  tenantId: idText,
  customerId: idText.nullable(),
  name: shortText.min(1),
  subtype: shortText.nullable(),
  label: shortText.nullable(),
  profileId: idText.nullable(),
  version: z.int().min(1),
  createdMs: timeMs,
  // Out of JSON.parse; kept without a look inside.
  body: z.record(z.string(), z.unknown()).transform((body) => body as { readonly [key: string]: Json }),
  content: z.string().exactOptional(),
});

/** The record in the body of an EntitySaved. @throws AppError INVALID_ARGUMENT that names the field */
export function parseEntityRecord(text: string): EntityRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new AppError("INVALID_ARGUMENT", "Can't read an entity: its body is not JSON", { cause: error });
  }
  const parsed = entityRecordSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new AppError("INVALID_ARGUMENT", `Can't read an entity: ${field}: ${issue?.message ?? "invalid"}`, { field });
}
