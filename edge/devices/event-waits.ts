import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { DeviceEvent, DeviceEvents } from "./ports.ts";
import { Waits, type WaitLimits } from "./waits.ts";

/** Its connections end: what waits is told why. */
export type AccessEnded = Extract<DeviceEvent, { kind: "access-ended" }>;

export interface EventWaitsDeps<T> {
  readonly clock: Clock;
  readonly events: DeviceEvents;
  /** What an event of the device answers; undefined: nothing. */
  readonly answerOf: (event: DeviceEvent) => T | undefined;
}

/** Requests that wait for something that happens to their device. Listens to events only while somebody waits. */
export class EventWaits<T> {
  readonly #deps: EventWaitsDeps<T>;
  readonly #waits: Waits<T>;
  #unsubscribe: (() => void) | undefined;

  constructor(deps: EventWaitsDeps<T>, limits: WaitLimits) {
    this.#deps = deps;
    this.#waits = new Waits(deps.clock, limits);
  }

  /** What the device is answered next; null after `timeoutMs`, or when `signal` aborts. @throws AppError TOO_MANY_REQUESTS */
  async next(deviceId: Uuid, timeoutMs: number, signal: AbortSignal): Promise<T | null> {
    const next = this.#waits.next(deviceId, timeoutMs, signal);
    if (this.#waits.count > 0) this.#listen();
    try {
      return await next;
    } finally {
      if (this.#waits.count === 0) this.#stopListening();
    }
  }

  /** Answers the request of the device that waits the longest. @returns false: none waits */
  answerOne(deviceId: Uuid, outcome: T): boolean {
    return this.#waits.answerOne(deviceId, outcome);
  }

  #listen(): void {
    const { answerOf, events } = this.#deps;
    this.#unsubscribe ??= events.subscribe((event) => {
      const outcome = answerOf(event);
      if (outcome !== undefined) this.#waits.answerAll(event.deviceId, outcome);
    });
  }

  #stopListening(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }
}
