import { sha3_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { entityIdSchema, idInput, textInput, versionInput } from "./fields.ts";

// What devices show to get in. Each kind has an id by which it is found, unique over all devices:
//   ACCESS_TOKEN      the token
//   MQTT_BASIC        the user name; with a client id: a hash of what is configured
//   X509_CERTIFICATE  a hash of the certificate

export const CREDENTIALS_TYPES = ["ACCESS_TOKEN", "X509_CERTIFICATE", "MQTT_BASIC"] as const;
export type CredentialsType = (typeof CREDENTIALS_TYPES)[number];

export const credentialsInput = z
  .object({
    id: idInput.nullish(),
    deviceId: idInput.nullish(),
    credentialsType: z.enum(CREDENTIALS_TYPES, { error: "Device credentials type should be specified!" }),
    credentialsId: textInput("credentialsId").nullish(),
    credentialsValue: z.string().max(65_536).nullish(),
    version: versionInput.nullish(),
  })
  .meta({ id: "DeviceCredentialsInput" });

export type CredentialsInput = z.output<typeof credentialsInput>;

export const credentialsSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    deviceId: entityIdSchema,
    credentialsType: z.enum(CREDENTIALS_TYPES),
    credentialsId: z.string(),
    credentialsValue: z.string().nullable(),
    version: z.int(),
  })
  .meta({ id: "DeviceCredentials" });

/** What a device signs in with over MQTT; a part that is null is not looked at. */
export interface MqttLogin {
  readonly clientId: string | null;
  readonly userName: string | null;
  readonly password: string | null;
}

const loginPart = z
  .string()
  .max(255)
  .nullish()
  .transform((text) => (text === undefined || text === "" ? null : text));
const loginSchema = z.object({ clientId: loginPart, userName: loginPart, password: loginPart });

/** The value of MQTT_BASIC credentials, JSON text. @throws AppError INVALID_ARGUMENT; the text never holds the value */
export function parseMqttLogin(value: string): MqttLogin {
  const invalid = (text: string): AppError => new AppError("INVALID_ARGUMENT", text, { field: "credentialsValue" });
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    throw invalid('Expected credentialsValue to be JSON text: {"clientId":…,"userName":…,"password":…}');
  }
  const parsed = loginSchema.safeParse(json);
  if (!parsed.success) throw invalid("Expected clientId, userName and password to be texts of at most 255 characters");
  const { clientId, userName, password } = parsed.data;
  if (clientId === null && userName === null) throw invalid("Both mqtt client id and user name are empty!");
  if (userName === null && password !== null) throw invalid("Password cannot be specified along with client id");
  return parsed.data;
}

/** The id of MQTT_BASIC credentials that have these parts. */
export function mqttLoginId({ clientId, userName }: Pick<MqttLogin, "clientId" | "userName">): string {
  if (clientId === null) return userName ?? "";
  return sha3Hex(userName === null ? clientId : `${clientId}|${userName}`);
}

const CERTIFICATE = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/;

/** The id of a certificate: SHA3-256 over its DER as base64. */
export function certificateId(base64: string): string {
  return sha3Hex(base64);
}

/** @throws AppError INVALID_ARGUMENT when `pem` is not one certificate */
function base64Of(pem: string): string {
  const base64 = CERTIFICATE.exec(pem)?.[1]?.replaceAll(/\s/g, "");
  if (base64 === undefined || base64 === "" || base64.length % 4 !== 0)
    throw new AppError("INVALID_ARGUMENT", "Expected credentialsValue to be one certificate in PEM form", {
      field: "credentialsValue",
    });
  return base64;
}

function sha3Hex(text: string): string {
  return bytesToHex(sha3_256(utf8ToBytes(text)));
}

/** Id and value as they are stored. @throws AppError INVALID_ARGUMENT */
export function resolveCredentials(
  input: Pick<CredentialsInput, "credentialsType" | "credentialsId" | "credentialsValue">,
): { readonly credentialsId: string; readonly credentialsValue: string | null } {
  const value = input.credentialsValue ?? "";
  switch (input.credentialsType) {
    case "ACCESS_TOKEN": {
      const token = input.credentialsId?.trim() ?? "";
      if (token === "") throw new AppError("INVALID_ARGUMENT", "Device credentials id should be specified!");
      // An access token has no value; clients may send one all the same.
      return { credentialsId: token, credentialsValue: null };
    }
    case "MQTT_BASIC":
      return { credentialsId: mqttLoginId(parseMqttLogin(value)), credentialsValue: value };
    case "X509_CERTIFICATE":
      return { credentialsId: certificateId(base64Of(value)), credentialsValue: value };
    default:
      return input.credentialsType satisfies never;
  }
}
