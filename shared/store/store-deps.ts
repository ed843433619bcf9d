import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** What stores that make new rows need: time for `createdMs`, randomness for ids and tokens. */
export interface StoreDeps {
  readonly clock: Clock;
  readonly random: Random;
}
