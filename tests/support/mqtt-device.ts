import { connect, ErrorWithSubackPacket, type IClientOptions, type MqttClient } from "mqtt";
import { waitFor, within, type WaitOptions } from "./wait-for.ts";

export interface ReceivedMessage {
  readonly topic: string;
  readonly payload: string;
}

/** A device as it is in the field: the stock MQTT client, which connects again by itself and repeats what has no PUBACK. */
export interface MqttDevice extends AsyncDisposable {
  readonly client: MqttClient;
  readonly received: readonly ReceivedMessage[];
  readonly isConnected: boolean;
  /** QoS 1; resolves with the PUBACK, however many connections that takes. */
  publish(topic: string, payload: unknown): Promise<void>;
  sendTelemetry(payload: unknown): Promise<void>;
  /** @returns the granted QoS, 128 when refused */
  subscribe(filter: string): Promise<number>;
  /** The first message on `topic` that was received and `accepts` takes; its payload parsed. */
  waitForMessage(topic: string, accepts?: (payload: unknown) => boolean, options?: WaitOptions): Promise<unknown>;
}

const CONNECT_DEADLINE_MS = 10_000;
const RECONNECT_MS = 100;
/** In a SUBACK. */
const REFUSED = 128;

/** @throws Error when the edge refuses the token or does not answer */
export async function connectDevice(url: string, token: string, options: IClientOptions = {}): Promise<MqttDevice> {
  const client = connect(url, { username: token, reconnectPeriod: RECONNECT_MS, keepalive: 30, ...options });
  const received: ReceivedMessage[] = [];
  client.on("message", (topic, payload) => received.push({ topic, payload: payload.toString() }));
  const connected = new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
  try {
    await within(`the MQTT connection to ${url}`, CONNECT_DEADLINE_MS, connected);
  } catch (error) {
    client.end(true);
    throw error;
  }
  // While an edge restarts, each attempt to connect fails; the client goes on trying.
  client.on("error", () => undefined);
  const publish = async (topic: string, payload: unknown): Promise<void> => {
    await client.publishAsync(topic, typeof payload === "string" ? payload : JSON.stringify(payload), { qos: 1 });
  };
  return {
    client,
    received,
    get isConnected() {
      return client.connected;
    },
    publish,
    sendTelemetry: (payload) => publish("v1/devices/me/telemetry", payload),
    async subscribe(filter) {
      try {
        const [grant] = await client.subscribeAsync(filter, { qos: 1 });
        return grant?.qos ?? REFUSED;
      } catch (error) {
        if (error instanceof ErrorWithSubackPacket) return REFUSED;
        throw error;
      }
    },
    async waitForMessage(topic, accepts = () => true, waitOptions = {}) {
      const message = await waitFor(
        `an MQTT message on ${topic}`,
        () => received.find((candidate) => candidate.topic === topic && accepts(JSON.parse(candidate.payload))),
        waitOptions,
      );
      return JSON.parse(message.payload) as unknown;
    },
    async [Symbol.asyncDispose]() {
      await client.endAsync(true);
    },
  };
}
