import * as z from "zod";
import type { EntityRecord, Json } from "./entity-record.ts";
import { entityIdSchema, restId } from "./fields.ts";

export const deviceProfileSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    name: z.string(),
    description: z.string().nullable(),
    image: z.string().nullable(),
    default: z.boolean(),
    type: z.string(),
    transportType: z.string(),
    provisionType: z.string(),
    defaultRuleChainId: entityIdSchema.nullable(),
    defaultDashboardId: entityIdSchema.nullable(),
    defaultQueueName: z.string().nullable(),
    provisionDeviceKey: z.string().nullable(),
    firmwareId: entityIdSchema.nullable(),
    softwareId: entityIdSchema.nullable(),
    defaultEdgeRuleChainId: entityIdSchema.nullable(),
    externalId: entityIdSchema.nullable(),
    version: z.int(),
    profileData: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "DeviceProfile" });

export const deviceProfileInfoSchema = z
  .object({
    id: entityIdSchema,
    tenantId: entityIdSchema,
    name: z.string(),
    image: z.string().nullable(),
    defaultDashboardId: entityIdSchema.nullable(),
    type: z.string(),
    transportType: z.string(),
  })
  .meta({ id: "DeviceProfileInfo" });

interface DeviceProfileBody {
  readonly default?: boolean;
  readonly description?: string | null;
  readonly profileData?: Json;
}

const DEFAULT_PROFILE_DATA: Json = {
  configuration: { type: "DEFAULT" },
  transportConfiguration: { type: "DEFAULT" },
  provisionConfiguration: { type: "DISABLED", provisionDeviceSecret: null },
  alarms: null,
};

/** The body of a profile that is made because a device named it. */
export function newDeviceProfileBody(isDefault: boolean): EntityRecord["body"] {
  return { default: isDefault, description: null, profileData: DEFAULT_PROFILE_DATA };
}

export function deviceProfileToRest(record: EntityRecord): z.input<typeof deviceProfileSchema> {
  const body = record.body as DeviceProfileBody;
  return {
    id: restId("DEVICE_PROFILE", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    name: record.name,
    description: body.description ?? null,
    image: null,
    default: body.default ?? false,
    type: "DEFAULT",
    transportType: "DEFAULT",
    provisionType: "DISABLED",
    defaultRuleChainId: null,
    defaultDashboardId: null,
    defaultQueueName: null,
    provisionDeviceKey: null,
    firmwareId: null,
    softwareId: null,
    defaultEdgeRuleChainId: null,
    externalId: null,
    version: record.version,
    profileData: (body.profileData ?? DEFAULT_PROFILE_DATA) as Record<string, unknown>,
  };
}

export function deviceProfileInfoToRest(record: EntityRecord): z.input<typeof deviceProfileInfoSchema> {
  const { id, tenantId, name, image, defaultDashboardId, type, transportType } = deviceProfileToRest(record);
  return { id, tenantId, name, image, defaultDashboardId, type, transportType };
}
