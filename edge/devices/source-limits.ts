import { type AttemptLimiter, createAttemptLimiter } from "../../shared/core/attempt-limiter.ts";
import type { Clock } from "../../shared/core/clock.ts";
import type { Log } from "../../shared/observe/log.ts";

/** What one address may do, whatever device it says to be. */
export interface SourceLimitSettings {
  /** Connections of MQTT at once; undefined: as many as there is room for. */
  readonly connectionsMax?: number | undefined;
  /** Sign-ins with credentials that nobody has, over MQTT and HTTP; undefined: any number. */
  readonly failedLogins?: { readonly count: number; readonly seconds: number } | undefined;
}

/** Beyond its limit an address is told so, by this many times its limit of connections; further ones end unheard. */
const TOLD_FACTOR = 2;
/** An address is named in the log so often at most, all of them together. */
const LOG_EVERY_MS = 10_000;

export class SourceLimits {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #log: Log;
  readonly #settings: SourceLimitSettings;
  readonly #connections = new Map<string, number>();
  readonly #logins: AttemptLimiter | null;
  #loggedMs = -Infinity;

  constructor(
    { clock, log }: { readonly clock: Pick<Clock, "monotonicMs">; readonly log: Log },
    settings: SourceLimitSettings,
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#settings = settings;
    const { failedLogins } = settings;
    this.#logins =
      failedLogins === undefined
        ? null
        : createAttemptLimiter(clock, "to sign in from this address", {
            failuresMax: failedLogins.count,
            windowMs: failedLogins.seconds * 1000,
          });
  }

  /**
   * A connection came; each one is given back by `close`.
   *
   * @returns refuse: tell it that its address has too many; destroy: it has far too many
   */
  open(address: string): "serve" | "refuse" | "destroy" {
    const count = (this.#connections.get(address) ?? 0) + 1;
    this.#connections.set(address, count);
    const { connectionsMax } = this.#settings;
    if (connectionsMax === undefined || count <= connectionsMax) return "serve";
    this.#warn("An address has more connections than it may have; further ones are refused", { address, count });
    return count > connectionsMax * TOLD_FACTOR ? "destroy" : "refuse";
  }

  close(address: string): void {
    const left = (this.#connections.get(address) ?? 1) - 1;
    if (left === 0) this.#connections.delete(address);
    else this.#connections.set(address, left);
  }

  /** @returns for how many ms nobody signs in from there; 0: anybody may */
  blockedMs(address: string): number {
    return this.#logins?.waitMs(address) ?? 0;
  }

  /** @throws AppError TOO_MANY_REQUESTS */
  check(address: string): void {
    this.#logins?.check(address);
  }

  /** Somebody showed credentials that no device has. */
  noteFailure(address: string): void {
    if (this.#logins?.fail(address) === true)
      this.#warn("An address is refused for sign-ins with wrong credentials", {
        address,
        waitMs: Math.round(this.blockedMs(address)),
      });
  }

  #warn(message: string, fields: Record<string, unknown>): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#loggedMs < LOG_EVERY_MS) return;
    this.#loggedMs = nowMs;
    this.#log.warn(message, fields);
  }
}
