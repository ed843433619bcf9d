import type { Clock } from "../../shared/core/clock.ts";
import type { WakeUp } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";

export interface RuleTimer {
  /** From now on. */
  readonly inMs: number;
  /** What the clock of the program shows then, if nobody sets it. */
  readonly seenMs: number;
}

interface Running {
  readonly atMs: number;
  readonly seenMs: number;
}

/** One timer for the durations of all devices: whoever waits, waits for the first of them. */
export class RuleTimers {
  readonly #clock: Clock;
  readonly #onEarlier: () => void;
  readonly #byDevice = new Map<Uuid, Running>();
  /** At the latest: a timer that was taken back leaves it as it is, and somebody looks in vain. */
  #firstMs = Infinity;

  constructor(clock: Clock, onEarlier: () => void) {
    this.#clock = clock;
    this.#onEarlier = onEarlier;
  }

  get isEmpty(): boolean {
    return this.#byDevice.size === 0;
  }

  /** A duration may be over. */
  get isDue(): boolean {
    return this.#clock.monotonicMs() >= this.#firstMs;
  }

  has(deviceId: Uuid): boolean {
    return this.#byDevice.has(deviceId);
  }

  /** null: nothing is waited for. */
  set(deviceId: Uuid, timer: RuleTimer | null): void {
    if (timer === null) {
      this.#byDevice.delete(deviceId);
      return;
    }
    const atMs = this.#clock.monotonicMs() + timer.inMs;
    this.#byDevice.set(deviceId, { atMs, seenMs: timer.seenMs });
    if (atMs >= this.#firstMs) return;
    this.#firstMs = atMs;
    this.#onEarlier();
  }

  /** Devices with a duration that is over, and up to when. */
  takeDue(): ReadonlyMap<Uuid, number> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#firstMs) return NONE;
    const due = new Map<Uuid, number>();
    this.#firstMs = Infinity;
    for (const [id, { atMs, seenMs }] of this.#byDevice) {
      if (atMs <= nowMs) due.set(id, seenMs);
      else this.#firstMs = Math.min(this.#firstMs, atMs);
    }
    return due;
  }

  /** Until a duration may be over, or `signal` aborts. */
  async waitForDue(earlier: WakeUp, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const inMs = this.#firstMs - this.#clock.monotonicMs();
      if (inMs <= 0) return;
      const ended = new AbortController();
      const either = AbortSignal.any([signal, ended.signal]);
      const waits = [earlier.wait(either)];
      if (inMs < Infinity) waits.push(this.#clock.sleep(inMs, either));
      await Promise.race(waits).catch(() => undefined);
      ended.abort();
      await Promise.allSettled(waits);
    }
  }
}

const NONE: ReadonlyMap<Uuid, number> = new Map();
