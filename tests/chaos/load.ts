import { connect, type MqttClient } from "mqtt";
import type { Dice } from "../sim/dice.ts";
import type { TestDevice } from "../support/rest-client.ts";
import { waitFor } from "../support/wait-for.ts";

/** Time stamp of message 0 of every device; message n has this plus n. */
export const FIRST_TS_MS = 1_700_000_000_000;
/** The key of the client attribute that counts up, and of the shared attribute that the cloud counts up. */
export const COUNTER = "counter";
export const LIMIT = "limit";

const TELEMETRY_TOPIC = "v1/devices/me/telemetry";
const ATTRIBUTES_TOPIC = "v1/devices/me/attributes";
/** Unacknowledged messages of a device: then it waits, as one with little memory. */
const IN_FLIGHT_MAX = 60;
const BURST = 40;
const BURST_CHANCE = 0.01;
const COUNTER_CHANCE = 0.04;
const RECONNECT_MS = 100;

/** What belongs to message n beside its number: finds values that were mixed up. */
export function checkOf(n: number): number {
  return (n * 7_919) % 1_000_003;
}

/**
 * A device with the stock MQTT client, which connects again by itself and repeats what has no PUBACK. It counts: message n
 * carries n, so every message is told from every other.
 */
export class LoadDevice {
  readonly device: TestDevice;
  /** Messages 0 to attempted - 1 were given to the client. */
  attempted = 0;
  readonly acked = new Set<number>();
  /** Client attribute: values 1 to counterAttempted were given to the client, in this order. */
  counterAttempted = 0;
  counterAcked = 0;
  /** Values of the shared attribute, in the order in which they were pushed. */
  readonly limits: number[] = [];
  readonly #url: string;
  readonly #dice: Dice;
  #connection: Connection;

  constructor(url: string, device: TestDevice, dice: Dice) {
    this.#url = url;
    this.#dice = dice;
    this.device = device;
    this.#connection = this.#connect();
  }

  /** Publishes at about `perS` messages until told to stop. */
  async run(perS: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await Bun.sleep(this.#dice.between(0, 2_000 / perS));
      const count = this.#dice.chance(BURST_CHANCE) ? BURST : 1;
      for (let sent = 0; sent < count && this.#connection.inFlight < IN_FLIGHT_MAX; sent += 1) this.#publishNext();
    }
  }

  /** It loses its power and memory: what has no PUBACK is never sent again. */
  loseConnection(): void {
    this.#connection.client.end(true);
    this.#connection = this.#connect();
  }

  /** Until everything that it still remembers is acknowledged. */
  async settle(deadlineMs: number): Promise<void> {
    const isSettled = (): boolean => this.#connection.inFlight === 0;
    await waitFor(`the edge to acknowledge all messages of ${this.device.name}`, isSettled, { deadlineMs });
  }

  stop(): void {
    this.#connection.client.end(true);
  }

  #publishNext(): void {
    const connection = this.#connection;
    const n = this.attempted;
    this.attempted += 1;
    publish(connection, TELEMETRY_TOPIC, { ts: FIRST_TS_MS + n, values: { n, check: checkOf(n) } }, () =>
      this.acked.add(n),
    );
    if (!this.#dice.chance(COUNTER_CHANCE)) return;
    const value = this.counterAttempted + 1;
    this.counterAttempted = value;
    publish(connection, ATTRIBUTES_TOPIC, { [COUNTER]: value }, () => {
      this.counterAcked = Math.max(this.counterAcked, value);
    });
  }

  #connect(): Connection {
    const client = connect(this.#url, {
      username: this.device.token,
      clientId: this.device.id,
      reconnectPeriod: RECONNECT_MS,
      connectTimeout: 5_000,
      keepalive: 5,
    });
    // While the edge is down each attempt fails; the client goes on trying.
    client.on("error", () => undefined);
    client.on("message", (_topic, payload) => this.#note(payload.toString()));
    client.subscribe(ATTRIBUTES_TOPIC, { qos: 1 }, () => undefined);
    return { client, inFlight: 0 };
  }

  #note(payload: string): void {
    const parsed: unknown = JSON.parse(payload);
    if (typeof parsed !== "object" || parsed === null) return;
    const value: unknown = (parsed as Record<string, unknown>)[LIMIT];
    if (typeof value === "number") this.limits.push(value);
  }
}

interface Connection {
  readonly client: MqttClient;
  inFlight: number;
}

/** An error means that the client forgot the message: nobody knows what became of it. */
function publish(connection: Connection, topic: string, payload: object, onAcked: () => void): void {
  connection.inFlight += 1;
  connection.client.publish(topic, JSON.stringify(payload), { qos: 1 }, (error) => {
    connection.inFlight -= 1;
    if (error === undefined || error === null) onAcked();
  });
}
