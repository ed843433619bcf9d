import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { ProvisionedCredentials, ProvisionOutcome, ProvisionRequest } from "./ports.ts";

// How devices ask to be made known, the same in each protocol.

const text = z.string().nullish();
const schema = z.object({
  deviceName: text,
  provisionDeviceKey: text,
  provisionDeviceSecret: text,
  gateway: z.boolean().nullish(),
  credentialsType: z.enum(["ACCESS_TOKEN", "MQTT_BASIC", "X509_CERTIFICATE"]).nullish(),
  token: text,
  username: text,
  password: text,
  clientId: text,
  hash: text,
});

/**
 * `{"deviceName":"A","provisionDeviceKey":"k","provisionDeviceSecret":"s"}` and what the device wants to sign in with, if it says so.
 *
 * @throws AppError INVALID_PAYLOAD
 */
export function readProvisionRequest(payload: string): ProvisionRequest {
  const parsed = schema.safeParse(parseJson(payload));
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.join(".") ?? "";
    throw new AppError("INVALID_PAYLOAD", `Expected a request to provision a device, "${field}" is not valid`);
  }
  const { data } = parsed;
  return {
    deviceName: data.deviceName ?? "",
    key: data.provisionDeviceKey ?? "",
    secret: data.provisionDeviceSecret ?? "",
    isGateway: data.gateway === true,
    credentials: wantedCredentials(data),
  };
}

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    throw new AppError("INVALID_PAYLOAD", "Expected a request to provision a device as JSON");
  }
}

function wantedCredentials(data: z.output<typeof schema>): ProvisionedCredentials | null {
  const { clientId, credentialsType, hash, password, token, username } = data;
  switch (credentialsType) {
    case null:
    case undefined:
      return null;
    case "ACCESS_TOKEN":
      return { credentialsType, credentialsId: token ?? "", credentialsValue: null };
    case "MQTT_BASIC": {
      const login = { clientId: clientId ?? null, userName: username ?? null, password: password ?? null };
      return { credentialsType, credentialsId: "", credentialsValue: JSON.stringify(login) };
    }
    case "X509_CERTIFICATE":
      return { credentialsType, credentialsId: "", credentialsValue: hash ?? "" };
    default:
      return credentialsType satisfies never;
  }
}

/** `{"status":"SUCCESS","credentialsType":"ACCESS_TOKEN","credentialsValue":"t"}`; of MQTT_BASIC the value is an object. */
export function provisionAnswerText(outcome: ProvisionOutcome): string {
  switch (outcome.status) {
    case "SUCCESS": {
      const { credentialsId, credentialsType, credentialsValue } = outcome.credentials;
      const value =
        credentialsType === "MQTT_BASIC"
          ? (JSON.parse(credentialsValue ?? "null") as unknown)
          : (credentialsValue ?? credentialsId);
      return JSON.stringify({ status: outcome.status, credentialsType, credentialsValue: value });
    }
    case "NOT_FOUND":
      return JSON.stringify({ status: outcome.status, errorMsg: "Provision data was not found!" });
    case "FAILURE":
      return JSON.stringify({ status: outcome.status, errorMsg: "Failed to provision device!" });
    default:
      return outcome satisfies never;
  }
}
