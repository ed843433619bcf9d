import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";

const EXPIRE_EVERY_MS = 1_000;
const REMOVE_EVERY_ROUNDS = 3_600;

export interface RpcUpkeepDeps {
  /** Ends requests to devices whose time is over. */
  readonly expire: (nowMs: number) => Promise<unknown>;
  /** Removes those that nobody asks for any more. @returns how many */
  readonly removeOld: (nowMs: number) => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Requests to devices expire within a second of their time, and leave when they are old. */
export function runRpcUpkeep({ expire, removeOld, clock, log }: RpcUpkeepDeps, signal: AbortSignal): Promise<void> {
  let rounds = 0;
  const round = async (): Promise<void> => {
    await expire(clock.nowMs());
    rounds += 1;
    if (rounds % REMOVE_EVERY_ROUNDS !== 0) return;
    const removed = await removeOld(clock.nowMs());
    if (removed > 0) log.info("Removed old requests to devices", { requests: removed });
  };
  const onError = (error: unknown): void =>
    log.warn("Requests to devices were not looked through; it is tried again", { error });
  const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
  return repeat(round, { intervalMs: EXPIRE_EVERY_MS, sleep, onError }, signal);
}
