import type { Buffer } from "node:buffer";
import { AppError } from "../../shared/core/errors.ts";
import { decodePayload } from "./device-session.ts";
import type { FoundRoute, MqttTopics } from "./mqtt-handlers.ts";
import { checkTopic } from "./mqtt-publish.ts";
import type { DownlinkPayload, PayloadFormat, UplinkPayload } from "./payload-form.ts";
import type { AuthenticatedDevice } from "./ports.ts";
import { ALL_FORMS, FORMS, isPublicTopic, matchesFilter } from "./topics.ts";

// How payloads of the device API over MQTT are written: as JSON, or as the profile of the device says. Inside the edge all of them are
// JSON text; what a profile says is undone where a message comes in, and done where one goes out.

export interface PayloadCodec {
  /** The payload as JSON text. @throws AppError INVALID_PAYLOAD */
  decode(kind: UplinkPayload, bytes: Uint8Array): string;
  /** JSON text as payload. @param number of the request @throws AppError INVALID_PAYLOAD when the schema has no place for it */
  encode(kind: DownlinkPayload, text: string, number: number): Uint8Array;
}

/** What a device profile says of MQTT. */
export interface MqttProfile {
  /** Filters of topics where its devices publish, beside those of the public API; null: none. */
  readonly telemetryFilter: string | null;
  readonly attributesFilter: string | null;
  /** Where its devices may subscribe to changes of attributes, too. */
  readonly pushTopic: string | null;
  /** A payload that can't be read is acknowledged to devices of 3.1.1, too. */
  readonly isInvalidAcknowledged: boolean;
  /** null: JSON. */
  readonly codec: PayloadCodec | null;
  /** What the codec can't read may be JSON. */
  readonly isJsonTaken: boolean;
  /** What goes out on topics of v1 is JSON all the same. */
  readonly isJsonSent: boolean;
}

export interface MqttProfiles {
  /** Undefined: nothing but the public API with JSON. */
  of(device: AuthenticatedDevice): MqttProfile | undefined;
}

/** @throws MalformedPacket when no message can have the topic */
export function findRoute(topics: MqttTopics, profile: MqttProfile | undefined, topic: string): FoundRoute | undefined {
  const found = topics.find(topic);
  if (found !== undefined || profile === undefined) return found;
  const { attributesFilter, telemetryFilter } = profile;
  checkTopic(topic);
  if (attributesFilter !== null && matchesFilter(attributesFilter, topic)) return topics.find(FORMS.v1.attributes);
  if (telemetryFilter !== null && matchesFilter(telemetryFilter, topic)) return topics.find(FORMS.v1.telemetry);
  return undefined;
}

/** The payload of a message to `route` as text. @throws AppError INVALID_PAYLOAD */
export function readPayload(
  { payload: form }: FoundRoute,
  profile: MqttProfile | undefined,
  { buffer, start, end }: { readonly buffer: Buffer; readonly start: number; readonly end: number },
): string {
  const codec = profile?.codec ?? null;
  if (form === undefined || form.format === "json" || (form.format === "profile" && codec === null))
    return decodePayload(buffer, start, end);
  if (codec === null) throw new AppError("INVALID_PAYLOAD", "The profile of the device names no protobuf payloads");
  try {
    return codec.decode(form.kind, buffer.subarray(start, end));
  } catch (thrown) {
    if (form.format !== "profile" || profile?.isJsonTaken !== true) throw thrown;
    return decodePayload(buffer, start, end);
  }
}

/**
 * A text to the device in the form that the topic and the profile ask for.
 *
 * @throws AppError INVALID_PAYLOAD when the schema has no place for it
 */
export function writePayload(profile: MqttProfile | undefined, topic: string, text: string): string | Uint8Array {
  const codec = profile?.codec ?? null;
  if (codec === null && !topic.includes("/p")) return text;
  const found = downlinkOf(topic);
  if (found === undefined) return text;
  const { kind, format, isV1, number } = found;
  if (format === "json" || (format === "profile" && codec === null)) return text;
  if (isV1 && profile?.isJsonSent === true) return text;
  if (codec === null) throw new AppError("INVALID_PAYLOAD", "The profile of the device names no protobuf payloads");
  return codec.encode(kind, text, number);
}

interface Downlink {
  readonly kind: DownlinkPayload;
  readonly format: PayloadFormat;
  readonly isV1: boolean;
  readonly number: number;
}

function downlinkOf(topic: string): Downlink | undefined {
  if (!isPublicTopic(topic)) return { kind: "attributePush", format: "profile", isV1: false, number: 0 };
  for (const form of ALL_FORMS) {
    const { format, attributes, attributeResponse, rpcRequest, rpcResponse } = form;
    const isV1 = form === FORMS.v1;
    if (topic === attributes) return { kind: "attributePush", format, isV1, number: 0 };
    const numbered = [
      ["attributeAnswer", attributeResponse],
      ["rpcRequest", rpcRequest],
      ["questionAnswer", rpcResponse],
    ] as const;
    for (const [kind, prefix] of numbered) {
      const number = topic.startsWith(prefix) ? topic.slice(prefix.length) : "";
      if (/^-?[0-9]+$/.test(number)) return { kind, format, isV1, number: Number(number) };
    }
  }
  return undefined;
}
