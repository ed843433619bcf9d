import type { Random } from "../../shared/core/random.ts";
import { createSeededRandom } from "../../shared/core/random.ts";

/** Random choices of one simulated run. */
export class Dice {
  readonly random: Random;

  constructor(seed: number) {
    this.random = createSeededRandom(seed);
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + this.random.float() * (high - low);
  }

  /** A whole number in [low, high]. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.random.float() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.random.float() < probability;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random.float() * items.length)];
  }

  /** Waiting time until the next of events that come every `meanMs` on average. */
  exponentialMs(meanMs: number): number {
    return -Math.log(1 - this.random.float()) * meanMs;
  }
}
