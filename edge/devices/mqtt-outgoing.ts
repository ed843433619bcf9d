import { type MqttVersion, publish } from "./mqtt-packets.ts";
import type { MqttMessage } from "./mqtt-unit.ts";

export interface OutgoingOptions {
  readonly version: MqttVersion;
  /** Messages of QoS 1 that wait for their PUBACK. */
  readonly inFlightMax: number;
  /** Messages that wait behind those. */
  readonly queueMax: number;
  /** The largest packet that the device takes. */
  readonly packetBytesMax: number;
  readonly write: (packet: Uint8Array) => void;
  /** A message that is kept was sent, not for the first time perhaps. */
  readonly onSent: (seq: number) => void;
  /** It was acknowledged, or the device would never take it. */
  readonly onDelivered: (seq: number) => void;
  /** A message was not sent, since its packet has more bytes than the device takes. */
  readonly onTooLarge: (bytes: number) => void;
}

/** A message, with its number when it is kept beyond the connection. */
export interface OutgoingMessage extends MqttMessage {
  readonly seq?: number | undefined;
  /** It was sent over an earlier connection. */
  readonly isRepeated?: boolean;
  /** Told once: whether the device acknowledged it; of QoS 0 whether it was written. */
  readonly onDone?: ((isAcknowledged: boolean) => void) | undefined;
}

/** Packet ids of kept messages follow from their numbers, so that a repetition has the id of the first time. */
const KEPT_IDS = 32_767;
const OTHER_IDS = 32_768;

type Told = Pick<OutgoingMessage, "seq" | "onDone">;

/** Messages to one device. Of QoS 1: a window of those in flight and a queue behind it, in order. */
export class OutgoingMessages {
  readonly #options: OutgoingOptions;
  /** Packet ids with what is to be told of their message. */
  readonly #inFlight = new Map<number, Told>();
  readonly #queue: OutgoingMessage[] = [];
  #lastOther = 0;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  /** Sends now or when it is its turn; false when the queue is full. */
  add(message: OutgoingMessage): boolean {
    const { inFlightMax, queueMax } = this.#options;
    if (message.qos === 0) {
      const isWritten = this.#write(message, 0);
      message.onDone?.(isWritten);
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
    const told = this.#inFlight.get(messageId);
    if (told === undefined) return;
    this.#inFlight.delete(messageId);
    if (told.seq !== undefined) this.#options.onDelivered(told.seq);
    told.onDone?.(true);
    while (this.#inFlight.size < this.#options.inFlightMax) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#transmit(next);
    }
  }

  /** The connection is over: nothing is acknowledged any more. */
  close(): void {
    for (const { onDone } of [...this.#inFlight.values(), ...this.#queue]) onDone?.(false);
    this.#inFlight.clear();
    this.#queue.length = 0;
  }

  #transmit(message: OutgoingMessage): void {
    const { seq, onDone } = message;
    const messageId = seq === undefined ? this.#otherId() : (seq % KEPT_IDS) + 1;
    const isWritten = this.#write(message, messageId);
    if (isWritten) this.#inFlight.set(messageId, { seq, onDone });
    else onDone?.(false);
    if (seq === undefined) return;
    if (isWritten) this.#options.onSent(seq);
    else this.#options.onDelivered(seq);
  }

  #otherId(): number {
    do {
      this.#lastOther = (this.#lastOther + 1) % OTHER_IDS;
    } while (this.#inFlight.has(OTHER_IDS + this.#lastOther));
    return OTHER_IDS + this.#lastOther;
  }

  #write(message: OutgoingMessage, messageId: number): boolean {
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
