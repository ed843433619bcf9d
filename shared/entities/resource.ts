import * as z from "zod";
import { NULL_UUID } from "../core/ids.ts";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import { entityIdSchema, idInput, jsonInput, nameInput, restId, textInput, withoutNulls } from "./fields.ts";

// Files that dashboards, profiles and connectors of a tenant use, named by type and key; those of the system are for all tenants. The
// record says what it is, its bytes are a content of their own (content.ts).

export const resourceKind: EntityKind = {
  type: "TB_RESOURCE",
  title: "Resource",
  word: "resource",
  nameField: "title",
  hasUniqueName: false,
  isAssignable: false,
  isMadeOnEdges: false,
  profileType: null,
  isSeenBy: ({ subtype }) => subtype === "JS_MODULE",
  references: () => [],
};

export const RESOURCE_TYPES = ["LWM2M_MODEL", "JKS", "PKCS_12", "JS_MODULE", "IMAGE", "DASHBOARD", "GENERAL"] as const;
export type ResourceType = (typeof RESOURCE_TYPES)[number];

/** Of an image, and of a module what it is for. */
export const RESOURCE_SUB_TYPES = ["IMAGE", "SCADA_SYMBOL", "EXTENSION", "MODULE"] as const;

export const resourceTypeInput = z.enum(RESOURCE_TYPES, { error: "Resource type should be specified!" });

export const resourceInput = z
  .object({
    id: idInput.nullish(),
    title: nameInput("Resource", "title"),
    resourceType: resourceTypeInput,
    resourceSubType: z.enum(RESOURCE_SUB_TYPES).nullish(),
    resourceKey: textInput("resourceKey").nullish(),
    fileName: textInput("fileName").nullish(),
    descriptor: jsonInput.nullish(),
    data: z.string().nullish(),
  })
  .meta({ id: "ResourceInput" });

export type ResourceInput = Omit<z.output<typeof resourceInput>, "data">;

export const resourceInfoSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    title: z.string(),
    resourceType: z.enum(RESOURCE_TYPES),
    resourceSubType: z.enum(RESOURCE_SUB_TYPES).nullable(),
    resourceKey: z.string(),
    public: z.boolean(),
    publicResourceKey: z.string().nullable(),
    etag: z.string().nullable(),
    fileName: z.string().nullable(),
    descriptor: z.unknown(),
    name: z.string(),
    link: z.string(),
    publicLink: z.string().nullable(),
  })
  .meta({ id: "ResourceInfo" });

export const resourceSchema = resourceInfoSchema
  .extend({ data: z.string().nullable().meta({ description: "Base64" }) })
  .meta({ id: "Resource" });

interface ResourceBody {
  readonly resourceKey?: string;
  readonly resourceSubType?: (typeof RESOURCE_SUB_TYPES)[number];
  readonly fileName?: string;
  readonly contentType?: string;
  readonly descriptor?: Json;
  readonly sha256?: string;
}

export function resourceType({ subtype }: Pick<EntityRecord, "subtype">): ResourceType {
  return RESOURCE_TYPES.find((known) => known === subtype) ?? "GENERAL";
}

export function resourceToRest(record: EntityRecord): z.input<typeof resourceInfoSchema> {
  const body = record.body as ResourceBody; // written by toFields and by the store of resources only
  const type = resourceType(record);
  const key = body.resourceKey ?? "";
  const place = type === "IMAGE" ? "images" : `resource/${type.toLowerCase()}`;
  const scope = record.tenantId === NULL_UUID ? "system" : "tenant";
  return {
    id: restId("TB_RESOURCE", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    title: record.name,
    resourceType: type,
    resourceSubType: body.resourceSubType ?? null,
    resourceKey: key,
    public: false,
    publicResourceKey: null,
    etag: body.sha256 ?? null,
    fileName: body.fileName ?? null,
    descriptor: body.descriptor ?? null,
    name: record.name,
    link: `/api/${place}/${scope}/${encodeURIComponent(key)}`,
    publicLink: null,
  };
}

/** What the file is for browsers. */
export function resourceMediaType({ body }: Pick<EntityRecord, "body">): string {
  const { contentType } = body;
  return typeof contentType === "string" ? contentType : "application/octet-stream";
}

export const resourceForm: EntityForm<ResourceInput> = {
  kind: resourceKind,
  input: resourceInput,
  schema: resourceInfoSchema,
  toRest: resourceToRest,
  ownKeys: ["resourceKey", "contentType", "sha256", "dataSize"],
  toFields: ({ title, resourceType: type, resourceSubType, resourceKey, fileName, descriptor }) => ({
    name: title,
    subtype: type,
    body: { descriptor: descriptor ?? null, ...withoutNulls({ resourceSubType, resourceKey, fileName }) },
  }),
};
