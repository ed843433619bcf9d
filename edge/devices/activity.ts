import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { AuthenticatedDevice } from "./ports.ts";

/** Server attributes of a device that tell whether it is there, in the names of the REST convention. */
export const ACTIVITY_KEYS = {
  active: "active",
  connected: "lastConnectTime",
  disconnected: "lastDisconnectTime",
  seen: "lastActivityTime",
  alarm: "inactivityAlarmTime",
  error: "lastError",
  errorTime: "lastErrorTime",
} as const;

/** How long a device may be silent, in ms: a server attribute of the device or of its profile. */
export const INACTIVITY_TIMEOUT_KEY = "inactivityTimeout";

/** What every protocol tells of a device. */
export interface DeviceActivity {
  /** A connection began. */
  connected(device: KnownDevice): void;
  disconnected(device: KnownDevice): void;
  /** It was heard of. Cheap: it may be called for each message. */
  note(device: KnownDevice): void;
}

export type KnownDevice = Pick<AuthenticatedDevice, "deviceId" | "profileId">;

export interface ActivityUpdate {
  readonly deviceId: Uuid;
  readonly values: ReadonlyMap<string, CanonicalJson>;
}

export interface ActivityStore {
  /** Devices that were active when the edge stopped. */
  readActive(): Promise<readonly KnownDevice[]>;
  /** Resolves after the commit; devices that are gone are passed over. */
  save(updates: readonly ActivityUpdate[], nowMs: number): Promise<void>;
}

export interface ActivityDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: ActivityStore;
  /** Of a device; undefined: nothing is set for it. */
  readonly timeoutMsOf: (device: KnownDevice) => number | undefined;
}

export interface ActivityOptions {
  /** Silence after which a device counts as inactive, where nothing else is set. @default 600_000 */
  readonly timeoutMs?: number;
  /** `lastActivityTime` of an active device is written so often at most. @default 60_000 */
  readonly reportMs?: number;
  /** Devices of which that is written in one round, the one that waits the longest first. @default 10 */
  readonly reportsMax?: number;
  /** Devices whose state is written in one round. @default 200 */
  readonly updatesMax?: number;
  /** `lastError` of a device is written so often at most. @default 10_000 */
  readonly errorMs?: number;
  /** Time between two rounds. @default 1000 */
  readonly roundMs?: number;
  /** Devices that are watched at once; further ones are not. @default 20_000 */
  readonly devicesMax?: number;
}

const REASON_LENGTH_MAX = 500;

interface Watched {
  readonly device: KnownDevice;
  isActive: boolean;
  /** When it was heard of last, by both clocks. */
  seenMs: number;
  seenMonotonicMs: number;
  /** Of `seenMs`, what was written last, and when. */
  reportedMs: number;
  reportedMonotonicMs: number;
  /** What it did wrong last, until that is written. */
  failure: { readonly reason: string; readonly atMs: number } | undefined;
  failureWrittenMs: number | undefined;
  /** What is to be written in the next round. */
  pending: Map<string, CanonicalJson> | undefined;
}

/**
 * Whether devices are there, whatever they speak. Only devices that are active, or of which something is to be written, are held in memory.
 * What changes is written within a second, many devices in one transaction. That an active device is still active is written seldom:
 * a thousand devices that send each second cost ten rows a second, and are up to 100 s behind.
 */
export class ActivityWatch implements DeviceActivity {
  readonly #deps: ActivityDeps;
  readonly #options: Required<ActivityOptions>;
  /** The one that was reported last comes last. */
  readonly #watched = new Map<Uuid, Watched>();

  constructor(deps: ActivityDeps, options: ActivityOptions = {}) {
    this.#deps = deps;
    this.#options = {
      timeoutMs: 600_000,
      reportMs: 60_000,
      reportsMax: 10,
      updatesMax: 200,
      errorMs: 10_000,
      roundMs: 1000,
      devicesMax: 20_000,
      ...options,
    };
  }

  connected(device: KnownDevice): void {
    this.#setTime(this.#see(device), ACTIVITY_KEYS.connected);
  }

  disconnected(device: KnownDevice): void {
    const watched = this.#see(device);
    this.#setTime(watched, ACTIVITY_KEYS.disconnected);
    this.#setSeen(watched);
  }

  note(device: KnownDevice): void {
    this.#see(device);
  }

  /** What it did wrong, or why its connection was closed. */
  failed(device: KnownDevice, reason: string): void {
    const watched = this.#watched.get(device.deviceId) ?? this.#watch(device, false);
    watched.failure = { reason: reason.slice(0, REASON_LENGTH_MAX), atMs: this.#deps.clock.nowMs() };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    let isLoaded = false;
    while (!signal.aborted) {
      try {
        if (!isLoaded) await this.#load();
        isLoaded = true;
        await this.#writeRound();
      } catch (thrown) {
        log.warn("The activity of devices could not be written yet", { error: thrown });
      }
      await clock.sleep(this.#options.roundMs, signal).catch(() => undefined);
    }
  }

  /** Who was active when the edge stopped has the whole time-out to come back. */
  async #load(): Promise<void> {
    for (const device of await this.#deps.store.readActive()) {
      if (!this.#watched.has(device.deviceId)) this.#watch(device, true);
    }
  }

  #see(device: KnownDevice): Watched {
    const { clock } = this.#deps;
    const watched = this.#watched.get(device.deviceId) ?? this.#watch(device, false);
    watched.seenMs = clock.nowMs();
    watched.seenMonotonicMs = clock.monotonicMs();
    if (!watched.isActive) {
      watched.isActive = true;
      set(watched, ACTIVITY_KEYS.active, "true");
      this.#setSeen(watched);
    }
    return watched;
  }

  #watch(device: KnownDevice, isActive: boolean): Watched {
    const nowMs = this.#deps.clock.nowMs();
    const monotonicMs = this.#deps.clock.monotonicMs();
    const watched: Watched = {
      device,
      isActive,
      seenMs: nowMs,
      seenMonotonicMs: monotonicMs,
      reportedMs: nowMs,
      reportedMonotonicMs: monotonicMs,
      failure: undefined,
      failureWrittenMs: undefined,
      pending: undefined,
    };
    if (this.#watched.size < this.#options.devicesMax) this.#watched.set(device.deviceId, watched);
    return watched;
  }

  #setTime(watched: Watched, key: string): void {
    set(watched, key, String(watched.seenMs));
  }

  #setSeen(watched: Watched): void {
    this.#setTime(watched, ACTIVITY_KEYS.seen);
    watched.reportedMs = watched.seenMs;
    watched.reportedMonotonicMs = this.#deps.clock.monotonicMs();
    if (!this.#watched.delete(watched.device.deviceId)) return;
    this.#watched.set(watched.device.deviceId, watched);
  }

  async #writeRound(): Promise<void> {
    const { clock, store } = this.#deps;
    const nowMs = clock.nowMs();
    this.#endSilent(nowMs);
    this.#report();
    const round: Watched[] = [];
    const updates: ActivityUpdate[] = [];
    for (const watched of this.#watched.values()) {
      this.#tellFailure(watched);
      const { device, isActive, pending, failure } = watched;
      if (pending === undefined) {
        if (!isActive && failure === undefined) this.#watched.delete(device.deviceId);
        continue;
      }
      round.push(watched);
      updates.push({ deviceId: device.deviceId, values: pending });
      watched.pending = undefined;
      if (round.length >= this.#options.updatesMax) break;
    }
    if (round.length === 0) return;
    try {
      await store.save(updates, nowMs);
    } catch (thrown) {
      for (const [index, watched] of round.entries()) {
        // What came meanwhile is newer.
        watched.pending = new Map([...(updates[index]?.values ?? []), ...(watched.pending ?? [])]);
      }
      throw thrown;
    }
  }

  #tellFailure(watched: Watched): void {
    const { failure, failureWrittenMs } = watched;
    if (failure === undefined) return;
    const monotonicMs = this.#deps.clock.monotonicMs();
    if (failureWrittenMs !== undefined && monotonicMs - failureWrittenMs < this.#options.errorMs) return;
    watched.failure = undefined;
    watched.failureWrittenMs = monotonicMs;
    set(watched, ACTIVITY_KEYS.error, JSON.stringify(failure.reason));
    set(watched, ACTIVITY_KEYS.errorTime, String(failure.atMs));
  }

  #endSilent(nowMs: number): void {
    const { clock, timeoutMsOf } = this.#deps;
    const monotonicMs = clock.monotonicMs();
    for (const watched of this.#watched.values()) {
      if (!watched.isActive) continue;
      const timeoutMs = timeoutMsOf(watched.device) ?? this.#options.timeoutMs;
      if (monotonicMs - watched.seenMonotonicMs < timeoutMs) continue;
      watched.isActive = false;
      set(watched, ACTIVITY_KEYS.active, "false");
      set(watched, ACTIVITY_KEYS.alarm, String(nowMs));
      if (watched.reportedMs !== watched.seenMs) set(watched, ACTIVITY_KEYS.seen, String(watched.seenMs));
    }
  }

  #report(): void {
    const { reportMs, reportsMax } = this.#options;
    const monotonicMs = this.#deps.clock.monotonicMs();
    const due: Watched[] = [];
    for (const watched of this.#watched.values()) {
      if (due.length >= reportsMax || monotonicMs - watched.reportedMonotonicMs < reportMs) break;
      if (watched.isActive && watched.seenMs !== watched.reportedMs) due.push(watched);
    }
    for (const watched of due) this.#setSeen(watched);
  }
}

function set(watched: Watched, key: string, text: string): void {
  watched.pending ??= new Map();
  watched.pending.set(key, text as CanonicalJson); // numbers, truth values and texts are canonical as they are
}
