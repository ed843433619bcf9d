import type { Buffer } from "node:buffer";
import { AppError } from "../../shared/core/errors.ts";
import type { DeviceErrors } from "./device-errors.ts";
import type { MessageSession, MqttTopics, Taken } from "./mqtt-handlers.ts";
import { takeLimited } from "./mqtt-limited.ts";
import type { MqttCounters } from "./mqtt-limits.ts";
import type { MqttVersion } from "./mqtt-packets.ts";
import { checkTopic, type ReceivedPublish } from "./mqtt-publish.ts";
import { END_REASONS, type EndReason, REASON } from "./mqtt-reasons.ts";
import type { Unit } from "./mqtt-unit.ts";
import { findRoute, type MqttProfiles, readPayload } from "./payloads.ts";
import type { RateLimits } from "./rate-limits.ts";

export interface TakingHost {
  readonly topics: MqttTopics;
  readonly rates: RateLimits;
  readonly errors: DeviceErrors;
  readonly counters: MqttCounters;
  readonly profiles: MqttProfiles;
}

export interface Taking {
  readonly session: MessageSession;
  readonly version: MqttVersion;
  readonly unit: Unit;
}

export interface Message {
  /** Where the payload lies. */
  readonly buffer: Buffer;
  readonly packet: ReceivedPublish;
  readonly nowMs: number;
}

/** The connection ends, since the device would not learn otherwise that its message was not taken. */
export interface ConnectionEnd {
  readonly end: EndReason;
  readonly detail: string;
}

/**
 * Takes a message into the unit.
 *
 * @returns the reason code for its acknowledgement
 * @throws MalformedPacket when no message can have the topic
 */
export function takeMessage(
  host: TakingHost,
  taking: Taking,
  { buffer, packet, nowMs }: Message,
): number | ConnectionEnd {
  const { topic, payloadStart, payloadEnd, qos } = packet;
  const { session, unit } = taking;
  const profile = host.profiles.of(session.device);
  const route = findRoute(host.topics, profile, topic);
  if (route === undefined) return refuse(host, session, { topic, why: "not-served" });
  try {
    const text = readPayload(route, profile, { buffer, start: payloadStart, end: payloadEnd });
    const message = { topic, levels: route.levels, text, nowMs };
    const taken = host.rates.isLimited(session.device)
      ? takeLimited(host.rates, route, { message, unit, session })
      : route.take(message, unit, session);
    if (taken === "taken") return REASON.success;
    if (typeof taken === "string") return refuse(host, session, { topic, why: taken });
    const { exceeded: detail, isBehind, names } = taken;
    if (taking.version === 5) dropBehind(session, names);
    return failWith(host, taking, { end: "rate-limited", detail, isBehind, qos, code: REASON.quotaExceeded });
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== "INVALID_PAYLOAD") throw thrown;
    const isAcknowledged = profile?.isInvalidAcknowledged;
    const ending = { end: "invalid-payload", detail: thrown.message, isAcknowledged } as const;
    return failWith(host, taking, { ...ending, qos, code: REASON.payloadInvalid });
  }
}

/** Tells a gateway, which need not have subscribed to it, that devices behind it sent too much and are served no more until it names them again. */
function dropBehind(session: MessageSession, names: readonly string[]): void {
  for (const name of names) {
    if (session.gateway?.drop(name) !== true) continue;
    const payload = JSON.stringify({ device: name, reason: END_REASONS["rate-limited"].code });
    session.send({ topic: "v1/gateway/disconnect", qos: 1, payload });
  }
}

interface Failure extends ConnectionEnd {
  readonly qos: number;
  readonly code: number;
  /** Whatever the version. @default false */
  readonly isAcknowledged?: boolean | undefined;
  /** Of devices behind a gateway, which over MQTT 5 is told otherwise: then QoS 0 ends nothing. @default false */
  readonly isBehind?: boolean;
}

/** MQTT 5 can refuse a message alone, if it is acknowledged. */
function failWith(
  { counters, errors }: TakingHost,
  { session, version }: Taking,
  { code, qos, isAcknowledged = false, isBehind = false, ...ending }: Failure,
): number | ConnectionEnd {
  counters.publishesRejected += 1;
  const isTold = qos === 0 ? version === 5 && isBehind : version === 5 || isAcknowledged;
  if (!isTold) return ending;
  errors.note(session.device.deviceId, `${END_REASONS[ending.end].text}: ${ending.detail}`);
  return code;
}

function refuse(
  { counters, errors }: TakingHost,
  { device }: MessageSession,
  { topic, why }: { readonly topic: string; readonly why: Exclude<Taken, "taken"> },
): number {
  if (why === "not-served") checkTopic(topic);
  counters.publishesRejected += 1;
  if (why === "gateways-only") {
    errors.note(device.deviceId, `The topic ${topic} is for gateways, and the device is none`);
    return REASON.notAuthorized;
  }
  const shown = JSON.stringify(topic.slice(0, 100));
  errors.note(device.deviceId, `The topic ${shown} is not served; the message was ignored`);
  return REASON.topicNotServed;
}
