// What payloads of the device API over MQTT are about, and how they are written.

/** What a device sends. */
export type UplinkPayload = "telemetry" | "attributes" | "attributeRequest" | "rpcAnswer" | "question" | "claim";
/** What it is sent. */
export type DownlinkPayload = "attributePush" | "attributeAnswer" | "rpcRequest" | "questionAnswer";

/** profile: as the profile of the device says, JSON if it says nothing. */
export type PayloadFormat = "profile" | "json" | "protobuf";

export interface PayloadForm {
  readonly kind: UplinkPayload;
  readonly format: PayloadFormat;
}
