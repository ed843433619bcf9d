import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { pushText } from "./device-session.ts";
import type { DeviceEvents } from "./ports.ts";
import { Waits, type WaitLimits } from "./waits.ts";

export type Push = { readonly kind: "push"; readonly text: CanonicalJson } | { readonly kind: "access-ended" };

/** Requests that wait for a change of their device's shared attributes. Listens to events only while somebody waits. */
export class PushWaits {
  readonly #events: DeviceEvents;
  readonly #waits: Waits<Push>;
  #unsubscribe: (() => void) | undefined;

  constructor({ clock, events }: { readonly clock: Clock; readonly events: DeviceEvents }, limits: WaitLimits) {
    this.#events = events;
    this.#waits = new Waits(clock, limits);
  }

  /** The device's next push; null after `timeoutMs`, or when `signal` aborts. @throws AppError TOO_MANY_REQUESTS */
  async next(deviceId: Uuid, timeoutMs: number, signal: AbortSignal): Promise<Push | null> {
    const next = this.#waits.next(deviceId, timeoutMs, signal);
    if (this.#waits.count > 0) this.#listen();
    try {
      return await next;
    } finally {
      if (this.#waits.count === 0) this.#stopListening();
    }
  }

  #listen(): void {
    this.#unsubscribe ??= this.#events.subscribe((event) => {
      const text = pushText(event);
      this.#waits.answerAll(event.deviceId, text === undefined ? { kind: "access-ended" } : { kind: "push", text });
    });
  }

  #stopListening(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }
}
