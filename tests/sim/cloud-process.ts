import type { Uuid } from "../../shared/core/ids.ts";
import { unionOf } from "../../shared/core/seq-range.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import { toTypeDigest } from "../../shared/sync/digest.ts";
import type { Hello } from "../../shared/sync/frames.ts";
import { uplinkLaneOf } from "../../shared/sync/lanes.ts";
import type { Opening } from "../../shared/sync/session-state.ts";
import { startCloudSession } from "../../shared/sync/session.ts";
import { Violation } from "./checker.ts";
import type { SimCloudStore } from "./cloud-store.ts";
import { toFineBuckets } from "./digests.ts";
import type { Stream } from "./network.ts";
import { SimSessionEnd, type SimPorts } from "./session-end.ts";
import type { Simulation } from "./simulation.ts";

const ROUNDS_EVERY_MS = 20_000;
/** Longer than a database takes for what it was asked for. */
const LATE_WRITES_MS = 30_000;

/** The cloud program over its database: as cloud/sync/service.ts and live-sessions.ts. */
export class SimCloudProcess {
  readonly store: SimCloudStore;
  isUp = true;
  readonly #world: Simulation;
  readonly #sessions = new Set<SimSessionEnd>();
  #live: SimSessionEnd | null = null;
  #crashedMs = -Infinity;

  constructor(store: SimCloudStore, world: Simulation) {
    this.store = store;
    this.#world = world;
  }

  /** Whether anything of any session may still be written, also of one whose process is gone. */
  get isBusy(): boolean {
    return this.#sessions.size > 0 || this.#world.scheduler.nowMs < this.#crashedMs + LATE_WRITES_MS;
  }

  /** @returns the end for a new stream, to be started with it */
  accept(): SimSessionEnd {
    const ports = this.#ports(() => session);
    const session: SimSessionEnd = new SimSessionEnd(
      this.#world,
      startCloudSession(this.#world.scheduler.nowMs),
      ports,
    );
    this.#sessions.add(session);
    return session;
  }

  start(session: SimSessionEnd, stream: Stream): void {
    session.start(stream, []);
  }

  /** SIGKILL. What the database was asked for may still happen, even after the next session began; `late` false rules that out. */
  crash(late: boolean): void {
    this.isUp = false;
    this.#crashedMs = this.#world.scheduler.nowMs;
    this.store.disconnectedMs ??= this.#world.scheduler.nowMs;
    for (const session of this.#sessions) session.crash(late);
    this.#sessions.clear();
    this.#live = null;
  }

  /** A hint that downlinks were committed; it may reach any session, or none. */
  wake(): void {
    this.#live?.wake("downlink");
  }

  #ports(session: () => SimSessionEnd): SimPorts {
    const { store } = this;
    let opened: { readonly session: number; readonly storeId: Uuid } | null = null;
    const current = () => {
      if (opened === null) throw new Violation("phases", "lanes run before the session is open");
      return opened;
    };
    return {
      open: (first) => {
        if (first.type !== "hello") throw new Violation("greeting", "a cloud got a Welcome");
        const { opening, number } = this.#open(first);
        opened = { session: number, storeId: first.storeId };
        if (session().isDead) return opening;
        this.#live?.dispatch({ type: "stop", code: "SESSION_FENCED", text: "A newer session took over" });
        this.#live = session();
        return opening;
      },
      load: (request) => store.readDownlinks(request),
      apply: (lane, batches) => store.applyUplink({ ...current(), lane: uplinkLaneOf(lane) }, batches),
      blobs: store.blobs,
      settle: (_lane, { seq, rejections }) => store.settleDownlinks(current().session, seq, rejections),
      rounds: {
        role: "cloud",
        readDigest: () => ({ request: 0, types: [toTypeDigest("DEVICE", toFineBuckets(store.entities))] }),
        repair: (entries) => {
          const found = store.repair(entries);
          this.wake();
          return found;
        },
      },
      committed: (lane) => store.committed(current().storeId, uplinkLaneOf(lane)),
      ended: () => {
        this.#sessions.delete(session());
        if (this.#live === session()) this.#live = null;
        if (opened !== null) store.closeSession(opened.session, this.#world.scheduler.nowMs);
      },
    };
  }

  #open(hello: Hello): { readonly opening: Opening; readonly number: number } {
    const { store } = this;
    const { window } = this.#world.profile;
    const opened = store.openSession(hello, this.#world.scheduler.nowMs);
    for (const { lane, nextSeq } of hello.lanes) {
      const seq = store.committed(hello.storeId, lane).at(-1)?.last ?? 0;
      if (seq >= nextSeq)
        throw new Violation("older database is refused", `${lane} goes on at ${nextSeq}, ${seq} was committed`);
    }
    const opening: Opening = {
      window,
      sending: [
        {
          lane: "downlink",
          course: inOrderFrom(opened.downlinkResume + 1),
          missed: unionOf([{ first: opened.downlinkAcked + 1, last: opened.downlinkResume }]),
        },
      ],
      receiving: opened.courses,
      missedAcks: opened.missedAcks,
      roundsEveryMs: ROUNDS_EVERY_MS,
      welcome: {
        type: "welcome",
        protocol: 1,
        session: opened.session,
        edgeId: store.cloudId,
        tenantId: store.cloudId,
        edgeName: "sim",
        edgeType: "default",
        cloudId: store.cloudId,
        cloudVersion: "sim",
        courses: opened.courses,
        tags: opened.tags,
        window,
        wallClockMs: 0,
        downlinkResume: opened.downlinkResume,
        downlinkAcked: opened.downlinkAcked,
        settings: null,
      },
    };
    return { opening, number: opened.session };
  }
}
