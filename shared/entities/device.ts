import * as z from "zod";
import { bodyReferences, isOwnedBy, OTA_REFERENCES, type EntityForm, type EntityKind } from "./entity-kind.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  optionalRestId,
  restCustomerId,
  restId,
  textInput,
  versionInput,
  withoutNulls,
} from "./fields.ts";

export const deviceKind: EntityKind = {
  type: "DEVICE",
  title: "Device",
  word: "device",
  nameField: "name",
  hasUniqueName: true,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: "DEVICE_PROFILE",
  isSeenBy: isOwnedBy,
  references: (record) => bodyReferences(record, OTA_REFERENCES),
};

export const deviceInput = z
  .object({
    id: idInput.nullish(),
    customerId: idInput.nullish(),
    name: nameInput("Device"),
    type: textInput("type").nullish(),
    label: textInput("label").nullish(),
    deviceProfileId: idInput.nullish(),
    firmwareId: idInput.nullish(),
    softwareId: idInput.nullish(),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
    deviceData: jsonObjectInput.nullish(),
  })
  .meta({ id: "DeviceInput" });

export type DeviceInput = z.output<typeof deviceInput>;

export const deviceSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    name: z.string(),
    type: z.string(),
    label: z.string().nullable(),
    deviceProfileId: entityIdSchema,
    firmwareId: entityIdSchema.nullable(),
    softwareId: entityIdSchema.nullable(),
    externalId: entityIdSchema.nullable(),
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
    deviceData: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Device" });

export const deviceInfoSchema = deviceSchema
  .extend({
    customerTitle: z.string().nullable(),
    customerIsPublic: z.boolean(),
    deviceProfileName: z.string(),
    active: z.boolean(),
  })
  .meta({ id: "DeviceInfo" });

const DEFAULT_DEVICE_DATA: Json = {
  configuration: { type: "DEFAULT" },
  transportConfiguration: { type: "DEFAULT" },
};

export function deviceToRest(record: EntityRecord): z.input<typeof deviceSchema> {
  const { additionalInfo = null, deviceData = DEFAULT_DEVICE_DATA, firmwareId, softwareId } = record.body as DeviceBody;
  return {
    id: restId("DEVICE", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    customerId: restCustomerId(record.customerId),
    name: record.name,
    type: record.subtype ?? "default",
    label: record.label,
    // A device without a profile is not stored; its own id keeps clients that refuse null alive should one appear.
    deviceProfileId: restId("DEVICE_PROFILE", record.profileId ?? record.id),
    firmwareId: optionalRestId("OTA_PACKAGE", firmwareId),
    softwareId: optionalRestId("OTA_PACKAGE", softwareId),
    externalId: null,
    version: record.version,
    additionalInfo,
    deviceData: deviceData as Record<string, unknown>,
  };
}

interface DeviceBody {
  readonly additionalInfo?: Record<string, unknown> | null;
  readonly deviceData?: Json;
  readonly firmwareId?: string | null;
  readonly softwareId?: string | null;
}

export const deviceForm: EntityForm<DeviceInput> = {
  kind: deviceKind,
  input: deviceInput,
  schema: deviceSchema,
  toRest: deviceToRest,
  toFields: (input) => ({
    name: input.name,
    label: input.label,
    profile: { id: input.deviceProfileId ?? null, name: input.type ?? null },
    body: {
      additionalInfo: input.additionalInfo ?? null,
      deviceData: input.deviceData ?? DEFAULT_DEVICE_DATA,
      ...withoutNulls({ firmwareId: input.firmwareId, softwareId: input.softwareId }),
    },
  }),
};
