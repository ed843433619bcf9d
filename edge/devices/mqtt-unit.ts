import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { attributeAnswerText, readAttributeRequest, readClientAttributes } from "./device-session.ts";
import type { TelemetryIntake } from "./device-session.ts";
import type { GatewayMessage, GatewaySession } from "./gateway-session.ts";
import type { AttributeRequest, AuthenticatedDevice, DeviceData } from "./ports.ts";
import type { Subscriptions, TopicForm, UplinkTopic } from "./topics.ts";
import { GATEWAY_ATTRIBUTES_RESPONSE } from "./topics.ts";

/**
 * What one read of the socket brought: saved together, acknowledged together in one write, in the order of arrival.
 * MQTT wants acknowledgements in that order, so a unit that is stored waits for the ones before it.
 */
export interface Unit {
  readonly records: TelemetryRecord[];
  readonly attributes: Map<string, AttributeEntry>;
  readonly requests: { readonly form: TopicForm; readonly requestId: string; readonly request: AttributeRequest }[];
  /** About devices behind a gateway. */
  readonly behind: GatewayMessage[];
  /** kind << 24 | packet id << 8 | reason. */
  readonly acknowledgements: number[];
  readonly answers: { readonly topic: string; readonly qos: number; readonly text: string }[];
  messages: number;
  bytes: number;
  state: "collecting" | "saving" | "done" | "failed";
}

export function createUnit(): Unit {
  return {
    records: [],
    attributes: new Map(),
    requests: [],
    behind: [],
    acknowledgements: [],
    answers: [],
    messages: 0,
    bytes: 0,
    state: "collecting",
  };
}

export interface UnitSource {
  readonly device: AuthenticatedDevice;
  /** Null: the device is no gateway. */
  readonly gateway: GatewaySession | null;
  readonly intake: TelemetryIntake;
}

export type ServedTopic = Exclude<UplinkTopic, { kind: "unknown" }>;

/**
 * Adds a message to the unit.
 *
 * @returns false: the device may not publish there
 * @throws AppError INVALID_PAYLOAD, then nothing was added
 */
export function addToUnit(
  unit: Unit,
  { device, gateway, intake }: UnitSource,
  message: { readonly topic: ServedTopic; readonly text: string; readonly nowMs: number },
): boolean {
  const { topic, text, nowMs } = message;
  switch (topic.kind) {
    case "telemetry":
      intake.add(device.deviceId, text, nowMs, unit.records);
      return true;
    case "attributes":
      for (const entry of readClientAttributes(text, nowMs)) unit.attributes.set(entry.key, entry);
      return true;
    case "attribute-request":
      unit.requests.push({ form: topic.form, requestId: topic.requestId, request: readAttributeRequest(text) });
      return true;
    case "gateway":
      if (gateway === null) return false;
      unit.behind.push(gateway.read(topic.message, text, nowMs));
      return true;
  }
}

export interface UnitSink {
  readonly deviceId: Uuid;
  readonly gateway: GatewaySession | null;
  readonly data: DeviceData;
  readonly subscriptions: Subscriptions;
}

/** Resolves when everything of the unit is committed and its answers are there. */
export async function saveUnit(unit: Unit, { data, deviceId, gateway, subscriptions }: UnitSink): Promise<void> {
  if (unit.attributes.size === 0 && unit.requests.length === 0 && unit.behind.length === 0) {
    if (unit.records.length > 0) await data.saveTelemetry(unit.records);
    return;
  }
  const [, , behind] = await Promise.all([
    unit.records.length > 0 ? data.saveTelemetry(unit.records) : undefined,
    unit.attributes.size > 0 ? data.saveClientAttributes(deviceId, [...unit.attributes.values()]) : undefined,
    unit.behind.length > 0 ? gateway?.save(unit.behind) : undefined,
  ]);
  // Asked after the saves, so that a device reads what it has just written.
  for (const { form, requestId, request } of unit.requests) {
    const text = attributeAnswerText(await data.readAttributes(deviceId, request));
    unit.answers.push({ ...subscriptions.attributeResponse(form, requestId), text });
  }
  const topic = GATEWAY_ATTRIBUTES_RESPONSE;
  for (const text of behind ?? []) unit.answers.push({ topic, qos: subscriptions.qosOf(topic) ?? 1, text });
}
