import { WakeUp } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { CompiledProfile, DeviceAlarms, Reading } from "../../shared/rules/device-alarms.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { findDevicesWithState, readActiveAlarms, readDevicesWithRules } from "../store/alarm-rule-store.ts";
import type { CommitRules, Decision, DueCommits, Stored } from "../store/commit-rules.ts";
import { NOTHING_DECIDED } from "../store/commit-rules.ts";
import { writeDecisions, type DeviceDecision } from "../store/rule-alarms.ts";
import { openProfileRules, type ProfileRules } from "./profile-rules.ts";
import { RuleTimers } from "./rule-timers.ts";

// Alarm rules of device profiles, decided within the commit of what they look at: a value that reaches the disk and the alarm that it
// raises are one transaction. What rules know of a device (newest values, attributes, active alarms, conditions that hold) is read once
// and then kept up to date by the commits themselves. While no profile has rules, nothing is looked at.
//
// Invariant: what is kept in memory is what was committed. A commit of which it is not known has its devices forgotten and read again.
// Only the writer calls `decide`, for one commit after the other.

/** Devices kept in memory; those that were known first leave first. */
const DEVICES_MAX = 20_000;
const RETRY_MS = 1_000;

export interface AlarmRulesDeps extends StoreDeps {
  readonly db: Queryable;
  readonly log: Log;
}

export interface AlarmRules extends CommitRules {
  /** Changes were committed, by whomever. */
  note(changes: readonly Change[]): void;
  /** Lets durations end without a message; until `signal` aborts. */
  run(commits: DueCommits, signal: AbortSignal): Promise<void>;
}

export async function openAlarmRules(deps: AlarmRulesDeps): Promise<AlarmRules> {
  const profiles = await openProfileRules(deps);
  const rules = new CommittedAlarmRules(deps, profiles);
  for (const id of await findDevicesWithState(deps.db)) rules.timers.set(id, { inMs: 0, seenMs: -Infinity });
  return rules;
}

interface KnownDevice {
  readonly alarms: DeviceAlarms;
}

class CommittedAlarmRules implements AlarmRules {
  readonly timers: RuleTimers;
  readonly #deps: AlarmRulesDeps;
  readonly #profiles: ProfileRules;
  /** null: its profile has no rules, or it is no device. */
  readonly #devices = new Map<Uuid, KnownDevice | null>();
  /** Looked at in a commit of which nothing is known yet. */
  readonly #uncommitted = new Set<Uuid>();
  readonly #wakeUp = new WakeUp();

  constructor(deps: AlarmRulesDeps, profiles: ProfileRules) {
    this.#deps = deps;
    this.#profiles = profiles;
    this.timers = new RuleTimers(deps.clock, () => this.#wakeUp.signal());
  }

  get isIdle(): boolean {
    return this.#profiles.byId().size === 0 && this.#profiles.reading() === null;
  }

  note(changes: readonly Change[]): void {
    for (const { entity, kind } of changes) {
      const isEntity = kind === "entity-saved" || kind === "entity-removed";
      if (isEntity && entity.type === "DEVICE_PROFILE") this.#profiles.readAgain(() => this.#devices.clear());
      else if (isEntity && entity.type === "DEVICE") this.#devices.delete(entity.id);
      else if (kind.startsWith("attributes-") && OWNERS.has(entity.type)) this.#devices.clear();
    }
  }

  isUrgent(records: readonly TelemetryRecord[]): boolean {
    const nowMs = this.#deps.clock.nowMs();
    return records.some((record) => {
      const device = this.#devices.get(record.entityId) ?? null;
      return device !== null && device.alarms.reactsTo(toReading(record, nowMs));
    });
  }

  async decide(db: Queryable, stored: Stored): Promise<Decision> {
    const reading = this.#profiles.reading();
    if (reading !== null) await reading;
    for (const id of this.#uncommitted) this.#devices.delete(id);
    this.#uncommitted.clear();
    const due = this.timers.takeDue();
    const ids = new Set<Uuid>(due.keys());
    for (const { entityId } of stored.records) ids.add(entityId);
    for (const change of stored.changes) for (const id of concernedBy(change)) ids.add(id);
    const unknown = [...ids].filter((id) => !this.#devices.has(id));
    if (unknown.length > 0) await this.#load(db, unknown, stored);
    const nowMs = this.#deps.clock.nowMs();
    for (const change of stored.changes) this.#takeAttributes(change, nowMs);
    await this.#takeAlarms(db, stored.changes);
    for (const record of stored.records) this.#takeRecord(record, nowMs);
    for (const [id, seenMs] of due) this.#touch(id)?.alarms.passSeen(seenMs, nowMs);
    return this.#decision(nowMs);
  }

  async run(commits: DueCommits, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.timers.waitForDue(this.#wakeUp, signal);
      if (signal.aborted) return;
      try {
        await commits.commitDue();
      } catch (thrown) {
        this.#deps.log.warn("Alarm rules could not be looked at; it is tried again", { error: databaseError(thrown) });
        await this.#deps.clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async #load(db: Queryable, ids: readonly Uuid[], { unsettled }: Stored): Promise<void> {
    const profiles: ReadonlyMap<Uuid, CompiledProfile> = this.#profiles.byId();
    const found = await readDevicesWithRules(db, { ids, profiles, unsettled: unsettled(new Set(ids)) });
    for (const id of ids) {
      const device = found.get(id);
      const known = device === undefined ? null : { alarms: device.profile.watch(device.known) };
      this.#devices.set(id, known);
      if (known !== null) this.#uncommitted.add(id);
    }
    for (const id of this.#devices.keys()) {
      if (this.#devices.size <= DEVICES_MAX) return;
      if (!this.#uncommitted.has(id)) this.#devices.delete(id);
    }
  }

  #touch(id: Uuid): KnownDevice | null {
    const device = this.#devices.get(id) ?? null;
    if (device !== null) this.#uncommitted.add(id);
    return device;
  }

  #takeRecord(record: TelemetryRecord, nowMs: number): void {
    this.#touch(record.entityId)?.alarms.take(toReading(record, nowMs));
  }

  #takeAttributes(change: Change, nowMs: number): void {
    if (change.kind !== "attributes-saved" && change.kind !== "attributes-deleted") return;
    const alarms = this.#touch(change.entity.id)?.alarms;
    if (alarms === undefined) return;
    if (change.kind === "attributes-deleted") return alarms.dropAttributes(change.keys);
    for (const { key, updatedMs, value } of change.attributes)
      alarms.takeAttributes({ tsMs: updatedMs, values: { [key]: JSON.parse(value) as Json }, nowMs }); // canonical JSON
  }

  /** Somebody did something to alarms: which are active now is read, whatever it was. */
  async #takeAlarms(db: Queryable, changes: readonly Change[]): Promise<void> {
    const ids = changes.flatMap((change) =>
      change.kind === "alarm-saved" || change.kind === "alarm-removed" ? concernedBy(change) : [],
    );
    const concerned = ids.filter((id) => this.#touch(id) !== null);
    if (concerned.length === 0) return;
    const active = await readActiveAlarms(db, concerned);
    for (const id of concerned) this.#touch(id)?.alarms.noteAlarms(active.get(id) ?? new Map());
  }

  #decision(nowMs: number): Decision {
    const decisions: DeviceDecision[] = [];
    for (const deviceId of this.#uncommitted) {
      const device = this.#devices.get(deviceId) ?? null;
      if (device === null) continue;
      const decided = device.alarms.takeDecided();
      if (decided.some(({ effects, isToBeKept }) => isToBeKept || effects.length > 0))
        decisions.push({ deviceId, decided });
      if (decided.length > 0 || this.timers.has(deviceId)) this.#setTimer(deviceId, device.alarms, nowMs);
    }
    const committed = (): void => this.#uncommitted.clear();
    if (decisions.length === 0) return { ...NOTHING_DECIDED, committed };
    return {
      records: [],
      isEmpty: false,
      write: async (tx) => ({ changes: await writeDecisions(tx, this.#deps, decisions), records: [] }),
      committed,
    };
  }

  #setTimer(deviceId: Uuid, alarms: DeviceAlarms, nowMs: number): void {
    const due = alarms.nextDue();
    // A clock that was set makes no duration longer than it is.
    const inMs = due === null ? null : Math.min(Math.max(0, due.seenMs - nowMs), due.neededMs);
    this.timers.set(deviceId, due === null || inMs === null ? null : { inMs, seenMs: due.seenMs });
  }
}

function toReading({ tsMs, values }: TelemetryRecord, nowMs: number): Reading {
  return { tsMs, values: JSON.parse(values) as Record<string, Json>, nowMs }; // canonical JSON of an object
}

const OWNERS: ReadonlySet<string> = new Set(["CUSTOMER", "TENANT"]);

/** Devices whose rules may look at it. */
function concernedBy(change: Change): readonly Uuid[] {
  switch (change.kind) {
    case "attributes-saved":
    case "attributes-deleted":
      return change.entity.type === "DEVICE" ? [change.entity.id] : NOBODY;
    case "alarm-saved":
    case "alarm-removed":
      return change.originator.type === "DEVICE" ? [change.originator.id] : NOBODY;
    default:
      return NOBODY;
  }
}

const NOBODY: readonly Uuid[] = [];
