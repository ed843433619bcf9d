import * as z from "zod";
import { isUuid, NULL_UUID, type Uuid } from "../core/ids.ts";
import type { Json } from "./entity-record.ts";
import type { EntityType } from "./entity-types.ts";

// The parts that the REST forms of all entity types share: ids, names, free JSON. The texts are those of the public REST convention.

export const TEXT_LENGTH_MAX = 255;

/** An id as the REST convention writes it. */
export interface RestId {
  readonly entityType: string;
  readonly id: Uuid;
}

export function restId(entityType: EntityType, id: Uuid): RestId {
  return { entityType, id };
}

/** An id that may be missing; of types, too, that are no entities of this program. */
export function optionalRestId(entityType: string, id: unknown): RestId | null {
  return typeof id === "string" && isUuid(id) ? { entityType, id } : null;
}

/** "No customer" is the null uuid, not null. */
export function restCustomerId(customerId: Uuid | null): RestId {
  return restId("CUSTOMER", customerId ?? NULL_UUID);
}

export const entityIdSchema = z
  .object({ entityType: z.string(), id: z.uuid() })
  .meta({ id: "EntityId", description: "An id with the kind of entity that it names" });

/** A typed id field of a request: only `id` is looked at. The null uuid stays what it is. */
export const idInput = z
  .object({
    id: z
      .string({ error: "Incorrect id: a uuid is expected" })
      .refine(isUuid, { error: (issue) => `Invalid UUID string: ${String(issue.input).slice(0, 64)}` }),
  })
  .transform(({ id }) => id.toLowerCase() as Uuid);

/** A name or title: `kind` begins the text for a missing one, e.g. `Device name should be specified!`. */
export function nameInput(kind: string, field = "name"): z.ZodType<string> {
  const missing = `${kind} ${field} should be specified!`;
  return checkText(z.string({ error: missing }), field).refine((text) => text.trim() !== "", { error: missing });
}

/** An optional text such as a type or label. */
export function textInput(field: string): z.ZodType<string> {
  return checkText(z.string({ error: `Validation error: ${field} must be a text` }), field);
}

function checkText(schema: z.ZodString, field: string): z.ZodString {
  return schema
    .max(TEXT_LENGTH_MAX, {
      error: `Validation error: ${field} length must be equal or less than ${TEXT_LENGTH_MAX}`,
    })
    .refine((text) => !text.includes("\0"), { error: `Validation error: ${field} should not contain 0x00 symbol` })
    .refine((text) => !MARKUP.test(text), { error: `Validation error: ${field} is malformed` });
}

/** The begin of a tag, a comment or an end tag: what a browser would take as HTML. */
const MARKUP = /<[a-z!/?]/i;

export const versionInput = z
  .int({ error: "Validation error: version must be a whole number" })
  .meta({ description: "The version that was read; another one stored answers 409. Absent: overwrite" });

/** Free JSON, kept as it was sent; 0x00 inside is refused because PostgreSQL can't keep it in jsonb and clients never mean it. */
export const jsonObjectInput = z
  .record(z.string(), z.unknown(), { error: "Validation error: an object is expected" })
  // What JSON.parse made is Json; zod has no cheaper words for it than checking it all again.
  .transform((value) => value as { readonly [key: string]: Json });

/** Any JSON, kept as it was sent. */
export const jsonInput = z
  .unknown()
  // What JSON.parse made is Json.
  .transform((value) => value as Json);

/** What a page of `item` looks like. */
export function pageSchema<T extends z.ZodType>(item: T) {
  return z.object({ data: z.array(item), totalPages: z.int(), totalElements: z.int(), hasNext: z.boolean() });
}

/** For what only some entities have: keys without a value are not stored. */
export function withoutNulls(body: { readonly [key: string]: Json | undefined }): { readonly [key: string]: Json } {
  return Object.fromEntries(
    Object.entries(body).filter((entry): entry is [string, Json] => entry[1] !== undefined && entry[1] !== null),
  );
}
