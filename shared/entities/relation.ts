import * as z from "zod";
import type { EntityRef } from "./change.ts";
import type { Json } from "./entity-record.ts";
import { entityIdSchema, jsonInput, nameInput } from "./fields.ts";
import { idText, parsePeerJson, shortText, timeMs } from "./peer-json.ts";
import { refInput } from "./refs.ts";

// A directed relation between two entities of any kind. It has no id: its ends, type and group are its name. Both sides may make, change
// and remove it: the newest stays, and of two of one time the removal.

export const RELATION_GROUPS = [
  "COMMON",
  "DASHBOARD",
  "RULE_CHAIN",
  "RULE_NODE",
  "EDGE",
  "EDGE_AUTO_ASSIGN_RULE_CHAIN",
] as const;
export type RelationGroup = (typeof RELATION_GROUPS)[number];

export interface RelationKey {
  readonly from: EntityRef;
  readonly to: EntityRef;
  readonly type: string;
  readonly typeGroup: RelationGroup;
}

export interface RelationRecord extends RelationKey {
  readonly additionalInfo: Json;
  /** A removed one is remembered for some time, so that an older word of the other side does not bring it back. */
  readonly isRemoved: boolean;
  readonly updatedMs: number;
}

/** What both sides know of one relation. Commutative, associative and idempotent. */
export function mergeRelations(one: RelationRecord, other: RelationRecord): RelationRecord {
  if (one.updatedMs !== other.updatedMs) return one.updatedMs > other.updatedMs ? one : other;
  if (one.isRemoved !== other.isRemoved) return one.isRemoved ? one : other;
  return JSON.stringify(one.additionalInfo) >= JSON.stringify(other.additionalInfo) ? one : other;
}

/** The record as JSON, with its fields in one order. */
export function relationBody(record: RelationRecord): string {
  const { from, to, type, typeGroup, additionalInfo, isRemoved, updatedMs } = record;
  const ends = { from: { type: from.type, id: from.id }, to: { type: to.type, id: to.id } };
  return JSON.stringify({ ...ends, type, typeGroup, additionalInfo, isRemoved, updatedMs });
}

const refText = z.object({ type: shortText, id: idText });

const relationRecordSchema: z.ZodType<RelationRecord> = z.object({
  from: refText,
  to: refText,
  type: shortText.min(1),
  typeGroup: z.enum(RELATION_GROUPS),
  // Out of JSON.parse; kept without a look inside.
  additionalInfo: z.unknown().transform((info) => (info ?? null) as Json),
  isRemoved: z.boolean(),
  updatedMs: timeMs,
});

/** The record in the body of a RelationSaved. @throws AppError INVALID_ARGUMENT that names the field */
export function parseRelationRecord(text: string): RelationRecord {
  return parsePeerJson(text, { what: "a relation", schema: relationRecordSchema });
}

/** The name under which the REST convention lists a change of a relation. */
export function relationAction({ body }: { readonly body: string }): "RELATION_ADD_OR_UPDATE" | "RELATION_DELETED" {
  return parseRelationRecord(body).isRemoved ? "RELATION_DELETED" : "RELATION_ADD_OR_UPDATE";
}

/** Absent or unknown: COMMON. */
export function relationGroup(text: string | null | undefined): RelationGroup {
  return RELATION_GROUPS.find((group) => group === text) ?? "COMMON";
}

export const relationInput = z
  .object({
    from: refInput("Relation from should be specified!"),
    to: refInput("Relation to should be specified!"),
    type: nameInput("Relation", "type"),
    typeGroup: z.string().nullish().transform(relationGroup),
    additionalInfo: jsonInput.nullish(),
  })
  .meta({ id: "EntityRelationInput" });

export type RelationInput = z.output<typeof relationInput>;

export const relationSchema = z
  .object({
    from: entityIdSchema,
    to: entityIdSchema,
    type: z.string(),
    typeGroup: z.enum(RELATION_GROUPS),
    version: z.int(),
    additionalInfo: z.unknown(),
  })
  .meta({ id: "EntityRelation" });

export const relationInfoSchema = relationSchema
  .extend({ fromName: z.string().nullable(), toName: z.string().nullable() })
  .meta({ id: "EntityRelationInfo" });

/** A relation with the version that it has on this side. */
export interface StoredRelation extends RelationRecord {
  readonly version: number;
}

export function relationToRest(relation: StoredRelation): z.input<typeof relationSchema> {
  const { from, to, type, typeGroup, additionalInfo, version } = relation;
  return {
    from: { entityType: from.type, id: from.id },
    to: { entityType: to.type, id: to.id },
    type,
    typeGroup,
    version,
    additionalInfo,
  };
}
