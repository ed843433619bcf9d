import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { DeviceErrors } from "./device-errors.ts";
import { KeptWriter } from "./kept-writer.ts";
import type { MqttTopics } from "./mqtt-handlers.ts";
import type { KeptMessage, KeptSession, KeptSessionStore, Will } from "./mqtt-kept.ts";
import type { MqttMessage } from "./mqtt-unit.ts";
import type { AuthenticatedDevice, DeviceEvent } from "./ports.ts";
import { Subscriptions } from "./topics.ts";

export interface KeptLimits {
  /** Sessions without a connection that are kept; above it the one that is away the longest is given up. @default 5000 */
  readonly sessionsMax: number;
  /** Messages that wait for one device; above it the oldest is given up. @default 100 */
  readonly messagesMax: number;
  /** Bytes of messages of all devices; above it new ones are not kept. @default 33_554_432 */
  readonly bytesMax: number;
  /** Filters of one session. */
  readonly subscriptionsMax: number;
  /** How long wills that were there when the edge stopped wait for their devices. @default 60_000 */
  readonly willGraceMs: number;
}

export const DEFAULT_KEPT_LIMITS = {
  sessionsMax: 5000,
  messagesMax: 100,
  bytesMax: 33_554_432,
  willGraceMs: 60_000,
} as const;

export interface KeptSessionsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly errors: DeviceErrors;
  readonly store: KeptSessionStore;
  readonly topics: MqttTopics;
  /** Resolves when the will is stored, or can't ever be. @throws AppError when it is worth another attempt */
  readonly publishWill: (device: AuthenticatedDevice, will: Will) => Promise<void>;
}

/** What a CONNECT says about its session. */
export interface SessionRequest {
  readonly clientId: string;
  /** Forget what is there. */
  readonly isClean: boolean;
  /** How long to keep the session when its connection is over; 0: not at all. */
  readonly expiryS: number;
  readonly will: Will | null;
}

/** The part of a session that outlives the connection which holds it. */
export interface HeldSession {
  readonly isPresent: boolean;
  readonly subscriptions: Subscriptions;
  readonly unreleased: Set<number>;
  /** What waits for its PUBACK since an earlier connection; those up to `sentSeq` were sent once. */
  readonly backlog: readonly KeptMessage[];
  readonly sentSeq: number;
  /** Keeps a message until it is delivered; undefined: the session ends with its connection. */
  keep(message: MqttMessage): number | undefined;
  noteSent(seq: number): void;
  deliver(seq: number): void;
  /** The subscriptions changed; resolves when they are on disk. */
  save(): Promise<void>;
  /** The connection is over. @param expiryS as DISCONNECT changes it */
  release(ending: { readonly will: "publish" | "drop" | "postpone"; readonly expiryS?: number }): void;
}

interface Kept {
  readonly device: AuthenticatedDevice;
  readonly clientId: string;
  readonly subscriptions: Subscriptions;
  readonly unreleased: Set<number>;
  /** Bytes by number. */
  readonly messages: Map<number, number>;
  expiryS: number;
  lastSeq: number;
  sentSeq: number;
  will: Will | null;
  /** Since when it has no connection; undefined: it has one. */
  awayMs: number | undefined;
  /** When the will is published; undefined: not yet to be. */
  willDueMs: number | undefined;
  /** Since the edge started no connection has held it. */
  isRestored: boolean;
  /** Counts the connections that took it up: the last one holds it. */
  holders: number;
}

const WILL_RETRY_MS = 1000;
const LOAD_RETRY_MS = 500;

/**
 * Sessions of MQTT that outlive their connections, and wills. All of it is on disk; in memory lies what is looked at often.
 * A session expires by time that the edge has run: a restart begins it anew, whatever the wall clock says.
 * What is pushed while the session has no connection is kept for it.
 */
export class KeptSessions {
  readonly #deps: KeptSessionsDeps;
  readonly #limits: KeptLimits;
  readonly #writer: KeptWriter;
  readonly #sessions = new Map<Uuid, Kept>();
  readonly #loaded = Promise.withResolvers<void>();
  #isLoaded = false;
  #bytes = 0;

  constructor(deps: KeptSessionsDeps, limits: KeptLimits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#writer = new KeptWriter(deps);
  }

  /** Reads what is there, however long the database is down; connections wait for it. */
  async load(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#take(await this.#deps.store.readAll());
        return;
      } catch (thrown) {
        this.#deps.log.warn("Sessions of MQTT could not be read yet", { error: thrown });
      }
      await this.#deps.clock.sleep(LOAD_RETRY_MS, signal).catch(() => undefined);
    }
  }

  /** Resolves when everything is on disk, or after `limitMs`. Nothing is kept any more. */
  async close(limitMs: number): Promise<void> {
    const done = new AbortController();
    const written = this.#writer.commit().catch(() => undefined);
    const limit = this.#deps.clock.sleep(limitMs, done.signal).catch(() => undefined);
    await Promise.race([written, limit]);
    done.abort();
    this.#writer.close();
  }

  #take({ sessions, messages }: Awaited<ReturnType<KeptSessionStore["readAll"]>>): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const session of sessions) this.#sessions.set(session.deviceId, this.#restore(session, nowMs));
    for (const { deviceId, seq, bytes } of messages) {
      const kept = this.#sessions.get(deviceId);
      if (kept === undefined) continue;
      kept.messages.set(seq, bytes);
      kept.lastSeq = seq;
      this.#bytes += bytes;
    }
    this.#isLoaded = true;
    this.#loaded.resolve();
  }

  /**
   * Takes up the session of a device, or begins one.
   *
   * @returns null: it ends with its connection, and nothing of it is kept
   */
  async open(device: AuthenticatedDevice, request: SessionRequest): Promise<HeldSession | null> {
    if (!this.#isLoaded) await this.#loaded.promise;
    const known = this.#sessions.get(device.deviceId);
    const isPresent =
      known !== undefined && !request.isClean && known.expiryS > 0 && known.clientId === request.clientId;
    if (known !== undefined && !isPresent) {
      // The connection ended with the edge, and the device is back: there is nothing to say.
      if (known.willDueMs !== undefined && !known.isRestored) this.#publish(known);
      this.#drop(known);
    }
    if (!isPresent && request.expiryS === 0 && request.will === null) {
      if (known !== undefined) await this.#writer.commit();
      return null;
    }
    const kept = isPresent ? known : this.#create(device, request.clientId);
    kept.expiryS = request.expiryS;
    kept.will = request.will;
    kept.willDueMs = undefined;
    kept.awayMs = undefined;
    kept.isRestored = false;
    kept.holders += 1;
    this.#save(kept);
    return await this.#hold(kept, { isPresent, holder: kept.holders });
  }

  /** A change of a device that has no connection. */
  push(event: DeviceEvent): void {
    if (!this.#isLoaded) {
      void this.#loaded.promise.then(() => this.push(event));
      return;
    }
    const kept = this.#sessions.get(event.deviceId);
    if (kept === undefined) return;
    if (event.kind === "access-ended") {
      this.#drop(kept);
      this.#commitSoon();
      return;
    }
    if (kept.expiryS === 0) return;
    for (const message of this.#deps.topics.push(event, kept.subscriptions)) this.#keep(kept, message);
  }

  /** Publishes wills and ends sessions whose time has come. */
  checkDeadlines(nowMs: number): void {
    for (const kept of this.#sessions.values()) {
      if (kept.willDueMs !== undefined && nowMs >= kept.willDueMs) this.#publish(kept);
      if (kept.awayMs === undefined || kept.will !== null) continue;
      if (nowMs - kept.awayMs < kept.expiryS * 1000) continue;
      this.#drop(kept);
      this.#commitSoon();
    }
  }

  #restore(session: KeptSession, nowMs: number): Kept {
    const { deviceId, deviceName: name, isGateway, clientId, expiryS, sentSeq, will } = session;
    const subscriptions = new Subscriptions(this.#limits.subscriptionsMax);
    for (const [filter, qos] of session.filters) subscriptions.add(filter, qos);
    return {
      device: { deviceId, name, isGateway },
      clientId,
      subscriptions,
      unreleased: new Set(session.unreleased),
      messages: new Map(),
      expiryS,
      lastSeq: sentSeq,
      sentSeq,
      will,
      awayMs: nowMs,
      willDueMs: will === null ? undefined : nowMs + Math.max(this.#limits.willGraceMs, will.delayS * 1000),
      isRestored: true,
      holders: 0,
    };
  }

  #create(device: AuthenticatedDevice, clientId: string): Kept {
    const kept: Kept = {
      device,
      clientId,
      subscriptions: new Subscriptions(this.#limits.subscriptionsMax),
      unreleased: new Set(),
      messages: new Map(),
      expiryS: 0,
      lastSeq: 0,
      sentSeq: 0,
      will: null,
      awayMs: undefined,
      willDueMs: undefined,
      isRestored: false,
      holders: 0,
    };
    this.#sessions.set(device.deviceId, kept);
    return kept;
  }

  async #hold(
    kept: Kept,
    { isPresent, holder }: { readonly isPresent: boolean; readonly holder: number },
  ): Promise<HeldSession> {
    await this.#writer.commit();
    const backlog = kept.messages.size === 0 ? [] : await this.#deps.store.readMessages(kept.device.deviceId);
    return {
      isPresent,
      subscriptions: kept.subscriptions,
      unreleased: kept.unreleased,
      backlog,
      sentSeq: kept.sentSeq,
      keep: (message) => (kept.expiryS === 0 ? undefined : this.#keep(kept, message)),
      noteSent: (seq) => void (kept.sentSeq = Math.max(kept.sentSeq, seq)),
      deliver: (seq) => this.#deliver(kept, seq),
      save: () => {
        this.#save(kept);
        return this.#writer.commit();
      },
      release: (ending) => {
        const isHeld = kept.holders === holder && this.#sessions.get(kept.device.deviceId) === kept;
        if (isHeld) this.#release(kept, ending);
      },
    };
  }

  #release(kept: Kept, { will, expiryS }: Parameters<HeldSession["release"]>[0]): void {
    const nowMs = this.#deps.clock.monotonicMs();
    kept.awayMs = nowMs;
    kept.expiryS = expiryS ?? kept.expiryS;
    if (will === "drop") kept.will = null;
    if (kept.will === null && kept.expiryS === 0) {
      this.#drop(kept);
    } else {
      // A session that ends takes its will along, whatever the delay.
      const delayMs = Math.min(kept.will?.delayS ?? 0, kept.expiryS) * 1000;
      if (kept.will !== null && will === "publish") kept.willDueMs = nowMs + delayMs;
      this.#save(kept);
      this.#makeRoom();
      if (kept.willDueMs === nowMs) this.#publish(kept);
    }
    this.#commitSoon();
  }

  #publish(kept: Kept): void {
    const { will } = kept;
    kept.willDueMs = undefined;
    if (will !== null) void this.#publishWill(kept, will);
  }

  async #publishWill(kept: Kept, will: Will): Promise<void> {
    const { clock, log, publishWill } = this.#deps;
    const { deviceId } = kept.device;
    // What the connection has read before goes to the store first.
    await Promise.resolve();
    try {
      await publishWill(kept.device, will);
    } catch (thrown) {
      log.warn("A will could not be stored yet", { deviceId, error: thrown });
      if (kept.will === will) kept.willDueMs = clock.monotonicMs() + WILL_RETRY_MS;
      return;
    }
    if (kept.will !== will) return;
    kept.will = null;
    if (this.#sessions.get(deviceId) !== kept) return;
    if (kept.expiryS === 0 && kept.awayMs !== undefined) this.#drop(kept);
    else this.#save(kept);
    this.#commitSoon();
  }

  /** @returns its number; undefined when there is no room for it */
  #keep(kept: Kept, message: MqttMessage): number | undefined {
    const { topic, qos, payload, isKept } = message;
    if (isKept !== true || qos === 0 || typeof payload !== "string") return undefined;
    if (this.#bytes + payload.length > this.#limits.bytesMax) {
      this.#note(kept, "A message was not kept: too much waits for devices that are away");
      return undefined;
    }
    const oldest = kept.messages.keys().next().value;
    if (kept.messages.size >= this.#limits.messagesMax && oldest !== undefined) {
      this.#deliver(kept, oldest);
      this.#note(kept, `More than ${this.#limits.messagesMax} messages wait for the device; the oldest was given up`);
    }
    kept.lastSeq += 1;
    kept.messages.set(kept.lastSeq, payload.length);
    this.#bytes += payload.length;
    this.#writer.add({ deviceId: kept.device.deviceId, seq: kept.lastSeq, topic, payload });
    this.#commitSoon();
    return kept.lastSeq;
  }

  #deliver(kept: Kept, seq: number): void {
    const bytes = kept.messages.get(seq);
    if (bytes === undefined) return;
    kept.messages.delete(seq);
    this.#bytes -= bytes;
    this.#writer.deliver({ deviceId: kept.device.deviceId, seq });
    this.#commitSoon();
  }

  #drop(kept: Kept): void {
    for (const bytes of kept.messages.values()) this.#bytes -= bytes;
    kept.messages.clear();
    if (this.#sessions.get(kept.device.deviceId) === kept) this.#sessions.delete(kept.device.deviceId);
    this.#writer.remove(kept.device.deviceId);
  }

  #makeRoom(): void {
    const away = [...this.#sessions.values()].filter(({ awayMs, will }) => awayMs !== undefined && will === null);
    if (away.length <= this.#limits.sessionsMax) return;
    const [longest] = away.toSorted((one, other) => (one.awayMs ?? 0) - (other.awayMs ?? 0));
    if (longest !== undefined) this.#drop(longest);
  }

  #save({ device, clientId, subscriptions, unreleased, expiryS, sentSeq, will }: Kept): void {
    const { deviceId, name: deviceName, isGateway } = device;
    const filters = subscriptions.entries();
    const session = { deviceId, deviceName, isGateway, clientId, expiryS, sentSeq, will };
    this.#writer.save({ ...session, filters, unreleased: [...unreleased] });
  }

  #note({ device }: Kept, reason: string): void {
    this.#deps.errors.note(device.deviceId, reason);
  }

  /** The writer has logged what it could not store. */
  #commitSoon(): void {
    this.#writer.commit().catch((thrown: unknown) => void AppError.from(thrown));
  }
}
