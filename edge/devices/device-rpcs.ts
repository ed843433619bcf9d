import type { Clock } from "../../shared/core/clock.ts";
import { shareAnswer, WakeUp } from "../../shared/core/deferred.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import {
  isRpcDone,
  readRpcJson,
  rpcStatus,
  withStep,
  type CallOutcome,
  type NewStep,
  type RpcRecord,
} from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { DeviceCalls, type DeviceCall } from "./device-calls.ts";
import type { DeviceRpcs, DeviceRpcStore, RpcReceiver, RpcToDevice, TakenRpc } from "./rpc-ports.ts";

// Requests to devices on this edge: those that are kept wait in the database, the others in memory with who waits for the answer.
//
// A request that is kept is sent by attempts. That an attempt begins is on disk before anything is sent, so a crash at whatever moment
// costs an attempt, and none is made twice. An attempt that nobody was there to take goes on when somebody is.

export interface DeviceRpcsDeps {
  readonly store: DeviceRpcStore;
  readonly clock: Clock;
  readonly log: Log;
}

export interface DeviceRpcHub extends DeviceRpcs {
  /** Sends a request and waits for what comes of it. @throws AppError TOO_MANY_REQUESTS */
  call(record: RpcRecord): Promise<CallOutcome>;
  /** A request was made, or something happened to one, and is committed. */
  note(record: RpcRecord, leftMs: number): void;
  /** Ends what expires, until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

interface DeviceState {
  readonly receivers: Set<RpcReceiver>;
  /** Requests of which an attempt is under way. */
  readonly inHand: Set<Uuid>;
  /** Attempts that have begun, with nobody there to take them. */
  unsent: TakenRpc[];
  isPumping: boolean;
  isWoken: boolean;
}

/** Requests that are taken from the database at once. */
const TAKEN_MAX = 100;
/** The clock may jump: deadlines are looked for again so often at least. */
const LOOK_EVERY_MS = 3_600_000;
const RETRY_MS = 1_000;
/** What clocks are set by more than this is a jump. */
const CLOCK_JUMP_MS = 10_000;

export function createDeviceRpcs(deps: DeviceRpcsDeps): DeviceRpcHub {
  return new Hub(deps);
}

class Hub implements DeviceRpcHub {
  readonly #deps: DeviceRpcsDeps;
  readonly #devices = new Map<Uuid, DeviceState>();
  readonly #calls: DeviceCalls;
  /** Devices with something in the database that may have to be sent. */
  readonly #waiting = new Set<Uuid>();
  readonly #numbers = new Map<Uuid, number>();
  readonly #wakeUp = new WakeUp();
  #isReady = false;
  /** What the wall clock is ahead of the monotonic one. */
  #wallOffsetMs: number;
  #removedMs = -Infinity;

  constructor(deps: DeviceRpcsDeps) {
    this.#deps = deps;
    this.#calls = new DeviceCalls(deps.clock);
    this.#wallOffsetMs = deps.clock.nowMs() - deps.clock.monotonicMs();
  }

  receive(deviceId: Uuid, receiver: RpcReceiver): () => void {
    this.#stateOf(deviceId).receivers.add(receiver);
    void this.#pump(deviceId);
    return () => {
      this.#devices.get(deviceId)?.receivers.delete(receiver);
      this.#forgetIdle(deviceId);
    };
  }

  async answer(deviceId: Uuid, number: number, text: string): Promise<void> {
    const response = readAnswer(text);
    if (this.#calls.answer(deviceId, number, response)) return;
    await this.#deps.store.answer(deviceId, number, response);
  }

  call(record: RpcRecord): Promise<CallOutcome> {
    return this.#call(record, record.expirationMs - this.#deps.clock.nowMs(), () => undefined);
  }

  note(record: RpcRecord, leftMs: number): void {
    const { id, deviceId, isPersistent } = record;
    const status = rpcStatus(record);
    if (!isPersistent) {
      // What was reported from here comes by, too.
      if (status === "QUEUED" && leftMs > 0) void this.#callForCloud(record, leftMs);
      return;
    }
    const state = this.#devices.get(deviceId);
    if (isRpcDone(record) && state?.unsent.some((taken) => taken.id === id) === true) {
      state.unsent = state.unsent.filter((taken) => taken.id !== id);
      state.inHand.delete(id);
    }
    if (status !== "QUEUED" && status !== "TIMEOUT") return;
    this.#waiting.add(deviceId);
    this.#wakeUp.signal();
    void this.#pump(deviceId);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, store } = this.#deps;
    while (!signal.aborted) {
      try {
        await this.#followClock();
        if (!this.#isReady) await this.#findWaiting();
        await this.#removeOld();
        const deadlineMs = await store.firstDeadlineMs();
        const leftMs = deadlineMs === null ? LOOK_EVERY_MS : deadlineMs - clock.nowMs();
        if (leftMs <= 0) await store.expire();
        else await this.#sleep(Math.min(leftMs, LOOK_EVERY_MS), signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn("Requests to devices were not looked through; it is tried again", { error });
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  /** A gateway without a clock of its own begins in 1970, and jumps when it hears the time. */
  readonly #followClock = shareAnswer(async (): Promise<void> => {
    const { clock, log, store } = this.#deps;
    const jumpMs = clock.nowMs() - clock.monotonicMs() - this.#wallOffsetMs;
    if (Math.abs(jumpMs) < CLOCK_JUMP_MS) return;
    await store.moveDeadlines(jumpMs);
    this.#wallOffsetMs += jumpMs;
    log.info("The wall clock jumped; requests to devices keep the time that was left", { jumpMs: Math.round(jumpMs) });
    for (const state of this.#devices.values()) {
      for (const [index, taken] of state.unsent.entries())
        state.unsent[index] = { ...taken, deadlineMs: taken.deadlineMs + jumpMs };
    }
    this.#wakeUp.signal();
  });

  async #removeOld(): Promise<void> {
    const { clock, store } = this.#deps;
    if (clock.monotonicMs() - this.#removedMs < LOOK_EVERY_MS) return;
    await store.removeOld();
    this.#removedMs = clock.monotonicMs();
  }

  async #findWaiting(): Promise<void> {
    for (const deviceId of await this.#deps.store.findWaiting()) this.#waiting.add(deviceId);
    this.#isReady = true;
    for (const deviceId of this.#devices.keys()) void this.#pump(deviceId);
  }

  /** Until the time is over, or something was made that may end earlier. */
  async #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const both = [this.#wakeUp.wait(either), this.#deps.clock.sleep(delayMs, either)];
    await Promise.race(both).finally(() => over.abort());
    await Promise.allSettled(both);
  }

  #stateOf(deviceId: Uuid): DeviceState {
    const known = this.#devices.get(deviceId);
    if (known !== undefined) return known;
    const state = {
      receivers: new Set<RpcReceiver>(),
      inHand: new Set<Uuid>(),
      unsent: [],
      isPumping: false,
      isWoken: false,
    };
    this.#devices.set(deviceId, state);
    return state;
  }

  #forgetIdle(deviceId: Uuid): void {
    const state = this.#devices.get(deviceId);
    if (state === undefined || state.isPumping) return;
    if (state.receivers.size + state.inHand.size + state.unsent.length === 0) this.#devices.delete(deviceId);
  }

  /** Sends what waits for the device to those who take it; one round at a time. */
  async #pump(deviceId: Uuid): Promise<void> {
    const state = this.#devices.get(deviceId);
    if (state === undefined) return;
    state.isWoken = true;
    if (state.isPumping) return;
    state.isPumping = true;
    try {
      while (state.isWoken && state.receivers.size > 0) {
        state.isWoken = false;
        await this.#sendWaiting(deviceId, state);
      }
    } catch (error) {
      this.#deps.log.warn("Requests to a device were not sent; it is tried again", { deviceId, error });
      void this.#deps.clock.sleep(RETRY_MS).then(() => this.#pump(deviceId));
    } finally {
      state.isPumping = false;
      this.#forgetIdle(deviceId);
    }
  }

  async #sendWaiting(deviceId: Uuid, state: DeviceState): Promise<void> {
    await this.#followClock();
    await this.#loadNumber(deviceId);
    for (const call of this.#calls.waitingFor(deviceId)) {
      if (state.receivers.size === 0) return;
      void this.#sendCall(deviceId, state, call);
    }
    const unsent = state.unsent;
    state.unsent = [];
    for (const taken of unsent) void this.#attempt(deviceId, state, taken);
    while (this.#waiting.has(deviceId) && state.receivers.size > 0) {
      const max = [...state.receivers].every(({ isOnce }) => isOnce) ? 1 : TAKEN_MAX;
      this.#waiting.delete(deviceId);
      const taking = this.#deps.store.take(deviceId, {
        inHand: state.inHand,
        max,
        number: () => this.#takeNumber(deviceId),
      });
      const taken = await taking.catch((error: unknown) => {
        this.#waiting.add(deviceId);
        throw error;
      });
      if (taken.length === max) this.#waiting.add(deviceId);
      for (const one of taken) void this.#attempt(deviceId, state, one);
    }
  }

  async #attempt(deviceId: Uuid, state: DeviceState, taken: TakenRpc): Promise<void> {
    const { clock, log, store } = this.#deps;
    state.inHand.add(taken.id);
    if (taken.deadlineMs <= clock.nowMs()) {
      state.inHand.delete(taken.id);
      return;
    }
    if (state.receivers.size === 0) {
      state.unsent.push(taken);
      return;
    }
    const isDelivered = await this.#deliver(state, taken.request);
    try {
      const again = await store.note(taken, isDelivered ? "DELIVERED" : "TIMEOUT");
      if (again) this.#waiting.add(deviceId);
    } catch (error) {
      // The attempt counts as lost then, whatever came of it.
      this.#waiting.add(deviceId);
      log.warn("It was not stored whether a request reached its device", { deviceId, rpcId: taken.id, error });
    } finally {
      state.inHand.delete(taken.id);
    }
    void this.#pump(deviceId);
  }

  /** To everybody who takes requests for the device. @returns whether the device acknowledged it to one of them */
  async #deliver({ receivers }: DeviceState, request: RpcToDevice): Promise<boolean> {
    const sent = [...receivers].map(async (receiver): Promise<void> => {
      if (receiver.isOnce) receivers.delete(receiver);
      if (!(await receiver.deliver(request)))
        throw new AppError("CANCELLED", "The device did not acknowledge the request");
    });
    return Promise.any(sent).then(
      () => true,
      () => false,
    );
  }

  async #call(record: RpcRecord, leftMs: number, onSent: () => void): Promise<CallOutcome> {
    const { deviceId } = record;
    this.#stateOf(deviceId);
    const outcome = this.#calls.start(record, leftMs, onSent);
    void this.#pump(deviceId);
    return outcome.finally(() => this.#forgetIdle(deviceId));
  }

  async #sendCall(deviceId: Uuid, state: DeviceState, call: DeviceCall): Promise<void> {
    const { method, params } = call.record;
    const number = this.#takeNumber(deviceId);
    this.#calls.sent(call, number);
    if (await this.#deliver(state, { number, method, params })) this.#calls.delivered(call);
  }

  /** The cloud waits for the answer. */
  async #callForCloud(record: RpcRecord, leftMs: number): Promise<void> {
    const { clock, log, store } = this.#deps;
    const attempt = 1;
    let known = record;
    const tell = async (...steps: readonly Omit<NewStep, "atMs">[]): Promise<void> => {
      const atMs = Math.round(clock.nowMs());
      known = steps.reduce<RpcRecord>((before, step) => withStep(before, { ...step, atMs }), known);
      await store.report(known);
    };
    const fail = (error: unknown): void => log.warn("What came of a request of the cloud was not reported", { error });
    try {
      const outcome = await this.#call(record, leftMs, () => void tell({ status: "SENT", attempt }).catch(fail));
      const delivered = { status: "DELIVERED", attempt } as const;
      switch (outcome.kind) {
        case "delivered":
          return await tell(delivered);
        case "answered":
          return await tell(delivered, { status: "SUCCESSFUL", attempt: 0, response: outcome.response });
        case "unreadable":
          return await tell(delivered, { status: "FAILED", attempt: 0 });
        case "no-answer":
        case "no-connection":
          // Whoever waits has stopped, too.
          return;
        default:
          return outcome satisfies never;
      }
    } catch (error) {
      fail(error);
    }
  }

  async #loadNumber(deviceId: Uuid): Promise<void> {
    if (this.#numbers.has(deviceId)) return;
    const next = await this.#deps.store.nextNumber(deviceId);
    if (!this.#numbers.has(deviceId)) this.#numbers.set(deviceId, next);
  }

  #takeNumber(deviceId: Uuid): number {
    const number = this.#numbers.get(deviceId) ?? 0;
    this.#numbers.set(deviceId, number + 1);
    return number;
  }
}

/** null: it is no JSON. An empty one stands for nothing to say. */
function readAnswer(text: string): CanonicalJson | null {
  try {
    return text.trim() === "" ? readRpcJson("null") : readRpcJson(text);
  } catch {
    return null;
  }
}
