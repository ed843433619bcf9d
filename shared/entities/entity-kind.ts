import type * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import type { KindType } from "./entity-types.ts";

// What a kind of entity is, said once: stores, sync and digests are written over EntityKind, REST over EntityForm.

export type ProfileType = "DEVICE_PROFILE" | "ASSET_PROFILE";

/** An entity that a record needs. */
export interface Reference {
  readonly type: KindType;
  readonly id: Uuid;
}

/** What stores and sync know of a kind. */
export interface EntityKind {
  readonly type: KindType;
  /** For people, as a text begins with it: `Device profile`. */
  readonly title: string;
  /** In paths and parameters of REST: `deviceProfile`; many of them: with an s. */
  readonly word: string;
  /** What its name is called. */
  readonly nameField: "name" | "title";
  /** Whether a tenant has one of each name; the index entity_unique_name is made from it. */
  readonly hasUniqueName: boolean;
  /** Whether people assign it to edges one by one. What they don't goes where something needs it. */
  readonly isAssignable: boolean;
  /** Whether an edge may make, change and delete it. */
  readonly isMadeOnEdges: boolean;
  /** The kind that `profileId` names; null: it has no profile. */
  readonly profileType: ProfileType | null;
  /** Whether users of this customer may read it. */
  readonly isSeenBy: (record: EntityRecord, customerId: Uuid) => boolean;
  /**
   * What the record needs beside its profile and its customer: it goes to every edge on which the record is, leaves with the last that
   * needs it, and can't be deleted before.
   */
  readonly references: (record: Pick<EntityRecord, "body" | "content">) => readonly Reference[];
}

/** References that fields of a body are: the type of each by its name. */
export function bodyReferences(
  { body }: Pick<EntityRecord, "body">,
  fields: Readonly<Record<string, KindType>>,
): readonly Reference[] {
  return Object.entries(fields).flatMap(([field, type]) => {
    const id = body[field];
    return typeof id === "string" && isUuid(id) ? [{ type, id }] : [];
  });
}

/** What a device, or all with a profile, is to run. */
export const OTA_REFERENCES = { firmwareId: "OTA_PACKAGE", softwareId: "OTA_PACKAGE" } as const;

/** Users of a customer see what it has. */
export function isOwnedBy(record: EntityRecord, customerId: Uuid): boolean {
  return record.customerId === customerId;
}

/** What every input has. */
export interface EntityInput {
  readonly id?: Uuid | null | undefined;
  readonly version?: number | null | undefined;
  /** The null uuid: none. */
  readonly customerId?: Uuid | null | undefined;
}

/** What an input says of the record. */
export interface InputFields {
  readonly name: string;
  /** @default null */
  readonly subtype?: string | null | undefined;
  /** @default null */
  readonly label?: string | null | undefined;
  /** By id, else by name, else the default one; of kinds with a profile. */
  readonly profile?: { readonly id: Uuid | null; readonly name: string | null };
  readonly body: { readonly [key: string]: Json };
  /** @default as it is */
  readonly content?: string;
}

/** How a kind is read and written over REST. */
export interface EntityForm<Input extends EntityInput> {
  readonly kind: EntityKind;
  readonly input: z.ZodType<Input>;
  readonly schema: z.ZodType;
  readonly toRest: (record: EntityRecord) => object;
  readonly toFields: (input: Input) => InputFields;
  /** Keys of the body that are changed by routes of their own, never by a save. @default none */
  readonly ownKeys?: readonly string[];
}
