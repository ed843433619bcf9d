export interface OutgoingMessage {
  readonly topic: string;
  readonly text: string;
}

export interface OutgoingOptions {
  /** Messages of QoS 1 that wait for their PUBACK. */
  readonly inFlightMax: number;
  /** Messages that wait behind those. */
  readonly queueMax: number;
  /** Writes a message of QoS 1; false when it is not sent, as the device would not take it. */
  readonly transmit: (message: OutgoingMessage, messageId: number) => boolean;
}

const MESSAGE_ID_MAX = 65_535;

/** Messages of QoS 1 to one device: a window of those in flight and a queue behind it, in order. */
export class OutgoingMessages {
  readonly #options: OutgoingOptions;
  readonly #inFlight = new Set<number>();
  readonly #queue: OutgoingMessage[] = [];
  #lastMessageId = 0;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  /** Sends now or when it is its turn; false when the queue is full. */
  add(message: OutgoingMessage): boolean {
    const { inFlightMax, queueMax } = this.#options;
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

  #transmit(message: OutgoingMessage): void {
    do {
      this.#lastMessageId = (this.#lastMessageId % MESSAGE_ID_MAX) + 1;
    } while (this.#inFlight.has(this.#lastMessageId));
    if (this.#options.transmit(message, this.#lastMessageId)) this.#inFlight.add(this.#lastMessageId);
  }
}
