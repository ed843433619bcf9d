import * as z from "zod";
import { CHECKSUM_ALGORITHMS } from "../core/checksum.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  optionalRestId,
  restId,
  textInput,
  withoutNulls,
} from "./fields.ts";

// Firmware and software for devices. The record says what it is; its bytes are a content of their own (shared/store/blob-upload.ts) that
// `sha256` and `dataSize` name. It goes to the edges of the devices and profiles that refer to it.

export const otaPackageKind: EntityKind = {
  type: "OTA_PACKAGE",
  title: "OtaPackage",
  word: "otaPackage",
  nameField: "title",
  hasUniqueName: false,
  isAssignable: false,
  isMadeOnEdges: false,
  profileType: null,
  isSeenBy: () => true,
  references: () => [],
};

export const OTA_TYPES = ["FIRMWARE", "SOFTWARE"] as const;
export type OtaType = (typeof OTA_TYPES)[number];

export const otaPackageInput = z
  .object({
    id: idInput.nullish(),
    deviceProfileId: idInput.nullish(),
    type: z.enum(OTA_TYPES, { error: "OtaPackage type should be specified!" }),
    title: nameInput("OtaPackage", "title"),
    version: nameInput("OtaPackage", "version"),
    tag: textInput("tag").nullish(),
    url: z.string().max(1_000).nullish(),
    usesUrl: z.boolean().nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "OtaPackageInput" })
  // Of other kinds `version` is the number of saves.
  .transform(({ version: packageVersion, ...rest }) => ({ ...rest, packageVersion }));

export type OtaPackageInput = z.output<typeof otaPackageInput>;

export const otaPackageInfoSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    deviceProfileId: entityIdSchema.nullable(),
    type: z.enum(OTA_TYPES),
    title: z.string(),
    version: z.string(),
    tag: z.string().nullable(),
    url: z.string().nullable(),
    hasData: z.boolean(),
    fileName: z.string().nullable(),
    contentType: z.string().nullable(),
    checksumAlgorithm: z.enum(CHECKSUM_ALGORITHMS).nullable(),
    checksum: z.string().nullable(),
    dataSize: z.int().nullable(),
    name: z.string(),
    externalId: entityIdSchema.nullable(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "OtaPackageInfo" });

export const otaPackageSchema = otaPackageInfoSchema
  .extend({ data: z.string().nullable().meta({ description: "Base64" }) })
  .meta({ id: "OtaPackage" });

interface OtaBody {
  readonly version: string;
  readonly deviceProfileId?: Uuid;
  readonly tag?: string;
  readonly url?: string;
  readonly fileName?: string;
  readonly contentType?: string;
  readonly checksumAlgorithm?: (typeof CHECKSUM_ALGORITHMS)[number];
  readonly checksum?: string;
  readonly dataSize?: number;
  readonly sha256?: string;
  readonly additionalInfo?: Record<string, unknown> | null;
}

function bodyOf({ body }: Pick<EntityRecord, "body">): OtaBody {
  // Written by toFields and by the store of packages only.
  return body as unknown as OtaBody;
}

export function otaType({ subtype }: Pick<EntityRecord, "subtype">): OtaType {
  return subtype === "SOFTWARE" ? "SOFTWARE" : "FIRMWARE";
}

export function otaProfileId(record: Pick<EntityRecord, "body">): Uuid | null {
  return bodyOf(record).deviceProfileId ?? null;
}

/** Whether a device can get it: from here, or from where it is. */
export function isOtaUsable(record: Pick<EntityRecord, "body">): boolean {
  const { sha256, url } = bodyOf(record);
  return sha256 !== undefined || url !== undefined;
}

export function otaPackageToRest(record: EntityRecord): z.input<typeof otaPackageInfoSchema> {
  const body = bodyOf(record);
  return {
    id: restId("OTA_PACKAGE", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    deviceProfileId: optionalRestId("DEVICE_PROFILE", body.deviceProfileId),
    type: otaType(record),
    title: record.name,
    version: body.version,
    tag: body.tag ?? null,
    url: body.url ?? null,
    hasData: isOtaUsable(record),
    fileName: body.fileName ?? null,
    contentType: body.contentType ?? null,
    checksumAlgorithm: body.checksumAlgorithm ?? null,
    checksum: body.checksum ?? null,
    dataSize: body.dataSize ?? null,
    name: record.name,
    externalId: null,
    additionalInfo: body.additionalInfo ?? null,
  };
}

/** By which names devices know a type of package. */
export const OTA_PREFIXES: Readonly<Record<OtaType, "fw" | "sw">> = { FIRMWARE: "fw", SOFTWARE: "sw" };

const OTA_ATTRIBUTES = ["title", "version", "tag", "size", "checksum", "checksum_algorithm", "url"] as const;

/** Every shared attribute that tells a device of a package of this type. */
export function otaAttributeKeys(type: OtaType): readonly string[] {
  return OTA_ATTRIBUTES.map((name) => `${OTA_PREFIXES[type]}_${name}`);
}

/** What a device is told of the package: `fw_title`, `fw_version`, … */
export function otaAttributes(record: EntityRecord): { readonly [key: string]: string | number } {
  const { checksum, checksumAlgorithm, dataSize, tag, url, version } = bodyOf(record);
  const values: Readonly<Record<(typeof OTA_ATTRIBUTES)[number], string | number | undefined>> = {
    title: record.name,
    version,
    tag,
    url,
    size: dataSize,
    checksum,
    checksum_algorithm: checksumAlgorithm,
  };
  const prefix = OTA_PREFIXES[otaType(record)];
  const known = OTA_ATTRIBUTES.flatMap((name): [string, string | number][] => {
    const value = values[name];
    return value === undefined ? [] : [[`${prefix}_${name}`, value]];
  });
  return Object.fromEntries(known);
}

/** Keys of the body that come with the file. */
export const OTA_FILE_KEYS = [
  "fileName",
  "contentType",
  "checksumAlgorithm",
  "checksum",
  "dataSize",
  "sha256",
] as const;

export const otaPackageForm: EntityForm<OtaPackageInput> = {
  kind: otaPackageKind,
  input: otaPackageInput,
  schema: otaPackageInfoSchema,
  toRest: otaPackageToRest,
  ownKeys: OTA_FILE_KEYS,
  toFields: ({ title, type, packageVersion: version, tag, url, usesUrl, deviceProfileId, additionalInfo }) => ({
    name: title,
    subtype: type,
    body: {
      version,
      additionalInfo: additionalInfo ?? null,
      ...withoutNulls({ tag: tag ?? `${title} ${version}`, deviceProfileId, url: usesUrl === true ? url : null }),
    },
  }),
};
