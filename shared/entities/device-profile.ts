import * as z from "zod";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  optionalRestId,
  restId,
  textInput,
  versionInput,
  withoutNulls,
} from "./fields.ts";
import { profileBody, profileReferences } from "./profile.ts";

export const deviceProfileKind: EntityKind = {
  type: "DEVICE_PROFILE",
  title: "Device profile",
  word: "deviceProfile",
  nameField: "name",
  hasUniqueName: true,
  isAssignable: false,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: () => false,
  references: profileReferences,
};

export const TRANSPORT_TYPES = ["DEFAULT", "MQTT", "COAP", "LWM2M", "SNMP"] as const;

export const PROVISION_TYPES = [
  "DISABLED",
  "ALLOW_CREATE_NEW_DEVICES",
  "CHECK_PRE_PROVISIONED_DEVICES",
  "X509_CERTIFICATE_CHAIN",
] as const;

const PROFILE_DATA =
  "`alarms`: alarm rules. `uplink`: what of the telemetry goes to the cloud: " +
  "`{default, keys: {KEY: rule}, schedule, budget: {bytesPerDay, per: DEVICE|PROFILE}}`, a rule being `{exempt}`, " +
  "`{deadband: {type: ABSOLUTE|PERCENT, value}, minIntervalMs, maxIntervalMs}` or `{window: {ms, functions: [avg|min|max|sum|count|last]}}`";

export const deviceProfileInput = z
  .object({
    id: idInput.nullish(),
    name: nameInput("Device profile"),
    description: z.string().max(65_536).nullish(),
    image: z.string().nullish(),
    type: z.literal("DEFAULT", { error: "Device profile type should be specified!" }).nullish(),
    transportType: z
      .enum(TRANSPORT_TYPES, { error: `Device profile transport type should be one of ${TRANSPORT_TYPES.join(", ")}` })
      .nullish(),
    provisionType: z
      .enum(PROVISION_TYPES, { error: `Device profile provision type should be one of ${PROVISION_TYPES.join(", ")}` })
      .nullish(),
    defaultRuleChainId: idInput.nullish(),
    defaultDashboardId: idInput.nullish(),
    defaultQueueName: textInput("defaultQueueName").nullish(),
    provisionDeviceKey: textInput("provisionDeviceKey").nullish(),
    firmwareId: idInput.nullish(),
    softwareId: idInput.nullish(),
    defaultEdgeRuleChainId: idInput.nullish(),
    version: versionInput.nullish(),
    profileData: jsonObjectInput.nullish().meta({ description: PROFILE_DATA }),
  })
  .meta({ id: "DeviceProfileInput" });

export type DeviceProfileInput = z.output<typeof deviceProfileInput>;

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
  readonly image?: string;
  readonly transportType?: string;
  readonly provisionType?: string;
  readonly defaultQueueName?: string;
  readonly provisionDeviceKey?: string;
  readonly profileData?: Json;
}

const DEFAULT_PROFILE_DATA: Json = {
  configuration: { type: "DEFAULT" },
  transportConfiguration: { type: "DEFAULT" },
  provisionConfiguration: { type: "DISABLED", provisionDeviceSecret: null },
  alarms: null,
};

/** How devices make themselves known to the profile. */
export interface Provisioning {
  readonly type: (typeof PROVISION_TYPES)[number];
  /** Of X509_CERTIFICATE_CHAIN the certificate that signs those of the devices; empty: none. */
  readonly secret: string;
  /** Of X509_CERTIFICATE_CHAIN: what of the common name is the name of the device; empty: all of it. */
  readonly namePattern: string;
  /** Of X509_CERTIFICATE_CHAIN: whether devices are made, too. */
  readonly makesDevices: boolean;
}

export function provisioningOf(record: Pick<EntityRecord, "body">): Provisioning {
  const { profileData, provisionType } = record.body as DeviceProfileBody;
  const data = z.object({ provisionConfiguration: configurationSchema }).safeParse(profileData);
  const configuration: z.output<typeof configurationSchema> = data.success ? data.data.provisionConfiguration : {};
  const type = PROVISION_TYPES.find((known) => known === (provisionType ?? configuration.type)) ?? "DISABLED";
  const { allowCreateNewDevicesByX509Certificate, certificateRegExPattern, provisionDeviceSecret } = configuration;
  return {
    type,
    secret: provisionDeviceSecret ?? "",
    namePattern: certificateRegExPattern ?? "",
    makesDevices: allowCreateNewDevicesByX509Certificate !== false,
  };
}

const configurationSchema = z.object({
  type: z.string().nullish(),
  provisionDeviceSecret: z.string().nullish(),
  certificateRegExPattern: z.string().nullish(),
  allowCreateNewDevicesByX509Certificate: z.boolean().nullish(),
});

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
    image: body.image ?? null,
    default: body.default ?? false,
    type: "DEFAULT",
    transportType: body.transportType ?? "DEFAULT",
    provisionType: body.provisionType ?? "DISABLED",
    defaultRuleChainId: optionalRestId("RULE_CHAIN", record.body["defaultRuleChainId"]),
    defaultDashboardId: optionalRestId("DASHBOARD", record.body["defaultDashboardId"]),
    defaultQueueName: body.defaultQueueName ?? null,
    provisionDeviceKey: body.provisionDeviceKey ?? null,
    firmwareId: optionalRestId("OTA_PACKAGE", record.body["firmwareId"]),
    softwareId: optionalRestId("OTA_PACKAGE", record.body["softwareId"]),
    defaultEdgeRuleChainId: optionalRestId("RULE_CHAIN", record.body["defaultEdgeRuleChainId"]),
    externalId: null,
    version: record.version,
    profileData: (body.profileData ?? DEFAULT_PROFILE_DATA) as Record<string, unknown>,
  };
}

export function deviceProfileInfoToRest(record: EntityRecord): z.input<typeof deviceProfileInfoSchema> {
  const { id, tenantId, name, image, defaultDashboardId, type, transportType } = deviceProfileToRest(record);
  return { id, tenantId, name, image, defaultDashboardId, type, transportType };
}

export const deviceProfileForm: EntityForm<DeviceProfileInput> = {
  kind: deviceProfileKind,
  input: deviceProfileInput,
  schema: deviceProfileSchema,
  toRest: deviceProfileToRest,
  ownKeys: ["default"],
  toFields: (input) => ({
    name: input.name,
    body: {
      ...profileBody(input),
      profileData: input.profileData ?? DEFAULT_PROFILE_DATA,
      ...withoutNulls({
        transportType: input.transportType,
        provisionType: input.provisionType,
        provisionDeviceKey: input.provisionDeviceKey,
        firmwareId: input.firmwareId,
        softwareId: input.softwareId,
      }),
    },
  }),
};
