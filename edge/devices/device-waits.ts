import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { pushText } from "./device-session.ts";
import type { DeviceEvent, DeviceEvents } from "./ports.ts";

export type WaitOutcome =
  | { readonly kind: "push"; readonly text: CanonicalJson }
  | { readonly kind: "timeout" }
  | { readonly kind: "access-ended" };

export interface DeviceWaits {
  /** The device's next push, as it is sent; "timeout" also when `signal` aborts. @throws AppError TOO_MANY_REQUESTS */
  nextPush(deviceId: Uuid, timeoutMs: number, signal: AbortSignal): Promise<WaitOutcome>;
}

type Waiter = (outcome: WaitOutcome) => void;

/** Long polls: each waits for one event of its device. Listens to events only while somebody waits. */
export function createDeviceWaits(
  deps: { readonly clock: Clock; readonly events: DeviceEvents },
  options: { readonly waitsMax: number },
): DeviceWaits {
  const waiters = new Map<Uuid, Set<Waiter>>();
  let waits = 0;
  let unsubscribe: (() => void) | undefined;

  return {
    nextPush: async (deviceId, timeoutMs, signal) => {
      if (waits >= options.waitsMax)
        throw new AppError("TOO_MANY_REQUESTS", `At most ${options.waitsMax} requests may wait at once`);
      const ended = new AbortController();
      const { promise, resolve } = Promise.withResolvers<WaitOutcome>();
      add(deviceId, resolve);
      const onAbort = (): void => resolve({ kind: "timeout" });
      signal.addEventListener("abort", onAbort, { once: true });
      deps.clock.sleep(timeoutMs, ended.signal).then(onAbort, () => undefined);
      try {
        return await promise;
      } finally {
        ended.abort();
        signal.removeEventListener("abort", onAbort);
        remove(deviceId, resolve);
      }
    },
  };

  function add(deviceId: Uuid, waiter: Waiter): void {
    waits += 1;
    unsubscribe ??= deps.events.subscribe(onEvent);
    const ofDevice = waiters.get(deviceId) ?? new Set();
    waiters.set(deviceId, ofDevice.add(waiter));
  }

  function remove(deviceId: Uuid, waiter: Waiter): void {
    waits -= 1;
    const ofDevice = waiters.get(deviceId);
    ofDevice?.delete(waiter);
    if (ofDevice?.size === 0) waiters.delete(deviceId);
    if (waits > 0) return;
    unsubscribe?.();
    unsubscribe = undefined;
  }

  function onEvent(event: DeviceEvent): void {
    const ofDevice = waiters.get(event.deviceId);
    if (ofDevice === undefined) return;
    const text = pushText(event);
    const outcome: WaitOutcome = text === undefined ? { kind: "access-ended" } : { kind: "push", text };
    for (const waiter of ofDevice) waiter(outcome);
  }
}
