import type { ErrorCode } from "../../shared/core/errors.ts";

// The one place where failures become codes of MQTT.

/** Why the server ends a connection. Each has its reason code of MQTT 5 and the text that the device's last error shows. */
export const END_REASONS = {
  "malformed-packet": { code: 0x81, text: "The bytes are not MQTT" },
  "protocol-error": { code: 0x82, text: "The packet is not allowed here by the rules of MQTT" },
  "not-stored": { code: 0x83, text: "The data could not be stored" },
  "shutting-down": { code: 0x8b, text: "The edge stops" },
  "keep-alive-timeout": { code: 0x8d, text: "No packet within the keep-alive time" },
  "taken-over": { code: 0x8e, text: "Another connection with the credentials of this device was opened" },
  "too-many-unreleased": { code: 0x93, text: "Too many messages of QoS 2 wait for their release" },
  "topic-alias": { code: 0x94, text: "Topic aliases are not served" },
  "packet-too-large": { code: 0x95, text: "The packet is above the size limit" },
  "rate-limited": { code: 0x96, text: "The device sends more than it may" },
  "reads-too-slowly": { code: 0x97, text: "The device does not take the messages sent to it" },
  "access-ended": { code: 0x98, text: "The device was removed or its credentials changed" },
  "provisioning-over": { code: 0x98, text: "The connection serves to make a device known, and no longer than 60 s" },
  "invalid-payload": { code: 0x99, text: "The payload is not valid" },
  "subscription-identifier": { code: 0xa1, text: "Subscription identifiers are not served" },
} as const;

export type EndReason = keyof typeof END_REASONS;

/** Reason codes of MQTT 5 that are no failure of ours to explain. */
export const REASON = {
  success: 0x00,
  noSubscriptionExisted: 0x11,
  notAuthorized: 0x87,
  topicNotServed: 0x90,
  filterNotServed: 0x8f,
  quotaExceeded: 0x97,
  packetIdNotFound: 0x92,
  payloadInvalid: 0x99,
} as const;

/** SUBACK of MQTT 3.1.1 for a filter that is refused. */
export const SUBACK_FAILURE = 0x80;

/** Answers to CONNECT: the return code of 3.1 and 3.1.1, and the reason code of 5. */
export const CONNECT_REFUSALS = {
  "unknown-credentials": { v3: 5, v5: 0x86, text: "The user name is unknown, or the password is wrong" },
  "unknown-client-id": { v3: 2, v5: 0x85, text: "The client id is unknown, and there is no user name" },
  "no-credentials": { v3: 5, v5: 0x87, text: "There is neither user name nor client id" },
  "unsupported-version": { v3: 1, v5: 0x84, text: "The version of MQTT is not 3.1, 3.1.1 or 5" },
  "unsupported-authentication": { v3: 5, v5: 0x8c, text: "Enhanced authentication is not served" },
  "server-unavailable": { v3: 3, v5: 0x88, text: "The credentials can't be checked now" },
  "too-many-from-address": { v3: 3, v5: 0x9f, text: "The address has as many connections as it may have" },
  "address-blocked": { v3: 3, v5: 0x9f, text: "Too many sign-ins with wrong credentials came from this address" },
  "too-many-connections": { v3: 3, v5: 0x9f, text: "The edge holds as many connections as it may" },
} as const;

export type ConnectRefusal = keyof typeof CONNECT_REFUSALS;

export const CONNECT_REFUSAL_NAMES = Object.keys(CONNECT_REFUSALS) as readonly ConnectRefusal[]; // its own keys, no others

/** What ends the connection when a message fails with `code`. */
export function endReasonOf(code: ErrorCode): EndReason {
  switch (code) {
    case "INVALID_PAYLOAD":
    case "INVALID_ARGUMENT":
      return "invalid-payload";
    case "PAYLOAD_TOO_LARGE":
      return "packet-too-large";
    case "CANCELLED":
      return "shutting-down";
    default:
      return "not-stored";
  }
}
