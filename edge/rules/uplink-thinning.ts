import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { UplinkPolicy } from "../../shared/rules/thinning/compile-policy.ts";
import { addCounts, type ThinningCounts } from "../../shared/rules/thinning/counts.ts";
import type { DeviceThinner, Purse } from "../../shared/rules/thinning/device-thinner.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { THINNED_KEYS_MAX, type ThinnedKey } from "../../shared/sync/edge-report.ts";
import type { DueCommits } from "../store/commit-rules.ts";
import {
  forgetThinningOfGone,
  keepThinning,
  readThinnedDevices,
  readThinning,
  readUplinkProfiles,
  readUsedBytes,
  type KeptThinning,
  type ThinnedDevice,
} from "../store/thinning-store.ts";
import type { UplinkFilter } from "../store/uplink-filter.ts";
import type { ThinningEngine } from "./compile-uplink.ts";
import { RuleTimers } from "./rule-timers.ts";

// Thinning of the uplink by policies of device profiles, decided within the commit that stores the values. What is known of a device is
// read once and then kept up to date by the commits themselves. While no profile has a policy, nothing of it is loaded or asked.
//
// Invariant: what is kept in memory is what was committed. A commit of which it is not known has its devices forgotten and read again.
// Only the writer calls `sift`, for one commit after the other.

/** Devices kept in memory; those that were known first leave first. */
const DEVICES_MAX = 20_000;
/** Of devices with something due, so many take part in a commit; the others in the next. */
const DUE_PER_COMMIT_MAX = 500;
const SENT_PER_COMMIT_MAX = 5_000;
const RETRY_MS = 1_000;
const COUNTED_KEYS_MAX = 1_000;

export interface UplinkThinningDeps {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
}

export interface UplinkThinning extends UplinkFilter {
  /** Changes were committed, by whomever. */
  note(changes: readonly Change[]): void;
  /** Lets what waits go without a message; until `signal` aborts. */
  run(commits: DueCommits, signal: AbortSignal): Promise<void>;
  /** Keys that are thinned, and what came of them since the start; those that save most first, at most THINNED_KEYS_MAX. */
  counts(): readonly ThinnedKey[];
}

export async function openUplinkThinning(deps: UplinkThinningDeps): Promise<UplinkThinning> {
  const thinning = new CommittedThinning(deps);
  await forgetThinningOfGone(deps.db);
  await thinning.readProfiles(deps.db);
  return thinning;
}

class CommittedThinning implements UplinkThinning {
  readonly #deps: UplinkThinningDeps;
  readonly #wakeUp = new WakeUp();
  readonly #timers: RuleTimers;
  #engine: ThinningEngine | null = null;
  #policies: ReadonlyMap<Uuid, UplinkPolicy> = new Map();
  /** Of the policies, to tell whether they changed. */
  #policyTexts = "";
  #isStale = false;
  /** null: nothing of it is thinned. */
  readonly #devices = new Map<Uuid, DeviceThinner | null>();
  readonly #purses = new Map<Uuid, Purse>();
  /** Of the last `sift` it is not known whether it was committed. */
  #isUnknown = false;
  /** Looked at in it. */
  readonly #uncommitted = new Map<Uuid, DeviceThinner>();
  readonly #counts = new Map<string, ThinningCounts>();

  constructor(deps: UplinkThinningDeps) {
    this.#deps = deps;
    this.#timers = new RuleTimers(deps.clock, () => this.#wakeUp.signal());
  }

  get isIdle(): boolean {
    return !this.#isStale && !this.#isUnknown && this.#policies.size === 0 && this.#timers.isEmpty;
  }

  passes(entityIds: readonly Uuid[]): boolean {
    if (this.#isStale || this.#isUnknown || this.#timers.isDue) return false;
    return entityIds.every((id) => this.#devices.get(id) === null);
  }

  note(changes: readonly Change[]): void {
    for (const { entity, kind } of changes) {
      if (kind !== "entity-saved" && kind !== "entity-removed") continue;
      if (entity.type === "DEVICE_PROFILE") this.#noteProfile(entity.id);
      // It may have another profile now.
      if (entity.type === "DEVICE") this.#forget(entity.id);
    }
  }

  counts(): readonly ThinnedKey[] {
    const saved = ({ cameBytes, sentBytes }: ThinningCounts): number => cameBytes - sentBytes;
    const keys = Array.from(this.#counts, ([key, counts]) => ({ key, ...counts }));
    return keys.toSorted((left, right) => saved(right) - saved(left)).slice(0, THINNED_KEYS_MAX);
  }

  async sift(tx: Queryable, records: readonly TelemetryRecord[]): Promise<readonly TelemetryRecord[]> {
    if (this.#isUnknown) this.#startAnew();
    this.#isUnknown = true;
    if (this.#isStale) await this.readProfiles(tx);
    const due = this.#takeDue();
    try {
      return await this.#siftDue(tx, { records, due });
    } catch (thrown) {
      for (const [id, seenMs] of due) this.#timers.set(id, { inMs: RETRY_MS, seenMs });
      throw thrown;
    }
  }

  async #siftDue(
    tx: Queryable,
    { due, records }: { readonly due: ReadonlyMap<Uuid, number>; readonly records: readonly TelemetryRecord[] },
  ): Promise<readonly TelemetryRecord[]> {
    const ids = new Set<Uuid>(due.keys());
    for (const { entityId } of records) ids.add(entityId);
    await this.#load(tx, ids);
    const nowMs = this.#deps.clock.nowMs();
    const sends: TelemetryRecord[] = [];
    for (const record of records) {
      const device = this.#touch(record.entityId);
      if (device === null) sends.push(record);
      else sends.push(...device.take(record, nowMs));
    }
    for (const [id, seenMs] of due) {
      const device = sends.length > SENT_PER_COMMIT_MAX ? undefined : this.#touch(id);
      // A clock that was set back holds nothing up.
      if (device !== undefined && device !== null) sends.push(...device.pass(Math.max(nowMs, seenMs)));
      else this.#timers.set(id, device === null ? null : { inMs: 0, seenMs });
    }
    await this.#keep(tx, nowMs);
    return sends;
  }

  committed(): void {
    for (const [id, device] of this.#uncommitted) {
      for (const [key, counts] of device.takeCounts()) this.#count(key, counts);
      if (device.isEmpty && !device.isThinned) this.#devices.set(id, null);
    }
    this.#uncommitted.clear();
    this.#isUnknown = false;
  }

  async run(commits: DueCommits, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#timers.waitForDue(this.#wakeUp, signal);
      if (signal.aborted) return;
      try {
        await commits.commitDue();
      } catch (thrown) {
        this.#deps.log.warn("Thinned telemetry that is due could not be sent; it is tried again", {
          error: databaseError(thrown),
        });
        await this.#deps.clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  /** What waits is judged anew by policies that changed. */
  async readProfiles(db: Queryable): Promise<void> {
    const bodies = await readUplinkProfiles(db);
    this.#isStale = false;
    const texts = JSON.stringify([...bodies].toSorted(([left], [right]) => (left < right ? -1 : 1)));
    const isFirst = this.#policyTexts === "";
    if (texts === this.#policyTexts) return;
    const kept = await readThinnedDevices(db);
    if (bodies.size > 0 || kept.length > 0)
      this.#engine ??= (await import("./compile-uplink.ts")).createThinningEngine();
    this.#policies = this.#engine?.compile(bodies, this.#deps.log) ?? new Map<Uuid, UplinkPolicy>();
    this.#policyTexts = texts;
    this.#devices.clear();
    this.#purses.clear();
    const nowMs = this.#deps.clock.nowMs();
    for (const { dueMs, id } of kept) {
      this.#setTimer(id, isFirst && this.#policies.size > 0 ? dueMs : nowMs, nowMs);
    }
  }

  #takeDue(): ReadonlyMap<Uuid, number> {
    const due = this.#timers.takeDue();
    if (due.size <= DUE_PER_COMMIT_MAX) return due;
    const taken = [...due];
    for (const [id, seenMs] of taken.slice(DUE_PER_COMMIT_MAX)) this.#timers.set(id, { inMs: 0, seenMs });
    return new Map(taken.slice(0, DUE_PER_COMMIT_MAX));
  }

  #noteProfile(id: Uuid): void {
    // What waits for the policy that it had must not wait for a message: a commit looks at it soon.
    if (!this.isIdle) this.#timers.set(id, { inMs: 0, seenMs: -Infinity });
    this.#isStale = true;
  }

  #count(key: string, counts: ThinningCounts): void {
    const before = this.#counts.get(key);
    if (before === undefined && this.#counts.size >= COUNTED_KEYS_MAX) return;
    this.#counts.set(key, before === undefined ? counts : addCounts(before, counts));
  }

  /** The commit before may have been rolled back. */
  #startAnew(): void {
    for (const id of this.#uncommitted.keys()) this.#forget(id);
    this.#uncommitted.clear();
    this.#purses.clear();
    this.#isStale = true;
  }

  #forget(id: Uuid): void {
    const device = this.#devices.get(id);
    this.#devices.delete(id);
    if (device !== undefined && device !== null) this.#setTimer(id, -Infinity, this.#deps.clock.nowMs());
  }

  async #load(db: Queryable, ids: ReadonlySet<Uuid>): Promise<void> {
    const unknown = [...ids].filter((id) => !this.#devices.has(id));
    if (unknown.length === 0) return;
    const found = await readThinning(db, unknown);
    for (const id of unknown) this.#devices.set(id, await this.#open(db, id, found.get(id) ?? null));
    for (const id of this.#devices.keys()) {
      if (this.#devices.size <= DEVICES_MAX) return;
      if (!ids.has(id)) this.#devices.delete(id);
    }
  }

  async #open(db: Queryable, id: Uuid, device: ThinnedDevice | null): Promise<DeviceThinner | null> {
    if (device === null || this.#engine === null) return null;
    const policy = device.profileId === null ? undefined : this.#policies.get(device.profileId);
    if (policy === undefined && device.state === null) return null;
    const { keys = {}, used = { dayMs: 0, bytes: 0 } } = device.state ?? {};
    const isShared = policy?.budget?.per === "PROFILE" && device.profileId !== null;
    const purse = isShared ? await this.#purseOf(db, device.profileId) : { used };
    return this.#engine.open(id, policy ?? null, { keys, purse });
  }

  async #purseOf(db: Queryable, profileId: Uuid): Promise<Purse> {
    const known = this.#purses.get(profileId);
    if (known !== undefined) return known;
    const purse = { used: (await readUsedBytes(db, profileId)) ?? { dayMs: 0, bytes: 0 } };
    this.#purses.set(profileId, purse);
    return purse;
  }

  #touch(id: Uuid): DeviceThinner | null {
    const device = this.#devices.get(id) ?? null;
    if (device !== null) this.#uncommitted.set(id, device);
    return device;
  }

  async #keep(tx: Queryable, nowMs: number): Promise<void> {
    if (this.#uncommitted.size === 0) return;
    const kept: KeptThinning[] = [];
    for (const [id, device] of this.#uncommitted) {
      const dueMs = device.nextDueMs();
      kept.push({ id, isDevice: true, dueMs, state: device.isEmpty ? null : device.state() });
      this.#setTimer(id, dueMs, nowMs);
    }
    for (const [id, { used }] of this.#purses) kept.push({ id, isDevice: false, dueMs: null, state: used });
    await keepThinning(tx, kept);
  }

  /** A clock that was set makes no wait longer than a day, after which it is looked at again. */
  #setTimer(id: Uuid, dueMs: number | null, nowMs: number): void {
    if (dueMs === null) return this.#timers.set(id, null);
    const inMs = Math.min(Math.max(0, dueMs - nowMs), WAIT_MAX_MS);
    this.#timers.set(id, { inMs, seenMs: Math.max(nowMs, Math.min(dueMs, nowMs + inMs)) });
  }
}

const WAIT_MAX_MS = 86_400_000;
