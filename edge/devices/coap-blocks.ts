import { Buffer } from "node:buffer";
import type { Clock } from "../../shared/core/clock.ts";
import { type CoapAnswer, bodyBytes, refusal } from "./coap-answers.ts";
import { CODE } from "./coap-codes.ts";
import type { Block } from "./coap-message.ts";

// Bodies that are larger than a datagram, in both directions, while they are on their way. What is not asked for again in time goes, and
// so does the oldest when there are too many.

/** How long a part may keep the other side waiting. */
const KEPT_MS = 60_000;
const KEPT_MAX = 256;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

interface Kept {
  readonly bytes: number;
  usedMs: number;
}

/** A map that forgets what was not used for KEPT_MS, and the oldest beyond its limits. */
class Keep<T extends Kept> {
  readonly #clock: Clock;
  readonly #items = new Map<string, T>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): T | undefined {
    this.sweep();
    return this.#items.get(key);
  }

  set(key: string, item: T): void {
    this.delete(key);
    this.#items.set(key, item);
    this.#bytes += item.bytes;
    for (const oldest of this.#items.keys()) {
      if (this.#items.size <= KEPT_MAX && this.#bytes <= KEPT_BYTES_MAX) break;
      this.delete(oldest);
    }
    this.sweep();
  }

  delete(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    this.#bytes -= item.bytes;
    this.#items.delete(key);
  }

  sweep(): void {
    const before = this.#clock.monotonicMs() - KEPT_MS;
    for (const [key, { usedMs }] of this.#items) if (usedMs < before) this.delete(key);
  }
}

interface Gathering extends Kept {
  readonly parts: readonly Uint8Array[];
}

/** What arrives in blocks. */
export class Bodies {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #keep: Keep<Gathering>;

  constructor(clock: Clock, bytesMax: number) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.#keep = new Keep(clock);
  }

  /** The whole body with its last block; else what the block is answered: go on, or why not. */
  take(key: string, block: Block, payload: Uint8Array): Uint8Array | CoapAnswer {
    const before = block.number === 0 ? { parts: [], bytes: 0 } : this.#keep.get(key);
    if (before === undefined || before.bytes !== block.number * block.size) {
      return refusal(CODE.incomplete, "Expected the block that follows; begin anew");
    }
    const bytes = before.bytes + payload.length;
    if (bytes > this.#bytesMax) {
      this.#keep.delete(key);
      return refusal(CODE.tooLarge, `The body has more than ${this.#bytesMax} bytes`);
    }
    if (block.hasMore && payload.length !== block.size) return refusal(CODE.badRequest, "A block that is not full");
    // Datagrams are the socket's; what stays is a copy.
    const parts = [...before.parts, Uint8Array.from(payload)];
    if (block.hasMore) {
      this.#keep.set(key, { parts, bytes, usedMs: this.#clock.monotonicMs() });
      return { code: CODE.continue, body: new Uint8Array(0) };
    }
    this.#keep.delete(key);
    return Buffer.concat(parts);
  }

  sweep(): void {
    this.#keep.sweep();
  }
}

interface KeptAnswer extends Kept {
  readonly answer: CoapAnswer;
}

/** Answers of which the rest is asked for in blocks. */
export class Answers {
  readonly #clock: Clock;
  readonly #keep: Keep<KeptAnswer>;
  #etag = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#keep = new Keep(clock);
  }

  /** @returns the answer with a tag of its own, if it had none */
  keep(key: string, given: CoapAnswer): CoapAnswer {
    this.#etag = (this.#etag + 1) >>> 0;
    const answer = given.etag === undefined ? { ...given, etag: this.#etag } : given;
    const bytes = answer.body instanceof Uint8Array ? bodyBytes(answer.body) : 0;
    this.#keep.set(key, { answer, bytes, usedMs: this.#clock.monotonicMs() });
    return answer;
  }

  find(key: string): CoapAnswer | undefined {
    const kept = this.#keep.get(key);
    if (kept !== undefined) kept.usedMs = this.#clock.monotonicMs();
    return kept?.answer;
  }

  sweep(): void {
    this.#keep.sweep();
  }
}
