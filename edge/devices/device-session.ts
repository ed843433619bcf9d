import { type Buffer, isUtf8 } from "node:buffer";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { KeyShapes } from "../../shared/entities/values-fast.ts";
import {
  joinValues,
  kindOf,
  readAttributes,
  readTelemetry,
  splitValues,
  textOf,
} from "../../shared/entities/values.ts";
import type { AttributeAnswer, AttributeRequest, DeviceEvent } from "./ports.ts";
import type { ServerTimes } from "./server-times.ts";

// What a device may send and gets back, the same in each protocol.

/** Payloads above it end the connection over MQTT. */
export const PAYLOAD_BYTES_MAX = 65_536;

/** Bytes as text. @throws AppError INVALID_PAYLOAD when they are not UTF-8 */
export function decodePayload(buffer: Buffer, start = 0, end = buffer.length): string {
  const text = buffer.toString("utf8", start, end);
  // A wrong sequence becomes U+FFFD; only then is it worth a look whether it was sent as such.
  if (text.includes("\ufffd") && !isUtf8(buffer.subarray(start, end))) {
    throw new AppError("INVALID_PAYLOAD", "Expected text in UTF-8");
  }
  return text;
}

/** Reads telemetry payloads of devices into records; one serves all connections of a listener. */
export class TelemetryIntake {
  readonly #shapes = new KeyShapes();
  readonly #times: ServerTimes;

  constructor(times: ServerTimes) {
    this.#times = times;
  }

  /** Adds the points of a payload to `records`. @throws AppError INVALID_PAYLOAD, then nothing was added */
  add(deviceId: Uuid, text: string, nowMs: number, records: TelemetryRecord[]): void {
    const serverMs = this.#times.next(deviceId, nowMs);
    for (const { tsMs, values, keySet } of readTelemetry(text, {
      nowMs: serverMs,
      nulls: "skip",
      shapes: this.#shapes,
    })) {
      if (tsMs === serverMs) this.#times.use(deviceId, serverMs);
      records.push({ entityId: deviceId, tsMs, values, keySet });
    }
  }
}

/** Client attributes of a payload, set now. @throws AppError INVALID_PAYLOAD */
export function readClientAttributes(text: string, nowMs: number): AttributeEntry[] {
  return readAttributes(text, { nulls: "skip" }).map(({ key, value }) => ({ key, value, updatedMs: nowMs }));
}

/**
 * `{"clientKeys":"a,b","sharedKeys":"c"}`; `{}` asks for all of both, one member alone for that group only.
 *
 * @throws AppError INVALID_PAYLOAD
 */
export function readAttributeRequest(text: string): AttributeRequest {
  const members = splitValues(text);
  return attributeRequest(keysIn(members, "clientKeys"), keysIn(members, "sharedKeys"));
}

/** The same from comma-separated lists; undefined means not given. */
export function attributeRequest(clientKeys: string | undefined, sharedKeys: string | undefined): AttributeRequest {
  if (clientKeys === undefined && sharedKeys === undefined) return { clientKeys: [], sharedKeys: [] };
  return {
    ...(clientKeys === undefined ? {} : { clientKeys: splitKeys(clientKeys) }),
    ...(sharedKeys === undefined ? {} : { sharedKeys: splitKeys(sharedKeys) }),
  };
}

/** `{"client":{"a":1},"shared":{"c":2}}`; empty groups are left out. */
export function attributeAnswerText(answer: AttributeAnswer): CanonicalJson {
  const groups: [string, CanonicalJson][] = [];
  if (answer.client !== undefined && answer.client.size > 0) groups.push(["client", joinValues(answer.client)]);
  if (answer.shared !== undefined && answer.shared.size > 0) groups.push(["shared", joinValues(answer.shared)]);
  return joinValues(groups);
}

/** What the device is told of a change: `{"limit":3}`, `{"deleted":["limit"]}`; undefined: nothing. */
export function pushText(event: DeviceEvent): CanonicalJson | undefined {
  switch (event.kind) {
    case "shared-saved":
      return joinValues(event.attributes.map(({ key, value }) => [key, value]));
    case "shared-deleted":
      return joinValues([["deleted", JSON.stringify(event.keys) as CanonicalJson]]);
    case "access-ended":
      return undefined;
    default:
      return event satisfies never;
  }
}

function keysIn(members: ReadonlyMap<string, CanonicalJson>, name: string): string | undefined {
  const value = members.get(name);
  if (value === undefined || value === "null") return undefined;
  if (kindOf(value) !== "string") {
    throw new AppError("INVALID_PAYLOAD", `Expected text of comma-separated keys in "${name}"`, { field: name });
  }
  return textOf(value);
}

function splitKeys(list: string): string[] {
  return list
    .split(",")
    .map((key) => key.trim())
    .filter((key) => key !== "");
}
