import type { MqttDevice } from "../support/mqtt-device.ts";
import type { Reading } from "../support/readings.ts";
import { waitFor } from "../support/wait-for.ts";

/** A device with its connection, and what the edge has acknowledged of it. */
export interface ReplayDevice {
  readonly id: string;
  readonly name: string;
  readonly mqtt: MqttDevice;
  readonly acked: Map<number, Reading>;
}

/** Every device sends every reading, in order, at a steady rate. Connections may break meanwhile: the clients repeat. */
export interface Replay {
  readonly published: number;
  readonly total: number;
  /** Publishes up to `share` (0 to 1) of all messages and waits until all of them are acknowledged. */
  publishUpTo(share: number): Promise<void>;
  /** Until `share` of all messages is published. */
  reached(share: number): Promise<void>;
}

export interface ReplayOptions {
  readonly ratePerS: number;
  onProgress(acked: number): void;
}

/** A tenth of a second is sent at a time. */
const TICKS_PER_S = 10;
/** Unacknowledged messages at once: a broken link must not fill the memory. */
const IN_FLIGHT_MAX = 2000;
/** On top of the time that the rate takes, for the restarts in between. */
const ACK_SLACK_MS = 60_000;

export function createReplay(
  devices: readonly ReplayDevice[],
  readings: readonly Reading[],
  options: ReplayOptions,
): Replay {
  const total = devices.length * readings.length;
  const perTick = Math.ceil(options.ratePerS / TICKS_PER_S);
  let published = 0;
  let acked = 0;

  const publishNext = async (): Promise<void> => {
    const device = devices[published % devices.length];
    const reading = readings[Math.floor(published / devices.length)];
    if (device === undefined || reading === undefined) throw new Error(`Expected a message ${published} of ${total}`);
    published += 1;
    await sendReading(device, reading);
    acked += 1;
    options.onProgress(acked);
  };
  const publishTick = (end: number): void => {
    const count = Math.min(end - published, perTick, IN_FLIGHT_MAX - (published - acked));
    for (let index = 0; index < count; index += 1) void publishNext();
  };
  return {
    total,
    get published() {
      return published;
    },
    reached: async (share) =>
      void (await waitFor(`${share * 100} % to be published`, () => published >= share * total)),
    async publishUpTo(share) {
      const end = Math.round(share * total);
      const deadlineMs = ((end - published) / options.ratePerS) * 1000 + ACK_SLACK_MS;
      const tick = (): boolean => {
        publishTick(end);
        return acked >= end;
      };
      await waitFor(`${end} messages to be acknowledged`, tick, { deadlineMs, intervalMs: 1000 / TICKS_PER_S });
    },
  };
}

/** QoS 1; counts as acknowledged when the PUBACK is here. */
export async function sendReading(device: ReplayDevice, reading: Reading): Promise<void> {
  await device.mqtt.sendTelemetry(reading);
  device.acked.set(reading.ts, reading);
}
