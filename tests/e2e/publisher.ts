import type { MqttDevice } from "../support/mqtt-device.ts";
import type { Reading } from "../support/readings.ts";
import { waitFor } from "../support/wait-for.ts";

/** Publishes one after the other, several in flight, until told to stop; keeps what was acknowledged. */
export class Publisher {
  readonly acked: Reading[] = [];
  readonly #mqtt: MqttDevice;
  #published = 0;
  #isStopped = false;

  constructor(mqtt: MqttDevice) {
    this.#mqtt = mqtt;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: 8 }, () => this.#runOne()));
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Until the edge acknowledges again. */
  async waitForAcks(count = 50): Promise<void> {
    const target = this.acked.length + count;
    await waitFor("the edge to acknowledge messages", () => this.acked.length >= target, { deadlineMs: 30_000 });
  }

  async #runOne(): Promise<void> {
    while (!this.#isStopped) {
      const reading = { ts: 1_700_000_000_000 + this.#published * 1000, values: { n: this.#published } };
      this.#published += 1;
      await this.#mqtt.sendTelemetry(reading);
      this.acked.push(reading);
      await Bun.sleep(1);
    }
  }
}
