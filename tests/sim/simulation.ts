import { CONFLICT_RETRY_MS, MACHINE_KEPT_MS } from "../../cloud/store/edge-identity.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import { countSeqs, includesRange } from "../../shared/core/seq-range.ts";
import { BACKLOG_ORDERS, type BacklogOrder, type Window } from "../../shared/sync/frames.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import type { Opening, Role, SessionEvent, SessionState } from "../../shared/sync/session-state.ts";
import { advanceSession } from "../../shared/sync/session.ts";
import { Checker, Violation } from "./checker.ts";
import { SimCloudProcess } from "./cloud-process.ts";
import { SimCloudStore } from "./cloud-store.ts";
import { isRefusedRecord, readConfigContent } from "./contents.ts";
import { Dice } from "./dice.ts";
import { SimEdgeProcess } from "./edge-process.ts";
import { SimEdgeStore } from "./edge-store.ts";
import { FaultInjector } from "./faults.ts";
import { Stream } from "./network.ts";
import { Scheduler } from "./scheduler.ts";
import type { SimSessionEnd } from "./session-end.ts";
import { Workload } from "./workload.ts";

// One run: an edge and a cloud, both the real protocol machine over simulated databases, a network and virtual time.
//
// Phases of a run:
//   trouble  work goes in on both sides while everything fails: see faults.ts
//   healed   no more faults, everything is up: all that was written must arrive, without a pause of HEALED_WITHIN_MS
//   overtake an outage leaves a backlog; what is written when the link is back must not wait for it
//   quiet    single changes, each of which must arrive within QUIET_WITHIN_MS: what lost a wake-up shows here

const TROUBLE_MS = 180_000;
/**
 * The longest chains: a lost acknowledgement is noticed after 60 s, the backoff takes up to 60 s, a greeting 15 s; and a second machine
 * that was there keeps the edge for five minutes, which the first one asks about every minute.
 */
const HEALED_WITHIN_MS = 420_000;
const STILL_WORKING_MS = 10_000;
const QUIET_WITHIN_MS = 30_000;
const QUIET_ROUNDS = 4;
const OUTAGE_MS = 5_000;
/** Several pieces of work that take longer than usual. */
const SLOW_DATABASE = 30;
const LOOK_EVERY_MS = 250;
const TRACE_EVENTS_MAX = 60;

/** What differs between seeds beside the dice. */
export interface Profile {
  readonly window: Window;
  readonly backlogOrder: BacklogOrder;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly databaseMs: number;
  /** Share of transactions whose connection fails, while there is trouble. */
  readonly databaseFailures: number;
  readonly workEveryMs: number;
  readonly faultEveryMs: number;
  /** Streams skip a frame at times, which no real one does. */
  readonly losesFrames: boolean;
  /** The cloud's database is set back to a backup once. */
  readonly restoresCloud: boolean;
  /** The edge's database is made anew at times. */
  readonly wipesEdge: boolean;
  /** The edge's database is set back to an older copy, and writes on alone. */
  readonly setsEdgeBack: boolean;
  /** Somebody writes into the edge's database at times. */
  readonly damagesEdge: boolean;
  /** A second machine uses the same identity at times. */
  readonly hasRival: boolean;
}

/** The product, or a version of it that is broken on purpose: see mutants.ts. */
export interface Build {
  readonly advance: typeof advanceSession;
  readonly prepareEdge: (store: SimEdgeStore) => void;
  readonly prepareCloud: (store: SimCloudStore) => void;
  readonly edgeOpening: (opening: Opening, store: SimEdgeStore) => Opening;
  /** Whether a session's end waits for what it asked of the database. */
  readonly waitsForWork: boolean;
}

export const PRODUCT: Build = {
  advance: advanceSession,
  prepareEdge: () => undefined,
  prepareCloud: () => undefined,
  edgeOpening: (opening) => opening,
  waitsForWork: true,
};

export interface RunResult {
  readonly seed: number;
  readonly steps: number;
  readonly applied: number;
  /** Null when everything held. */
  readonly failure: { readonly invariant: string; readonly text: string; readonly trace: readonly string[] } | null;
}

export function runSeed(seed: number, build: Build = PRODUCT): RunResult {
  const world = new Simulation(seed, build);
  let failure: RunResult["failure"] = null;
  try {
    world.run();
  } catch (thrown) {
    if (!(thrown instanceof Violation)) throw thrown;
    failure = { invariant: thrown.invariant, text: thrown.message, trace: world.lastEvents() };
  }
  return { seed, steps: world.scheduler.steps, applied: world.checker.effects, failure };
}

interface TraceEntry {
  readonly atMs: number;
  readonly who: Role | "world";
  readonly what: SessionEvent | string;
  /** Of the session after the event. */
  readonly phase: SessionState["phase"] | "";
}

export class Simulation {
  readonly scheduler = new Scheduler();
  readonly checker = new Checker();
  readonly dice: Dice;
  readonly broken: Build;
  readonly profile: Profile;
  readonly cloud: SimCloudProcess;
  readonly edge: SimEdgeProcess;
  readonly streams = new Set<Stream>();
  /** No stream can be opened. */
  isPartitioned = false;
  readonly #workload: Workload;
  readonly #faults: FaultInjector;
  readonly #trace: TraceEntry[] = [];
  #isTroubled = true;
  #ids = 0;

  constructor(seed: number, build: Build) {
    this.dice = new Dice(seed);
    this.broken = build;
    this.profile = chooseProfile(this.dice);
    const store = new SimCloudStore(this.uuid(), this.checker);
    build.prepareCloud(store);
    this.cloud = new SimCloudProcess(store, this);
    this.edge = new SimEdgeProcess("edge", this.createEdgeStore(), this);
    this.#workload = new Workload(this);
    this.#faults = new FaultInjector(this, this.#workload);
  }

  run(): void {
    this.edge.start();
    this.#workload.start();
    this.#faults.start();
    this.scheduler.runUntil(TROUBLE_MS);
    this.#isTroubled = false;
    this.#faults.heal();
    this.#workload.burst();
    this.scheduler.runUntil(TROUBLE_MS + STILL_WORKING_MS);
    this.#workload.stop();
    this.#awaitSettled("healed", HEALED_WITHIN_MS + (this.profile.hasRival ? MACHINE_KEPT_MS + CONFLICT_RETRY_MS : 0));
    this.#checkOvertaking();
    this.#awaitSettled("overtake", HEALED_WITHIN_MS);
    for (let round = 0; round < QUIET_ROUNDS; round += 1) {
      this.#workload.singleChange();
      this.#awaitSettled("quiet", QUIET_WITHIN_MS);
    }
    this.#checkBooks();
    if (!this.profile.hasRival) this.#checkParked();
  }

  createEdgeStore(): SimEdgeStore {
    const store = new SimEdgeStore(this.uuid(), this.checker);
    this.broken.prepareEdge(store);
    return store;
  }

  /** Null when nobody answers. A partition or a dead host may also just stay silent. */
  dial(edgeEnd: SimSessionEnd): Stream | null {
    const isReachable = this.cloud.isUp && !this.isPartitioned;
    if (!isReachable && this.dice.chance(0.5)) return null;
    const cloudEnd = this.cloud.accept();
    const stream = new Stream(
      { edge: edgeEnd, cloud: cloudEnd },
      { scheduler: this.scheduler, dice: this.dice, weather: this.profile },
    );
    if (isReachable) this.cloud.start(cloudEnd, stream);
    else stream.goSilent("edge");
    for (const old of this.streams) if (!old.isOpen) this.streams.delete(old);
    this.streams.add(stream);
    return stream;
  }

  databaseMs(): number {
    // Now and then a checkpoint, a lock or a full disk queue.
    const slow = this.#isTroubled && this.dice.chance(0.02) ? 50 : 1;
    return this.dice.exponentialMs(this.profile.databaseMs) * slow;
  }

  databaseFailure(): "none" | "before" | "after" {
    if (!this.#isTroubled || !this.dice.chance(this.profile.databaseFailures)) return "none";
    return this.dice.chance(0.5) ? "before" : "after";
  }

  /** Two ends of this version, with nothing but trouble around them, never accuse each other or themselves. */
  sessionClosed(role: Role, { code, text }: { readonly code: string; readonly text: string }): void {
    if (this.profile.losesFrames || (code !== "PROTOCOL_ERROR" && code !== "INTERNAL")) return;
    throw new Violation("no fault of our own", `the ${role} closed with ${code}: ${text}`);
  }

  trace(who: TraceEntry["who"], what: TraceEntry["what"], phase: TraceEntry["phase"] = ""): void {
    if (this.#trace.length >= TRACE_EVENTS_MAX * 4) this.#trace.splice(0, TRACE_EVENTS_MAX * 3);
    this.#trace.push({ atMs: this.scheduler.nowMs, who, what, phase });
  }

  lastEvents(): readonly string[] {
    return this.#trace.slice(-TRACE_EVENTS_MAX).map(({ atMs, who, what, phase }) => {
      const text = JSON.stringify(what, (key, value: unknown) =>
        key === "payload" ? undefined : typeof value === "bigint" ? String(value) : value,
      );
      return `${atMs.toFixed(1).padStart(10)} ${who.padEnd(5)} ${phase.padEnd(8)} ${text.slice(0, 240)}`;
    });
  }

  #awaitSettled(phase: string, withinMs: number): void {
    const { scheduler } = this;
    let best = -1;
    let deadlineMs = 0;
    for (let missing = this.#missing(); missing !== null; missing = this.#missing()) {
      const arrived = this.#arrived();
      if (arrived > best) {
        best = arrived;
        deadlineMs = scheduler.nowMs + withinMs;
      }
      if (scheduler.nowMs >= deadlineMs)
        throw new Violation("everything arrives", `${phase}, nothing new for ${withinMs} ms, but ${missing}`);
      scheduler.runUntil(scheduler.nowMs + LOOK_EVERY_MS);
    }
  }

  /** Grows with everything that arrives; bounded by what was written. */
  #arrived(): number {
    const { cloud, edge } = this;
    const up = UPLINK_LANES.map(
      (lane) => countSeqs(cloud.store.committed(edge.store.storeId, lane)) + countSeqs(edge.store.cursor(lane)),
    );
    return up.reduce((sum, seq) => sum + seq, 0) + edge.store.downlinkApplied + cloud.store.downlinkAcked;
  }

  /** What has not arrived, or null. */
  #missing(): string | null {
    const { cloud, edge } = this;
    for (const lane of UPLINK_LANES) {
      const last = edge.store.nextSeq(lane) - 1;
      const all = { first: 1, last };
      const committed = cloud.store.committed(edge.store.storeId, lane);
      if (last > 0 && !includesRange(committed, all))
        return `the cloud has ${countSeqs(committed)} items of ${lane}, the edge wrote ${last}`;
      const cursor = edge.store.cursor(lane);
      if (last > 0 && !includesRange(cursor, all))
        return `the edge's cursor of ${lane} has ${countSeqs(cursor)} of ${last}`;
    }
    const { downlinkAcked, downlinkLast } = cloud.store;
    if (edge.store.downlinkApplied !== downlinkLast) {
      return `the edge applied downlinks up to ${edge.store.downlinkApplied}, the cloud wrote up to ${downlinkLast}`;
    }
    if (downlinkAcked !== downlinkLast) return `downlinks are acknowledged up to ${downlinkAcked}, not ${downlinkLast}`;
    for (const [entity, version] of cloud.store.entities) {
      const there = edge.store.entities.get(entity);
      if (there !== version) return `entity ${entity} is ${there} on the edge, ${version} in the cloud`;
    }
    for (const entity of edge.store.entities.keys())
      if (!cloud.store.entities.has(entity)) return `entity ${entity} is on the edge alone`;
    return null;
  }

  /** Behaviour of lane live: fresh telemetry is committed while the backlog drains. */
  #checkOvertaking(): void {
    const { cloud, edge, profile, scheduler } = this;
    this.isPartitioned = true;
    for (const stream of this.streams) stream.cut({ edge: true, cloud: true });
    scheduler.runUntil(scheduler.nowMs + OUTAGE_MS);
    this.#workload.backlog();
    // A Hello that was being written before the backlog finds no cloud.
    scheduler.runUntil(scheduler.nowMs + OUTAGE_MS);
    this.isPartitioned = false;
    const deadlineMs = scheduler.nowMs + HEALED_WITHIN_MS;
    while (!edge.isLive && scheduler.nowMs < deadlineMs) scheduler.runUntil(scheduler.nowMs + 1);
    if (profile.backlogOrder === "oldest-first") return;
    const seq = this.#workload.freshRecord();
    // To the cloud, behind an apply that is under way, with what the databases take at their slowest.
    scheduler.runUntil(scheduler.nowMs + 2 * (profile.delayMs + profile.jitterMs) + SLOW_DATABASE * profile.databaseMs);
    const committed = cloud.store.committed(edge.store.storeId, "telemetry");
    if (!includesRange(committed, { first: seq, last: seq }))
      throw new Violation("fresh data does not wait", `telemetry ${seq} waits behind ${this.#missing() ?? "nothing"}`);
  }

  #checkBooks(): void {
    for (const lane of UPLINK_LANES) {
      const book = this.checker.book(this.edge.store.storeId, lane);
      for (let seq = 1; seq <= book.written.length; seq += 1) {
        if (includesRange(book.skipped, { first: seq, last: seq })) continue;
        const count = book.applied[seq - 1] ?? 0;
        if (count !== 1) throw new Violation("applied exactly once", `${lane} ${seq} took effect ${count} times`);
      }
    }
  }

  /** What one side refused, the other one, which owns it, has parked. A clone may have heard of it instead of the edge. */
  #checkParked(): void {
    const { cloud, edge } = this;
    for (const lane of UPLINK_LANES) {
      const { forgivenUpTo, removed, written, skipped } = this.checker.book(edge.store.storeId, lane);
      for (const [index, content] of written.entries()) {
        const seq = index + 1;
        // What was removed was seldom seen by the cloud.
        if (seq <= forgivenUpTo || removed.has(seq) || includesRange(skipped, { first: seq, last: seq })) continue;
        const isRefused = lane === "config" ? readConfigContent(content).kind === "refused" : isRefusedRecord(content);
        if (isRefused && !edge.store.parked.has(`${lane} ${seq}`))
          throw new Violation("refused is parked", `${lane} ${seq} was refused, and the edge does not know`);
      }
    }
    if (cloud.store.wasSetBack) return;
    for (const seq of edge.store.refused) {
      if (seq > cloud.store.coveredUpTo && !cloud.store.failed.has(seq))
        throw new Violation("refused is parked", `downlink ${seq} was refused, and the cloud does not know`);
    }
  }

  uuid(): Uuid {
    this.#ids += 1;
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setUint32(0, this.#ids);
    return uuidFromBytes(bytes);
  }
}

function chooseProfile(dice: Dice): Profile {
  const special = dice.whole(0, 9);
  return {
    window: { bytes: dice.whole(40, 1_000), items: dice.whole(4, 120) },
    backlogOrder: dice.pick(BACKLOG_ORDERS) ?? "interleaved",
    delayMs: dice.pick([1, 20, 150, 600]) ?? 1,
    jitterMs: dice.pick([0, 5, 200]) ?? 0,
    databaseMs: dice.pick([1, 5, 40]) ?? 1,
    databaseFailures: dice.pick([0, 0.002, 0.02]) ?? 0,
    workEveryMs: dice.pick([300, 1_000, 3_000]) ?? 1_000,
    faultEveryMs: dice.pick([1_500, 6_000, 20_000]) ?? 6_000,
    losesFrames: dice.chance(0.25),
    restoresCloud: special === 0,
    wipesEdge: special === 1 || special === 2,
    hasRival: special === 3 || special === 4,
    setsEdgeBack: special === 5,
    damagesEdge: dice.chance(0.3),
  };
}
