import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";

export interface WaitLimits {
  /** Requests that wait at once. @default 1000 */
  readonly waitsMax?: number;
  /** Of these of one device. @default 10 */
  readonly waitsPerDeviceMax?: number;
}

interface Waiter<T> {
  readonly answer: (outcome: T | null) => void;
}

/**
 * Requests of devices that are held until something happens to their device (long polls), in the order in which they came.
 *
 * @example
 * const outcome = await waits.next(deviceId, timeoutMs, signal);
 * if (outcome === null) return emptyAnswer(408);
 */
export class Waits<T> {
  readonly #clock: Clock;
  readonly #limits: Required<WaitLimits>;
  readonly #byDevice = new Map<Uuid, Set<Waiter<T>>>();
  #count = 0;

  constructor(clock: Clock, { waitsMax = 1000, waitsPerDeviceMax = 10 }: WaitLimits = {}) {
    this.#clock = clock;
    this.#limits = { waitsMax, waitsPerDeviceMax };
  }

  /** Requests that wait now. */
  get count(): number {
    return this.#count;
  }

  /** What the device is answered next; null after `timeoutMs`, or when `signal` aborts. @throws AppError TOO_MANY_REQUESTS */
  async next(deviceId: Uuid, timeoutMs: number, signal: AbortSignal): Promise<T | null> {
    const { promise, resolve } = Promise.withResolvers<T | null>();
    const waiter: Waiter<T> = { answer: resolve };
    this.#add(deviceId, waiter);
    const ended = new AbortController();
    const giveUp = (): void => resolve(null);
    try {
      if (signal.aborted) return null;
      signal.addEventListener("abort", giveUp, { once: true });
      this.#clock.sleep(timeoutMs, ended.signal).then(giveUp, () => undefined);
      return await promise;
    } finally {
      ended.abort();
      signal.removeEventListener("abort", giveUp);
      this.#remove(deviceId, waiter);
    }
  }

  /** Answers every request of the device. */
  answerAll(deviceId: Uuid, outcome: T): void {
    for (const waiter of this.#byDevice.get(deviceId) ?? []) this.#answer(deviceId, waiter, outcome);
  }

  /** Answers the request of the device that waits the longest. @returns false: none waits */
  answerOne(deviceId: Uuid, outcome: T): boolean {
    for (const waiter of this.#byDevice.get(deviceId) ?? []) {
      this.#answer(deviceId, waiter, outcome);
      return true;
    }
    return false;
  }

  #answer(deviceId: Uuid, waiter: Waiter<T>, outcome: T): void {
    this.#remove(deviceId, waiter);
    waiter.answer(outcome);
  }

  #add(deviceId: Uuid, waiter: Waiter<T>): void {
    const { waitsMax, waitsPerDeviceMax } = this.#limits;
    const ofDevice = this.#byDevice.get(deviceId) ?? new Set<Waiter<T>>();
    if (ofDevice.size >= waitsPerDeviceMax) throw tooMany(`of one device, at most ${waitsPerDeviceMax}`);
    if (this.#count >= waitsMax) throw tooMany(`at most ${waitsMax}`);
    this.#count += 1;
    this.#byDevice.set(deviceId, ofDevice.add(waiter));
  }

  #remove(deviceId: Uuid, waiter: Waiter<T>): void {
    const ofDevice = this.#byDevice.get(deviceId);
    if (ofDevice?.delete(waiter) !== true) return;
    this.#count -= 1;
    if (ofDevice.size === 0) this.#byDevice.delete(deviceId);
  }
}

function tooMany(limit: string): AppError {
  return new AppError("TOO_MANY_REQUESTS", `Too many requests wait already: ${limit}`);
}
