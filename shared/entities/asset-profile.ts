import * as z from "zod";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import { entityIdSchema, idInput, nameInput, optionalRestId, restId, textInput, versionInput } from "./fields.ts";
import { profileBody, profileReferences } from "./profile.ts";

export const assetProfileKind: EntityKind = {
  type: "ASSET_PROFILE",
  title: "Asset profile",
  word: "assetProfile",
  nameField: "name",
  hasUniqueName: true,
  isAssignable: false,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: () => false,
  references: profileReferences,
};

export const assetProfileInput = z
  .object({
    id: idInput.nullish(),
    name: nameInput("Asset profile"),
    description: z.string().max(65_536).nullish(),
    image: z.string().nullish(),
    defaultRuleChainId: idInput.nullish(),
    defaultDashboardId: idInput.nullish(),
    defaultQueueName: textInput("defaultQueueName").nullish(),
    defaultEdgeRuleChainId: idInput.nullish(),
    version: versionInput.nullish(),
  })
  .meta({ id: "AssetProfileInput" });

export type AssetProfileInput = z.output<typeof assetProfileInput>;

export const assetProfileSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    name: z.string(),
    description: z.string().nullable(),
    image: z.string().nullable(),
    default: z.boolean(),
    defaultRuleChainId: entityIdSchema.nullable(),
    defaultDashboardId: entityIdSchema.nullable(),
    defaultQueueName: z.string().nullable(),
    defaultEdgeRuleChainId: entityIdSchema.nullable(),
    externalId: entityIdSchema.nullable(),
    version: z.int(),
  })
  .meta({ id: "AssetProfile" });

export const assetProfileInfoSchema = z
  .object({
    id: entityIdSchema,
    tenantId: entityIdSchema,
    name: z.string(),
    image: z.string().nullable(),
    defaultDashboardId: entityIdSchema.nullable(),
  })
  .meta({ id: "AssetProfileInfo" });

interface AssetProfileBody {
  readonly default?: boolean;
  readonly description?: string | null;
  readonly image?: string;
  readonly defaultQueueName?: string;
}

/** The body of a profile that is made because an asset named it. */
export function newAssetProfileBody(isDefault: boolean): EntityRecord["body"] {
  return { default: isDefault, description: null };
}

export function assetProfileToRest(record: EntityRecord): z.input<typeof assetProfileSchema> {
  const body = record.body as AssetProfileBody;
  return {
    id: restId("ASSET_PROFILE", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    name: record.name,
    description: body.description ?? null,
    image: body.image ?? null,
    default: body.default ?? false,
    defaultRuleChainId: optionalRestId("RULE_CHAIN", record.body["defaultRuleChainId"]),
    defaultDashboardId: optionalRestId("DASHBOARD", record.body["defaultDashboardId"]),
    defaultQueueName: body.defaultQueueName ?? null,
    defaultEdgeRuleChainId: optionalRestId("RULE_CHAIN", record.body["defaultEdgeRuleChainId"]),
    externalId: null,
    version: record.version,
  };
}

export function assetProfileInfoToRest(record: EntityRecord): z.input<typeof assetProfileInfoSchema> {
  const { id, tenantId, name, image, defaultDashboardId } = assetProfileToRest(record);
  return { id, tenantId, name, image, defaultDashboardId };
}

export const assetProfileForm: EntityForm<AssetProfileInput> = {
  kind: assetProfileKind,
  input: assetProfileInput,
  schema: assetProfileSchema,
  toRest: assetProfileToRest,
  ownKeys: ["default"],
  toFields: (input) => ({ name: input.name, body: profileBody(input) }),
};
