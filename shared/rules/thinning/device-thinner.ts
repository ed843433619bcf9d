import type { Uuid } from "../../core/ids.ts";
import type { CanonicalJson, TelemetryPoint, TelemetryRecord } from "../../entities/telemetry.ts";
import { joinValues, keySetOf, splitValues } from "../../entities/values.ts";
import { dayAfter, dayOf, type UplinkPolicy } from "./compile-policy.ts";
import { addCounts, NOTHING_COUNTED, type ThinningCounts } from "./counts.ts";
import {
  dueByChange,
  dueByWindow,
  isLate,
  passByChange,
  passByWindow,
  takeByChange,
  takeByWindow,
  withoutWindows,
  type Gate,
  type KeyState,
  type Moment,
  type Results,
  type Step,
} from "./key-thinner.ts";
import type { ChangeRule, KeyRule } from "./policy.ts";
import { readKey, storeKey, type StoredKey } from "./stored-keys.ts";
import { takesPart } from "./window.ts";

// Thins the telemetry of one device. Modes: none; its state is what was taken since it was made. The caller writes `state()` with what is
// sent, and makes it anew from what is stored when it does not know whether that was written.

/** Of one device; what comes under further keys is not thinned. */
const KEYS_MAX = 500;
/** Beside key and value: the time, quotes and signs between. */
const POINT_BYTES = 12;

/** JSON. */
export interface DeviceThinning {
  readonly keys: Readonly<Record<string, StoredKey>>;
  /** Absent: nothing was used, or the budget is shared. */
  readonly used?: UsedBytes;
}

/** What went of a budget on a day. */
export interface UsedBytes {
  readonly dayMs: number;
  readonly bytes: number;
}

export const NOTHING_USED: UsedBytes = { dayMs: 0, bytes: 0 };

/** A budget that devices share; of the profile, or of the device alone. */
export interface Purse {
  used: UsedBytes;
}

/** The newest value or another always goes. */
const EVERY: ChangeRule = { type: "change", deadband: null, minIntervalMs: 0, maxIntervalMs: 0 };

export class DeviceThinner {
  readonly #id: Uuid;
  readonly #policy: UplinkPolicy;
  readonly #purse: Purse;
  readonly #keys: Map<string, KeyState>;
  /** By key, of what is thinned. */
  #counts = new Map<string, ThinningCounts>();

  constructor(id: Uuid, policy: UplinkPolicy, from: { readonly keys: DeviceThinning["keys"]; readonly purse: Purse }) {
    this.#id = id;
    this.#policy = policy;
    this.#purse = from.purse;
    this.#keys = new Map(
      Object.entries(from.keys).map(([key, state]) => [
        key,
        policy.ruleOf(key).type === "window" ? readKey(state) : withoutWindows(readKey(state)),
      ]),
    );
  }

  /** @returns what goes to the cloud now, oldest decisions first; the record itself when nothing is left out */
  take(record: TelemetryRecord, nowMs: number): readonly TelemetryRecord[] {
    const members = splitValues(record.values);
    const sends: Results[] = [];
    let isWhole = true;
    for (const [key, value] of members) {
      const rule = this.#policy.ruleOf(key);
      const results = this.#takeValue(rule, { key, point: { tsMs: record.tsMs, value }, nowMs });
      const [only] = results;
      isWhole &&= results.length === 1 && only?.tsMs === record.tsMs && only.values[0]?.[1] === value;
      sends.push(...results);
      if (!this.#isFree(rule)) this.#count(key, { came: [[key, value]], sends: results });
    }
    return isWhole ? [record] : this.#records(sends);
  }

  /** What time has made due. @returns as `take` */
  pass(nowMs: number): readonly TelemetryRecord[] {
    const sends: Results[] = [];
    for (const [key, state] of this.#keys) {
      const rule = this.#policy.ruleOf(key);
      const moment = this.#moment(key, nowMs);
      const step =
        rule.type === "window" ? passByWindow(rule, state, moment) : passByChange(changeOf(rule), state, moment);
      if (this.#isFree(rule)) this.#keys.delete(key);
      else this.#keys.set(key, step.state);
      sends.push(...step.sends);
      if (step.sends.length > 0) this.#count(key, { came: [], sends: step.sends });
    }
    return this.#records(sends);
  }

  /** When something is due next, on the edge's clock; null: nothing waits. */
  nextDueMs(): number | null {
    let dueMs = Infinity;
    for (const [key, state] of this.#keys) {
      const rule = this.#policy.ruleOf(key);
      const due = rule.type === "window" ? dueByWindow(state) : dueByChange(changeOf(rule), state);
      if (due !== null && due < dueMs) dueMs = due;
    }
    return dueMs === Infinity ? null : dueMs;
  }

  /** Nothing is to be remembered. */
  get isEmpty(): boolean {
    return this.#keys.size === 0 && !this.#policy.isGated;
  }

  /** Its policy keeps something back. */
  get isThinned(): boolean {
    return this.#policy.isThinning;
  }

  state(): DeviceThinning {
    const keys = Object.fromEntries(Array.from(this.#keys, ([key, state]) => [key, storeKey(state)]));
    return this.#policy.budget?.per === "DEVICE" ? { keys, used: this.#purse.used } : { keys };
  }

  /** By key, of keys whose values may be kept back; since the last time. */
  takeCounts(): ReadonlyMap<string, ThinningCounts> {
    const counts = this.#counts;
    this.#counts = new Map();
    return counts;
  }

  #takeValue(
    rule: KeyRule,
    { key, nowMs, point }: { readonly key: string; readonly point: TelemetryPoint; readonly nowMs: number },
  ): readonly Results[] {
    const own: Results = { tsMs: point.tsMs, values: [[key, point.value]] };
    if (this.#isFree(rule)) {
      this.#keys.delete(key);
      return [own];
    }
    const state = this.#keys.get(key) ?? null;
    if (state === null && this.#keys.size >= KEYS_MAX) return [own];
    const moment = this.#moment(key, nowMs);
    if (rule.type === "window") {
      if (!takesPart(rule, point.value)) return moment.gate.admit(own) ? [own] : [];
      return this.#keep(key, takeByWindow(rule, state, point, moment));
    }
    // Without a rule what comes late is as good as the rest, but the newest stays the newest.
    if (rule.type === "every" && state !== null && isLate(state.newest.tsMs, point.tsMs, nowMs))
      return moment.gate.admit(own) ? [own] : [];
    return this.#keep(key, takeByChange(changeOf(rule), state, point, moment));
  }

  #keep(key: string, { sends, state }: Step): readonly Results[] {
    this.#keys.set(key, state);
    return sends;
  }

  /** Nothing keeps values of such a key back. */
  #isFree({ type }: KeyRule): boolean {
    return type === "exempt" || (type === "every" && !this.#policy.isGated);
  }

  #moment(key: string, nowMs: number): Moment {
    const gate: Gate = {
      admit: ({ values }) => {
        if (this.#policy.ruleOf(key).type === "exempt") return true;
        return this.#policy.isOn(nowMs) && this.#spend(bytesOf(values), nowMs);
      },
      opensMs: () => (this.#policy.isOn(nowMs) ? dayAfter(nowMs) : this.#policy.opensMs(nowMs)),
    };
    return { key, nowMs, gate };
  }

  #spend(bytes: number, nowMs: number): boolean {
    const { budget } = this.#policy;
    if (budget === null) return true;
    const { used } = this.#purse;
    const dayMs = dayOf(nowMs);
    const before = used.dayMs === dayMs ? used.bytes : 0;
    if (before + bytes > budget.bytesPerDay) return false;
    this.#purse.used = { dayMs, bytes: before + bytes };
    return true;
  }

  #count(key: string, { came, sends }: { readonly came: Results["values"]; readonly sends: readonly Results[] }): void {
    const values = sends.flatMap((results) => results.values);
    const counted = { came: came.length, cameBytes: bytesOf(came), sent: values.length, sentBytes: bytesOf(values) };
    this.#counts.set(key, addCounts(this.#counts.get(key) ?? NOTHING_COUNTED, counted));
  }

  /** What is of one time is one record; of a key that is there twice the later value wins. */
  #records(sends: readonly Results[]): readonly TelemetryRecord[] {
    const byTime = new Map<number, Map<string, CanonicalJson>>();
    for (const { tsMs, values } of sends) {
      const members = byTime.get(tsMs) ?? new Map<string, CanonicalJson>();
      for (const [key, value] of values) members.set(key, value);
      byTime.set(tsMs, members);
    }
    return Array.from(byTime, ([tsMs, members]) => ({
      entityId: this.#id,
      tsMs,
      values: joinValues(members),
      keySet: keySetOf(members.keys()),
    }));
  }
}

/** State that was kept for another rule is judged by the one of now. */
function changeOf(rule: Exclude<KeyRule, { type: "window" }>): ChangeRule {
  return rule.type === "change" ? rule : EVERY;
}

function bytesOf(values: Results["values"]): number {
  return values.reduce((sum, [key, value]) => sum + key.length + value.length + POINT_BYTES, 0);
}
