import { PAYLOAD_BYTES_MAX } from "./device-session.ts";
import type { ConnectRefusal } from "./mqtt-reasons.ts";

export interface MqttLimits {
  /** Payload of a publish; more ends the connection. @default 65_536 */
  readonly payloadBytesMax: number;
  /** CONNECT, whose sender is not known yet. @default 16_384 */
  readonly connectBytesMax: number;
  /** From the connection to its CONNECT, and for checking the credentials. @default 10_000 */
  readonly connectTimeoutMs: number;
  /** Without any packet, for devices that ask for no keep-alive. @default 600_000 */
  readonly idleTimeoutMs: number;
  /** Publishes of a connection that wait for their commit; above it the connection is not read. @default 1000 */
  readonly inFlightMax: number;
  /** Bytes of their payloads, likewise. @default 1_048_576 */
  readonly inFlightBytesMax: number;
  /** Messages to a device that wait for their PUBACK. @default 100 */
  readonly outgoingInFlightMax: number;
  /** Messages to a device that wait behind those; one more ends the connection. @default 1000 */
  readonly outgoingQueueMax: number;
  /** Bytes to a device that its link has not taken; more ends the connection. @default 1_048_576 */
  readonly outgoingBytesMax: number;
  /** Filters that a connection may hold; further ones are refused. @default 100 */
  readonly subscriptionsMax: number;
  /** The longest that a session is kept without a connection; also where the device names no time (3.1.1). @default 604_800 */
  readonly sessionExpiryMaxS: number;
  /** How long a connection that ends may take to write out its last answers. @default 2000 */
  readonly endTimeoutMs: number;
}

export const DEFAULT_MQTT_LIMITS: MqttLimits = {
  payloadBytesMax: PAYLOAD_BYTES_MAX,
  connectBytesMax: 16_384,
  connectTimeoutMs: 10_000,
  idleTimeoutMs: 600_000,
  inFlightMax: 1000,
  inFlightBytesMax: 1_048_576,
  outgoingInFlightMax: 100,
  outgoingQueueMax: 1000,
  outgoingBytesMax: 1_048_576,
  subscriptionsMax: 100,
  sessionExpiryMaxS: 604_800,
  endTimeoutMs: 2000,
};

/** Room for topic, packet id and properties beside the payload. */
export const PUBLISH_OVERHEAD_BYTES = 1024;

/** Changes that a device waits for while its session opens. */
export const EARLY_EVENTS_MAX = 1000;

/** Messages of QoS 2 that were stored and wait for their PUBREL. */
export const UNRELEASED_MAX = 1000;

export interface MqttCounters {
  connectionsOpened: number;
  readonly connectionsRefused: Map<ConnectRefusal, number>;
  publishesReceived: number;
  publishesRejected: number;
  publishesAcknowledged: number;
  messagesSent: number;
  messagesDropped: number;
}

export function createMqttCounters(): MqttCounters {
  return {
    connectionsOpened: 0,
    connectionsRefused: new Map(),
    publishesReceived: 0,
    publishesRejected: 0,
    publishesAcknowledged: 0,
    messagesSent: 0,
    messagesDropped: 0,
  };
}
