import type { Clock } from "./clock.ts";

export interface BucketLimits {
  /** What flows into each bucket. */
  readonly perS: number;
  /** What a bucket holds at most: how much may come at once. */
  readonly burst: number;
  /** Buckets that are remembered; the one that was used longest ago is forgotten first, as if it were full. @default 10_000 */
  readonly keysMax?: number;
}

interface Bucket {
  /** Below 0: a debt. */
  level: number;
  atMs: number;
}

/** A rate limit per key, with bounded memory. */
export class TokenBuckets {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #limits: BucketLimits;
  /** In the order of use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Pick<Clock, "monotonicMs">, limits: BucketLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** @returns 0 when `count` were taken; else nothing was, and it is the time in ms until they can be */
  take(key: string, count: number): number {
    const bucket = this.#use(key);
    if (bucket.level < count) return this.#untilMs(count - bucket.level);
    bucket.level -= count;
    return 0;
  }

  /** Takes `count` in any case. @returns the time in ms until the bucket is without debt */
  charge(key: string, count: number): number {
    const bucket = this.#use(key);
    bucket.level -= count;
    return bucket.level >= 0 ? 0 : this.#untilMs(-bucket.level);
  }

  #untilMs(missing: number): number {
    return Math.ceil((missing / this.#limits.perS) * 1000);
  }

  #use(key: string): Bucket {
    const { perS, burst, keysMax = 10_000 } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const known = this.#buckets.get(key);
    const level = known === undefined ? burst : Math.min(burst, known.level + ((nowMs - known.atMs) * perS) / 1000);
    const bucket = { level, atMs: nowMs };
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size > keysMax && oldest.done === false) this.#buckets.delete(oldest.value);
    return bucket;
  }
}
