import * as z from "zod";
import type { EntityRecord } from "./entity-record.ts";
import { entityIdSchema, restId } from "./fields.ts";

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
    image: null,
    default: body.default ?? false,
    defaultRuleChainId: null,
    defaultDashboardId: null,
    defaultQueueName: null,
    defaultEdgeRuleChainId: null,
    externalId: null,
    version: record.version,
  };
}

export function assetProfileInfoToRest(record: EntityRecord): z.input<typeof assetProfileInfoSchema> {
  const { id, tenantId, name, image, defaultDashboardId } = assetProfileToRest(record);
  return { id, tenantId, name, image, defaultDashboardId };
}
