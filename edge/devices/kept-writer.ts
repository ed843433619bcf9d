import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { KeptMessage, KeptSession, KeptSessionStore } from "./mqtt-kept.ts";

export interface KeptWriterDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Pick<KeptSessionStore, "write">;
}

interface Batch {
  readonly removed: Set<Uuid>;
  readonly saved: Map<Uuid, KeptSession>;
  readonly delivered: Map<string, { readonly deviceId: Uuid; readonly seq: number }>;
  readonly added: Map<string, KeptMessage>;
}

/** Pause before a database that is down is tried again. */
const RETRY_MS = 500;

/**
 * Writes what is kept of sessions, one transaction at a time; what comes meanwhile shares the next one, and what cancels out
 * is not written. Its limits are those of what is kept.
 */
export class KeptWriter {
  readonly #deps: KeptWriterDeps;
  #batch: Batch = createBatch();
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(deps: KeptWriterDeps) {
    this.#deps = deps;
  }

  save(session: KeptSession): void {
    this.#batch.saved.set(session.deviceId, session);
  }

  /** With its messages. */
  remove(deviceId: Uuid): void {
    const { removed, saved, delivered, added } = this.#batch;
    removed.add(deviceId);
    saved.delete(deviceId);
    for (const [key, message] of added) if (message.deviceId === deviceId) added.delete(key);
    for (const [key, message] of delivered) if (message.deviceId === deviceId) delivered.delete(key);
  }

  add(message: KeptMessage): void {
    this.#batch.added.set(keyOf(message), message);
  }

  deliver(message: { readonly deviceId: Uuid; readonly seq: number }): void {
    const key = keyOf(message);
    if (!this.#batch.added.delete(key)) this.#batch.delivered.set(key, message);
  }

  /** Resolves when all that was said before is on disk, however long the database is down. @throws AppError when it refuses */
  commit(): Promise<void> {
    this.#next ??= this.#writing.then(() => this.#write());
    this.#writing = this.#next.catch(() => undefined);
    return this.#next;
  }

  /** What the database does not take now is given up. */
  close(): void {
    this.#isClosed = true;
  }

  async #write(): Promise<void> {
    const { removed, saved, delivered, added } = this.#batch;
    this.#batch = createBatch();
    this.#next = undefined;
    if (removed.size + saved.size + delivered.size + added.size === 0) return;
    const changes = {
      removed: [...removed],
      saved: [...saved.values()],
      delivered: [...delivered.values()],
      added: [...added.values()],
    };
    const { clock, log, store } = this.#deps;
    for (;;) {
      try {
        await store.write(changes);
        return;
      } catch (thrown) {
        const error = AppError.from(thrown);
        if (!error.retryable || this.#isClosed) {
          log.error("Sessions of MQTT could not be stored", { error });
          throw error;
        }
      }
      await clock.sleep(RETRY_MS);
    }
  }
}

function createBatch(): Batch {
  return { removed: new Set(), saved: new Map(), delivered: new Map(), added: new Map() };
}

function keyOf({ deviceId, seq }: { readonly deviceId: Uuid; readonly seq: number }): string {
  return `${deviceId} ${seq}`;
}
