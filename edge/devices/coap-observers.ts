import type { Uuid } from "../../shared/core/ids.ts";
import { type CoapAnswer, emptyAnswer } from "./coap-answers.ts";
import { CODE } from "./coap-codes.ts";
import type { CoapPeer, Delivery } from "./coap-exchanges.ts";
import { peerKey } from "./coap-exchanges.ts";

/** What a device may watch: what it is told first, and what it is told later. */
export interface Observable {
  /** Of a device one observation of each name lives. */
  readonly name: string;
  /**
   * Begins to watch: `notify` is called with each news from now on, `end` when the device may not watch any more.
   *
   * @returns the function that ends it
   */
  watch(deviceId: Uuid, watcher: Watcher): () => void;
}

export interface Watcher {
  /** Whether the device has acknowledged it; never rejects. */
  readonly notify: (answer: CoapAnswer) => Promise<boolean>;
  readonly end: () => void;
}

/** Who watches: by address and token answers find their request. */
export interface Observer {
  readonly deviceId: Uuid;
  readonly peer: CoapPeer;
  readonly token: Uint8Array;
  /** Of the resource, for the rest of a large answer. */
  readonly uri: string;
}

export interface ObserversDeps {
  /** @param sequence absent: the last one */
  readonly deliver: (observer: Observer, answer: CoapAnswer, sequence: number | undefined) => Promise<Delivery>;
}

export interface ObserversLimits {
  readonly observersMax: number;
  /** News that wait for the device to acknowledge the one before; beyond it the observation ends, and the device asks anew. */
  readonly queueMax: number;
}

interface News {
  readonly answer: CoapAnswer;
  readonly done: (isAcknowledged: boolean) => void;
}

interface Observation extends Observer {
  readonly queue: News[];
  stop: () => void;
  /** The first answer is out: news may follow. */
  isOpen: boolean;
  isSending: boolean;
  sequence: number;
}

const SEQUENCE_MAX = 0xffffff;

/** The observations of all devices. News go out one after the other, each when the one before is acknowledged. */
export class Observers {
  readonly #deps: ObserversDeps;
  readonly #limits: ObserversLimits;
  readonly #byKey = new Map<string, Observation>();

  constructor(deps: ObserversDeps, limits: ObserversLimits) {
    this.#deps = deps;
    this.#limits = limits;
  }

  get count(): number {
    return this.#byKey.size;
  }

  /**
   * Begins an observation; another one of the same kind by the device ends. Nothing is sent until `open` of the result is called.
   *
   * @returns null: there are too many
   */
  add(observable: Observable, observer: Observer): { readonly sequence: number; readonly open: () => void } | null {
    const key = `${observer.deviceId} ${observable.name}`;
    const former = this.#byKey.get(key);
    if (former === undefined && this.#byKey.size >= this.#limits.observersMax) return null;
    if (former !== undefined) {
      this.#remove(key, former);
      if (!isSame(former, observer)) void this.#deps.deliver(former, emptyAnswer(CODE.deleted), undefined);
    }
    const sequence = former === undefined ? 1 : nextSequence(former.sequence);
    const observation: Observation = {
      ...observer,
      queue: [],
      stop: () => undefined,
      isOpen: false,
      isSending: false,
      sequence,
    };
    this.#byKey.set(key, observation);
    observation.stop = observable.watch(observer.deviceId, {
      notify: (answer) => this.#enqueue(key, observation, answer),
      end: () => {
        this.#remove(key, observation);
        void this.#deps.deliver(observation, emptyAnswer(CODE.unauthorized), undefined);
      },
    });
    return {
      sequence,
      open: () => {
        observation.isOpen = true;
        void this.#pump(key, observation);
      },
    };
  }

  /** Ends the observation that the device has under this token. */
  cancel({ name }: Pick<Observable, "name">, observer: Pick<Observer, "deviceId" | "peer" | "token">): void {
    const key = `${observer.deviceId} ${name}`;
    const observation = this.#byKey.get(key);
    if (observation !== undefined && isSame(observation, observer)) this.#remove(key, observation);
  }

  /** Ends all, without a word. */
  close(): void {
    for (const [key, observation] of this.#byKey) this.#remove(key, observation);
  }

  #remove(key: string, observation: Observation): void {
    if (this.#byKey.get(key) === observation) this.#byKey.delete(key);
    for (const { done } of observation.queue.splice(0)) done(false);
    observation.stop();
  }

  #enqueue(key: string, observation: Observation, answer: CoapAnswer): Promise<boolean> {
    if (this.#byKey.get(key) !== observation) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    observation.queue.push({ answer, done: resolve });
    if (observation.queue.length > this.#limits.queueMax) this.#remove(key, observation);
    else void this.#pump(key, observation);
    return promise;
  }

  async #pump(key: string, observation: Observation): Promise<void> {
    if (!observation.isOpen || observation.isSending) return;
    observation.isSending = true;
    for (let news = observation.queue.shift(); news !== undefined; news = observation.queue.shift()) {
      observation.sequence = nextSequence(observation.sequence);
      const delivery = await this.#deps.deliver(observation, news.answer, observation.sequence);
      news.done(delivery === "acknowledged");
      if (delivery !== "acknowledged") this.#remove(key, observation);
    }
    observation.isSending = false;
  }
}

function nextSequence(sequence: number): number {
  return (sequence + 1) & SEQUENCE_MAX;
}

function isSame(left: Pick<Observer, "peer" | "token">, right: Pick<Observer, "peer" | "token">): boolean {
  return peerKey(left.peer) === peerKey(right.peer) && left.token.join() === right.token.join();
}
