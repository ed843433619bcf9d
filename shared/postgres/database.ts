import type { PostgresConnection } from "./connect.ts";

/**
 * - starting: not answering yet
 * - ready: accepts connections
 * - recovering: the server is up but replays its log after one of its processes crashed
 * - restarting: the server is down; the next attempt follows
 * - lost: another process took this external database over; only a restart of the program helps
 * - stopped: disposed
 */
export type DatabaseState = "starting" | "ready" | "recovering" | "restarting" | "lost" | "stopped";

export interface DatabaseStatus {
  readonly kind: "embedded" | "external";
  readonly state: DatabaseState;
  /** Wall time in ms since 1970 of the last change of `state`. */
  readonly sinceMs: number;
  /** The server's main process; embedded and running only. */
  readonly pid: number | undefined;
  /** How often the server or the connection that holds the lock had to be started anew. */
  readonly restarts: number;
  readonly lastError: { readonly code: string; readonly message: string } | undefined;
}

/** A database that the program may use until it is disposed, embedded or external. */
export interface Database extends AsyncDisposable {
  readonly connection: PostgresConnection;
  status(): DatabaseStatus;
  /** Calls `listener` after each change of state until the returned function is called. */
  subscribe(listener: (status: DatabaseStatus) => void): () => void;
}

/** The state of a database with its listeners; every transition passes through `move`. */
export class DatabaseStateHolder {
  #status: DatabaseStatus;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<(status: DatabaseStatus) => void>();

  constructor(kind: DatabaseStatus["kind"], nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#status = { kind, state: "starting", sinceMs: nowMs(), pid: undefined, restarts: 0, lastError: undefined };
  }

  status(): DatabaseStatus {
    return this.#status;
  }

  subscribe(listener: (status: DatabaseStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  move(state: DatabaseState, changes: Partial<Pick<DatabaseStatus, "pid" | "restarts" | "lastError">> = {}): void {
    const sinceMs = state === this.#status.state ? this.#status.sinceMs : this.#nowMs();
    this.#status = { ...this.#status, ...changes, state, sinceMs };
    for (const listener of this.#listeners) listener(this.#status);
  }
}
