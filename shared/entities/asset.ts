import * as z from "zod";
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

export const assetKind: EntityKind = {
  type: "ASSET",
  title: "Asset",
  word: "asset",
  nameField: "name",
  hasUniqueName: true,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: "ASSET_PROFILE",
  isSeenBy: isOwnedBy,
  references: () => [],
};

export const assetInput = z
  .object({
    id: idInput.nullish(),
    customerId: idInput.nullish(),
    name: nameInput("Asset"),
    type: textInput("type").nullish(),
    label: textInput("label").nullish(),
    assetProfileId: idInput.nullish(),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "AssetInput" });

export type AssetInput = z.output<typeof assetInput>;

export const assetSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    name: z.string(),
    type: z.string(),
    label: z.string().nullable(),
    assetProfileId: entityIdSchema,
    externalId: entityIdSchema.nullable(),
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "Asset" });

export const assetInfoSchema = assetSchema
  .extend({ customerTitle: z.string().nullable(), customerIsPublic: z.boolean(), assetProfileName: z.string() })
  .meta({ id: "AssetInfo" });

export function assetToRest(record: EntityRecord): z.input<typeof assetSchema> {
  const { additionalInfo = null } = record.body as { readonly additionalInfo?: Record<string, unknown> | null };
  return {
    id: restId("ASSET", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    customerId: restCustomerId(record.customerId),
    name: record.name,
    type: record.subtype ?? "default",
    label: record.label,
    assetProfileId: restId("ASSET_PROFILE", record.profileId ?? record.id),
    externalId: null,
    version: record.version,
    additionalInfo,
  };
}

export const assetForm: EntityForm<AssetInput> = {
  kind: assetKind,
  input: assetInput,
  schema: assetSchema,
  toRest: assetToRest,
  toFields: (input) => ({
    name: input.name,
    label: input.label,
    profile: { id: input.assetProfileId ?? null, name: input.type ?? null },
    body: { additionalInfo: input.additionalInfo ?? null },
  }),
};
