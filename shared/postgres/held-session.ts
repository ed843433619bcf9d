import { backoffDelayMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { Log } from "../observe/log.ts";
import { closeSql, databaseError, openSql, type PostgresConnection, type Sql } from "./connect.ts";

export interface HeldSessionDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

export interface HeldSessionOptions {
  readonly connection: PostgresConnection;
  readonly applicationName: string;
  /** Runs on each new session before it counts as held; what it throws is a failure to open it. */
  readonly setUp: (sql: Sql) => Promise<void>;
  /** For a session that listens. */
  readonly onNotification?: (payload: string) => void;
  /** The session ended or fell silent. Must not throw. */
  readonly onLost?: () => void;
  /** A session is held again. Must not throw. */
  readonly onBack?: () => void;
  /** An attempt to open it again failed. Must not throw. @returns whether to try again. @default always */
  readonly onFailure?: (error: AppError) => boolean;
  /** How long each attempt to connect may take. @default 10_000 */
  readonly connectTimeoutMs?: number;
  /** How often the idle session is asked whether it still is one: a server may vanish without a word. @default 5_000 */
  readonly probeIntervalMs?: number;
  /** How long it may take to answer. @default 5_000 */
  readonly probeTimeoutMs?: number;
}

export interface HeldSession extends AsyncDisposable {
  /** Runs on the session of now. @throws AppError DATABASE_UNAVAILABLE while there is none, or what `work` throws */
  run<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}

const BACKOFF = { baseMs: 100, maxMs: 10_000 };

/**
 * One connection that stays open for what only a session can have: a lock, a subscription, the knowledge that the server is there.
 *
 * Modes: held; lost, when the connection closed or did not answer a probe; held again by the first attempt that succeeds, or given up
 * when `onFailure` says so. Resolves when it is held for the first time.
 *
 * @throws whatever the first attempt threw
 */
export async function openHeldSession(deps: HeldSessionDeps, options: HeldSessionOptions): Promise<HeldSession> {
  const held = new HeldConnection(deps, options);
  await held.open();
  return held;
}

interface Connected {
  readonly sql: Sql;
  /** Resolves when the connection closed, for whatever reason. */
  readonly closed: Promise<void>;
}

class HeldConnection implements HeldSession {
  readonly #deps: HeldSessionDeps;
  readonly #options: HeldSessionOptions;
  readonly #stopping = new AbortController();
  #current: Connected | null = null;
  #keeper: Promise<void> = Promise.resolve();

  constructor(deps: HeldSessionDeps, options: HeldSessionOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async open(): Promise<void> {
    this.#keeper = this.#keep(await this.#connect());
  }

  async run<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    if (this.#current === null) throw new AppError("DATABASE_UNAVAILABLE", "The session with PostgreSQL is lost");
    return work(this.#current.sql);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new AppError("CANCELLED", "The session is being closed"));
    await this.#keeper;
  }

  async #keep(first: Connected): Promise<void> {
    const { log } = this.#deps;
    const { applicationName, onBack, onLost } = this.#options;
    for (let next: Connected | null = first; next !== null; next = await this.#reconnect()) {
      if (next !== first) {
        log.info("The session with PostgreSQL is held again", { applicationName });
        onBack?.();
      }
      await this.#untilLost(next);
      this.#current = null;
      await closeSql(next.sql, this.#stopping.signal.aborted ? 1_000 : 0);
      if (this.#stopping.signal.aborted) return;
      log.warn("The session with PostgreSQL is lost; it is opened again", { applicationName });
      onLost?.();
    }
  }

  /** null: stopped, or given up. */
  async #reconnect(): Promise<Connected | null> {
    const { clock, log, random } = this.#deps;
    const { applicationName, onFailure } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 0; ; attempt += 1) {
      try {
        await clock.sleep(backoffDelayMs(attempt, random, 0, BACKOFF), signal);
        return await this.#connect();
      } catch (thrown) {
        if (signal.aborted) return null;
        const error = databaseError(thrown);
        log.debug("The session with PostgreSQL can't be opened yet", { applicationName, error, attempt });
        if (onFailure?.(error) === false) return null;
      }
    }
  }

  async #connect(): Promise<Connected> {
    const { applicationName, connection, connectTimeoutMs = 10_000, onNotification, setUp } = this.#options;
    const closed = Promise.withResolvers<void>();
    const sql = openSql(
      connection,
      {
        applicationName,
        max: 1,
        idleTimeoutMs: 0,
        arrays: false,
        connectTimeoutMs,
        onClose: closed.resolve,
        ...(onNotification === undefined ? {} : { onNotification }),
      },
      this.#deps.log,
    );
    try {
      await setUp(sql);
    } catch (error) {
      await closeSql(sql, 0);
      throw error;
    }
    this.#current = { sql, closed: closed.promise };
    return this.#current;
  }

  /** Until the connection closes, does not answer, or nobody needs it any more. */
  async #untilLost({ sql, closed }: Connected): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, over.signal]);
    void closed.then(() => over.abort(new AppError("DATABASE_UNAVAILABLE", "The connection was closed")));
    try {
      for (;;) {
        await this.#deps.clock.sleep(this.#options.probeIntervalMs ?? 5_000, signal);
        await this.#probe(sql, signal);
      }
    } catch {
      // Closed, silent or stopped: all the same to who holds it.
    }
  }

  async #probe(sql: Sql, signal: AbortSignal): Promise<void> {
    const { probeTimeoutMs = 5_000 } = this.#options;
    const over = new AbortController();
    const onAbort = (): void => over.abort(signal.reason);
    const limit = async (): Promise<never> => {
      await this.#deps.clock.sleep(probeTimeoutMs, over.signal);
      throw new AppError("DATABASE_UNAVAILABLE", "PostgreSQL does not answer");
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([sql`select 1`, limit()]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      over.abort();
    }
  }
}
