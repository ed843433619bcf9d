import type { MqttMessage } from "./mqtt-handlers.ts";
import { type MqttVersion, publish } from "./mqtt-packets.ts";

export interface OutgoingOptions {
  readonly version: MqttVersion;
  /** Messages of QoS 1 that wait for their PUBACK. */
  readonly inFlightMax: number;
  /** Messages that wait behind those. */
  readonly queueMax: number;
  /** The largest packet that the device takes. */
  readonly packetBytesMax: number;
  readonly write: (packet: Uint8Array) => void;
  /** A message was not sent, since its packet has more bytes than the device takes. */
  readonly onTooLarge: (bytes: number) => void;
}

const MESSAGE_ID_MAX = 65_535;

/** Messages to one device. Of QoS 1: a window of those in flight and a queue behind it, in order. */
export class OutgoingMessages {
  readonly #options: OutgoingOptions;
  readonly #inFlight = new Set<number>();
  readonly #queue: MqttMessage[] = [];
  #lastMessageId = 0;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  /** Sends now or when it is its turn; false when the queue is full. */
  add(message: MqttMessage): boolean {
    const { inFlightMax, queueMax } = this.#options;
    if (message.qos === 0) {
      this.#write(message, 0);
      return true;
    }
    if (this.#inFlight.size < inFlightMax) {
      this.#transmit(message);
      return true;
    }
    if (this.#queue.length >= queueMax) return false;
    this.#queue.push(message);
    return true;
  }

  acknowledge(messageId: number): void {
    this.#inFlight.delete(messageId);
    while (this.#inFlight.size < this.#options.inFlightMax) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#transmit(next);
    }
  }

  #transmit(message: MqttMessage): void {
    do {
      this.#lastMessageId = (this.#lastMessageId % MESSAGE_ID_MAX) + 1;
    } while (this.#inFlight.has(this.#lastMessageId));
    if (this.#write(message, this.#lastMessageId)) this.#inFlight.add(this.#lastMessageId);
  }

  #write(message: MqttMessage, messageId: number): boolean {
    const { version, packetBytesMax, write, onTooLarge } = this.#options;
    const packet = publish(version, { ...message, messageId });
    if (packet.length > packetBytesMax) {
      onTooLarge(packet.length);
      return false;
    }
    write(packet);
    return true;
  }
}
