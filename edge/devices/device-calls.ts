import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { CallOutcome, RpcRecord } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";

/** Requests to devices that somebody waits for. */
const CALLS_MAX = 1_000;

export interface DeviceCall {
  readonly record: RpcRecord;
  /** null: nobody was there yet to send it to. */
  number: number | null;
  readonly onSent: () => void;
  readonly end: (outcome: CallOutcome) => void;
}

/** Requests that are not kept: each lives as long as somebody waits for its answer, and is sent once. */
export class DeviceCalls {
  readonly #clock: Clock;
  readonly #byDevice = new Map<Uuid, Set<DeviceCall>>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with what came of it, after `leftMs` at the latest. @throws AppError TOO_MANY_REQUESTS */
  async start(record: RpcRecord, leftMs: number, onSent: () => void): Promise<CallOutcome> {
    if (this.#count >= CALLS_MAX)
      throw new AppError("TOO_MANY_REQUESTS", `${CALLS_MAX} requests to devices wait for their answers already`);
    const { promise, resolve } = Promise.withResolvers<CallOutcome>();
    const call: DeviceCall = { record, number: null, onSent, end: resolve };
    const over = new AbortController();
    this.#add(call);
    this.#clock.sleep(Math.max(0, leftMs), over.signal).then(
      () => resolve({ kind: call.number === null ? "no-connection" : "no-answer" }),
      () => undefined,
    );
    try {
      return await promise;
    } finally {
      over.abort();
      this.#remove(call);
    }
  }

  /** Not sent yet, in the order in which they came. */
  waitingFor(deviceId: Uuid): readonly DeviceCall[] {
    return [...(this.#byDevice.get(deviceId) ?? [])].filter(({ number }) => number === null);
  }

  sent(call: DeviceCall, number: number): void {
    call.number = number;
    call.onSent();
  }

  /** The device has it. */
  delivered({ record, end }: DeviceCall): void {
    if (record.isOneway) end({ kind: "delivered" });
  }

  /** @param response null: it is no JSON. @returns false: no call has this number */
  answer(deviceId: Uuid, number: number, response: CanonicalJson | null): boolean {
    for (const call of this.#byDevice.get(deviceId) ?? []) {
      if (call.number !== number) continue;
      if (call.record.isOneway) call.end({ kind: "delivered" });
      else call.end(response === null ? { kind: "unreadable" } : { kind: "answered", response });
      return true;
    }
    return false;
  }

  #add(call: DeviceCall): void {
    this.#count += 1;
    const { deviceId } = call.record;
    this.#byDevice.set(deviceId, (this.#byDevice.get(deviceId) ?? new Set<DeviceCall>()).add(call));
  }

  #remove(call: DeviceCall): void {
    const { deviceId } = call.record;
    const ofDevice = this.#byDevice.get(deviceId);
    if (ofDevice?.delete(call) !== true) return;
    this.#count -= 1;
    if (ofDevice.size === 0) this.#byDevice.delete(deviceId);
  }
}
