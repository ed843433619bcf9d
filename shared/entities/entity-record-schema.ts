import * as z from "zod";
import type { EntityRecord, Json } from "./entity-record.ts";
import { KIND_TYPES } from "./entity-types.ts";
import { idText, parsePeerJson, shortText, timeMs } from "./peer-json.ts";

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
  return parsePeerJson(text, { what: "an entity", schema: entityRecordSchema });
}
