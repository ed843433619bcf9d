import * as z from "zod";
import { isUuid } from "../core/ids.ts";
import { isOwnedBy, type EntityForm, type EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  restCustomerId,
  restId,
  textInput,
  versionInput,
} from "./fields.ts";

/** What a view may be of. */
const VIEWED_TYPES = ["DEVICE", "ASSET"] as const;

export const entityViewKind: EntityKind = {
  type: "ENTITY_VIEW",
  title: "Entity view",
  word: "entityView",
  nameField: "name",
  hasUniqueName: true,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: isOwnedBy,
  references: ({ body }) => {
    const viewed = viewedOf(body);
    return viewed === null ? [] : [viewed];
  },
};

const keyList = z.array(z.string().max(255)).max(1000).nullish();

const keysInput = z.object({
  timeseries: keyList,
  attributes: z.object({ cs: keyList, ss: keyList, sh: keyList }).nullish(),
});

export const entityViewInput = z
  .object({
    id: idInput.nullish(),
    customerId: idInput.nullish(),
    name: nameInput("Entity view"),
    type: textInput("type").nullish(),
    entityId: z.object(
      {
        entityType: z.enum(VIEWED_TYPES, { error: "Entity view can be of a device or an asset only!" }),
        id: z.uuid({ error: "Entity id should be specified!" }),
      },
      { error: "Entity id should be specified!" },
    ),
    keys: keysInput.nullish(),
    startTimeMs: z.int().min(0).nullish(),
    endTimeMs: z.int().min(0).nullish(),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "EntityViewInput" });

export type EntityViewInput = z.output<typeof entityViewInput>;

const keysSchema = z.object({
  timeseries: z.array(z.string()),
  attributes: z.object({ cs: z.array(z.string()), ss: z.array(z.string()), sh: z.array(z.string()) }),
});

export const entityViewSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    entityId: entityIdSchema,
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    name: z.string(),
    type: z.string(),
    keys: keysSchema,
    startTimeMs: z.int(),
    endTimeMs: z.int(),
    externalId: entityIdSchema.nullable(),
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "EntityView" });

export const entityViewInfoSchema = entityViewSchema
  .extend({ customerTitle: z.string().nullable(), customerIsPublic: z.boolean() })
  .meta({ id: "EntityViewInfo" });

interface EntityViewBody {
  readonly keys?: z.output<typeof keysSchema>;
  readonly startTimeMs?: number;
  readonly endTimeMs?: number;
  readonly additionalInfo?: Record<string, unknown> | null;
}

/** What a view is of. */
export function viewedOf(body: EntityRecord["body"]) {
  const { viewedType, viewedId } = body;
  const type = VIEWED_TYPES.find((known) => known === viewedType);
  return type !== undefined && typeof viewedId === "string" && isUuid(viewedId) ? { type, id: viewedId } : null;
}

/** Which attributes of the viewed entity a view has, by scope. */
export function viewedKeys(record: EntityRecord): z.output<typeof keysSchema> {
  const { keys } = record.body as EntityViewBody; // written by toFields only
  return keys ?? { timeseries: [], attributes: { cs: [], ss: [], sh: [] } };
}

/** The times of measurement that a view shows: [startMs, endMs), infinite where it is open. */
export function viewedTimes(record: EntityRecord): { readonly startMs: number; readonly endMs: number } {
  const { startTimeMs = 0, endTimeMs = 0 } = record.body as EntityViewBody; // written by toFields only
  return { startMs: startTimeMs === 0 ? -Infinity : startTimeMs, endMs: endTimeMs === 0 ? Infinity : endTimeMs + 1 };
}

export function entityViewToRest(record: EntityRecord): z.input<typeof entityViewSchema> {
  const body = record.body as EntityViewBody;
  const viewed = viewedOf(record.body);
  return {
    id: restId("ENTITY_VIEW", record.id),
    createdTime: record.createdMs,
    // A view of nothing is not stored; its own id keeps clients that refuse null alive should one appear.
    entityId: restId(viewed?.type ?? "DEVICE", viewed?.id ?? record.id),
    tenantId: restId("TENANT", record.tenantId),
    customerId: restCustomerId(record.customerId),
    name: record.name,
    type: record.subtype ?? "default",
    keys: viewedKeys(record),
    startTimeMs: body.startTimeMs ?? 0,
    endTimeMs: body.endTimeMs ?? 0,
    externalId: null,
    version: record.version,
    additionalInfo: body.additionalInfo ?? null,
  };
}

export const entityViewForm: EntityForm<EntityViewInput> = {
  kind: entityViewKind,
  input: entityViewInput,
  schema: entityViewSchema,
  toRest: entityViewToRest,
  toFields: (input) => {
    const { timeseries, attributes } = input.keys ?? {};
    const { cs, ss, sh } = attributes ?? {};
    return {
      name: input.name,
      subtype: input.type ?? "default",
      body: {
        viewedType: input.entityId.entityType,
        viewedId: input.entityId.id.toLowerCase(),
        keys: { timeseries: timeseries ?? [], attributes: { cs: cs ?? [], ss: ss ?? [], sh: sh ?? [] } },
        startTimeMs: input.startTimeMs ?? 0,
        endTimeMs: input.endTimeMs ?? 0,
        additionalInfo: input.additionalInfo ?? null,
      },
    };
  },
};
