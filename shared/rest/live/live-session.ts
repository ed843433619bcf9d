import { AppError } from "../../core/errors.ts";
import type { ServerSocket, SocketHandler } from "../../core/server-socket.ts";
import type { Principal } from "../principal.ts";
import { readMessage, type AnyCommand, type ClientMessage } from "./commands.ts";

// One WebSocket connection. Modes: waiting for its sign-in (ended after AUTH_WITHIN_MS), open, closed. Commands are carried out one after the
// other. Limits: the size of a message, commands that wait, subscriptions, and what the client has not taken: one that reads too slowly is
// cut off when the next text is due, so that a connection holds no more than SLOW_BYTES_MAX and one answer.

export interface Subscription {
  readonly stop: () => void;
  /** Looks whether it is still what the caller may read. @throws AppError NOT_FOUND, PERMISSION_DENIED when it is not */
  readonly refresh: () => Promise<void>;
}

export interface LiveSession extends SocketHandler {
  readonly principal: Principal;
  /** @returns false when the connection is closed, or was closed because the client is too slow */
  send(text: string): boolean;
  /** Takes the place of the subscription with this number. @throws AppError TOO_MANY_REQUESTS */
  subscribe(cmdId: number, subscription: Subscription): void;
  /** Ends the subscription with this number, if there is one. */
  unsubscribe(cmdId: number): void;
  close(code: number, reason: string): void;
  /** Looks whether the caller may still be connected, and still read what it subscribed to; ends what it may not. */
  recheck(): Promise<void>;
}

export interface LiveSessionDeps {
  readonly socket: Pick<ServerSocket, "send" | "bufferedBytes" | "close">;
  /** @throws AppError UNAUTHENTICATED, TOKEN_EXPIRED */
  readonly authenticate: (credentials: NonNullable<ClientMessage["credentials"]>) => Promise<Principal>;
  /** Carries a command out; its failures are its own answers. */
  readonly execute: (session: LiveSession, command: AnyCommand) => Promise<void>;
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
  readonly onClose: () => void;
}

export const MESSAGE_BYTES_MAX = 32_768;
const AUTH_WITHIN_MS = 10_000;
const COMMANDS_WAITING_MAX = 1_000;
const SUBSCRIPTIONS_MAX = 1_000;
const SLOW_BYTES_MAX = 4 * 1_048_576;

const NORMAL = 1000;
const BAD_DATA = 1003;
const POLICY = 1008;
const TOO_BIG = 1009;

/** @param credentials what came with the request; null: the first message has to bring it */
export function createLiveSession(deps: LiveSessionDeps, credentials: ClientMessage["credentials"]): LiveSession {
  const session = new SocketSession(deps);
  session.start(credentials);
  return session;
}

class SocketSession implements LiveSession {
  readonly #deps: LiveSessionDeps;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #closed = new AbortController();
  #credentials: ClientMessage["credentials"] = null;
  #principal: Principal | null = null;
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(deps: LiveSessionDeps) {
    this.#deps = deps;
  }

  start(credentials: ClientMessage["credentials"]): void {
    void this.#endWithoutSignIn();
    if (credentials !== null) this.#enqueue(1, () => this.#signIn(credentials));
  }

  async #endWithoutSignIn(): Promise<void> {
    await this.#deps.sleep(AUTH_WITHIN_MS, this.#closed.signal).catch(() => undefined);
    if (this.#principal === null) this.close(POLICY, "Not signed in within 10 s");
  }

  get principal(): Principal {
    if (this.#principal === null) throw new AppError("UNAUTHENTICATED", "Not signed in");
    return this.#principal;
  }

  onMessage(text: string | null): void {
    if (text === null) return this.close(BAD_DATA, "Binary messages are not understood");
    if (new TextEncoder().encode(text).length > MESSAGE_BYTES_MAX)
      return this.close(TOO_BIG, `Messages may have ${MESSAGE_BYTES_MAX} bytes at most`);
    let message: ClientMessage;
    try {
      message = readMessage(text);
    } catch {
      this.send(errorText({ subscriptionId: 0 }, new AppError("INVALID_PAYLOAD", "Failed to parse the payload")));
      return;
    }
    const { commands, credentials } = message;
    if (credentials !== null) this.#enqueue(1, () => this.#signIn(credentials));
    if (commands.length === 0) return;
    this.#enqueue(commands.length, async () => {
      if (this.#principal === null) return this.close(POLICY, "Not signed in: the first message has to do that");
      for (const command of commands) await this.#deps.execute(this, command);
    });
  }

  onClose(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(new AppError("CANCELLED", "The connection is closed"));
    for (const { stop } of this.#subscriptions.values()) stop();
    this.#subscriptions.clear();
    this.#deps.onClose();
  }

  send(text: string): boolean {
    if (this.#closed.signal.aborted) return false;
    if (this.#deps.socket.bufferedBytes() > SLOW_BYTES_MAX) {
      this.close(POLICY, `Too slow: more than ${SLOW_BYTES_MAX} bytes wait to be read`);
      return false;
    }
    this.#deps.socket.send(text);
    return true;
  }

  subscribe(cmdId: number, subscription: Subscription): void {
    this.unsubscribe(cmdId);
    if (this.#closed.signal.aborted) return subscription.stop();
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) {
      subscription.stop();
      throw new AppError("TOO_MANY_REQUESTS", `At most ${SUBSCRIPTIONS_MAX} subscriptions of a connection are allowed`);
    }
    this.#subscriptions.set(cmdId, subscription);
  }

  unsubscribe(cmdId: number): void {
    this.#subscriptions.get(cmdId)?.stop();
    this.#subscriptions.delete(cmdId);
  }

  close(code: number, reason: string): void {
    if (this.#closed.signal.aborted) return;
    this.#deps.socket.close(code, reason);
    this.onClose();
  }

  async recheck(): Promise<void> {
    this.#enqueue(0, async () => {
      if (this.#credentials !== null) await this.#signIn(this.#credentials);
      // Refreshing puts some at the end of the map.
      const now = Array.from(this.#subscriptions);
      for (const [cmdId, { refresh }] of now) {
        if (this.#closed.signal.aborted) return;
        await refresh().catch((error: unknown) => this.#endForbidden(cmdId, error));
      }
    });
    await this.#work;
  }

  #endForbidden(cmdId: number, error: unknown): void {
    const { code } = AppError.from(error);
    // A database that is away for a moment ends nothing.
    if (code !== "NOT_FOUND" && code !== "PERMISSION_DENIED") return;
    this.unsubscribe(cmdId);
    this.send(errorText({ cmdId, subscriptionId: cmdId }, error));
  }

  async #signIn(credentials: NonNullable<ClientMessage["credentials"]>): Promise<void> {
    try {
      this.#principal = await this.#deps.authenticate(credentials);
      this.#credentials = credentials;
    } catch (error) {
      const { code, message } = AppError.from(error);
      // A database that is away for a moment ends nobody's connection.
      if (code === "UNAUTHENTICATED" || code === "TOKEN_EXPIRED") this.close(POLICY, message);
    }
  }

  #enqueue(count: number, work: () => Promise<void>): void {
    if (this.#closed.signal.aborted) return;
    this.#waiting += count;
    if (this.#waiting > COMMANDS_WAITING_MAX) {
      this.close(POLICY, `Too many commands wait: at most ${COMMANDS_WAITING_MAX} are allowed`);
      return;
    }
    this.#work = this.#work
      .then(() => (this.#closed.signal.aborted ? undefined : work()))
      .catch(() => this.close(NORMAL, "Internal error"))
      .finally(() => {
        this.#waiting -= count;
      });
  }
}

/** Numbers of the public convention: 1 internal, 2 bad request, 3 unauthorized, 34 too many. */
export function errorText(members: Readonly<Record<string, unknown>>, thrown: unknown): string {
  const { code, message } = AppError.from(thrown);
  const errorCode = ERROR_NUMBERS[code] ?? 1;
  const errorMsg = errorCode === 1 ? "Internal error" : message;
  return JSON.stringify({ ...members, errorCode, errorMsg });
}

const ERROR_NUMBERS: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 2,
  INVALID_PAYLOAD: 2,
  UNAUTHENTICATED: 3,
  TOKEN_EXPIRED: 3,
  PERMISSION_DENIED: 3,
  NOT_FOUND: 3,
  TOO_MANY_REQUESTS: 34,
};
