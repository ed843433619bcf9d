import type { Clock } from "../../shared/core/clock.ts";
import type { Random } from "../../shared/core/random.ts";
import { encodeMessage, TYPE, type CoapMessage } from "./coap-message.ts";

/** Where datagrams come from and go to. */
export interface CoapPeer {
  readonly address: string;
  readonly port: number;
}

export type SendDatagram = (bytes: Uint8Array, peer: CoapPeer) => void;

export function peerKey({ address, port }: CoapPeer): string {
  return `${address} ${port}`;
}

/** How long a message may still be repeated (RFC 7252 section 4.8.2). */
const EXCHANGE_LIFETIME_MS = 247_000;
/** Beyond it the oldest is forgotten; when it is repeated after that, it is served again. */
const EXCHANGES_MAX = 4096;

/** A request that must not be served twice. */
export interface Exchange {
  readonly atMs: number;
  /** An empty acknowledgement was sent: the answer comes by itself. */
  isAcknowledged: boolean;
  /** As it was sent; undefined: the request is being served. */
  answer: Uint8Array | undefined;
}

/** Requests by the peers that sent them and their message ids. */
export class Exchanges {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Exchange>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The exchange, and whether the request came before. */
  open(peer: CoapPeer, messageId: number): { readonly exchange: Exchange; readonly isRepeated: boolean } {
    this.sweep();
    const key = `${peerKey(peer)} ${messageId}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return { exchange: known, isRepeated: true };
    const exchange: Exchange = { atMs: this.#clock.monotonicMs(), isAcknowledged: false, answer: undefined };
    this.#byKey.set(key, exchange);
    if (this.#byKey.size > EXCHANGES_MAX) this.#byKey.delete(this.#byKey.keys().next().value ?? "");
    return { exchange, isRepeated: false };
  }

  /** They lie in the order in which they came. */
  sweep(): void {
    const before = this.#clock.monotonicMs() - EXCHANGE_LIFETIME_MS;
    for (const [key, { atMs }] of this.#byKey) {
      if (atMs >= before) return;
      this.#byKey.delete(key);
    }
  }
}

const ACK_TIMEOUT_MS = 2000;
const ACK_RANDOM_FACTOR = 0.5;
const RETRANSMITS_MAX = 4;

/** reset: the peer does not know what it is about. lost: it does not answer. */
export type Delivery = "acknowledged" | "reset" | "lost";

/** Messages that are repeated until the peer acknowledges them. */
export class ReliableSender {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #send: SendDatagram;
  readonly #waiting = new Map<string, (delivery: Delivery) => void>();
  #messageId: number;

  constructor(deps: { readonly clock: Clock; readonly random: Random; readonly send: SendDatagram }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#send = deps.send;
    this.#messageId = Math.floor(deps.random.float() * 0x10000);
  }

  nextMessageId(): number {
    this.#messageId = (this.#messageId + 1) & 0xffff;
    return this.#messageId;
  }

  /** The peer has answered a message of ours. */
  settle(peer: CoapPeer, messageId: number, delivery: Delivery): void {
    this.#waiting.get(`${peerKey(peer)} ${messageId}`)?.(delivery);
  }

  /** Resolves at last after some 90 s; at once when `signal` aborts. */
  async deliver(
    peer: CoapPeer,
    message: Omit<CoapMessage, "type" | "messageId">,
    signal: AbortSignal,
  ): Promise<Delivery> {
    const messageId = this.nextMessageId();
    const bytes = encodeMessage({ ...message, type: TYPE.confirmable, messageId });
    const key = `${peerKey(peer)} ${messageId}`;
    const answered = Promise.withResolvers<Delivery>();
    const settled = new AbortController();
    this.#waiting.set(key, (delivery) => {
      answered.resolve(delivery);
      settled.abort();
    });
    const stop = AbortSignal.any([signal, settled.signal]);
    let waitMs = ACK_TIMEOUT_MS * (1 + ACK_RANDOM_FACTOR * this.#random.float());
    try {
      for (let sent = 0; sent <= RETRANSMITS_MAX && !stop.aborted; sent += 1, waitMs *= 2) {
        this.#send(bytes, peer);
        await this.#clock.sleep(waitMs, stop).catch(() => undefined);
      }
      answered.resolve("lost");
      return await answered.promise;
    } finally {
      this.#waiting.delete(key);
    }
  }
}
