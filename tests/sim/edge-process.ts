import { backoffDelayMs } from "../../shared/core/backoff.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { prefixEnd, rangesAbove } from "../../shared/core/seq-range.ts";
import { committedBelow, inOrderFrom } from "../../shared/sync/course.ts";
import type { Batch, Course, Hello, Welcome } from "../../shared/sync/frames.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../../shared/sync/frames.ts";
import type { Lane, UplinkLane } from "../../shared/sync/lanes.ts";
import { uplinkLaneOf } from "../../shared/sync/lanes.ts";
import type { SessionEnd } from "../../shared/sync/session-driver.ts";
import type { Opening } from "../../shared/sync/session-state.ts";
import { startEdgeSession } from "../../shared/sync/session.ts";
import { Violation } from "./checker.ts";
import { answer } from "./digests.ts";
import type { SimEdgeStore } from "./edge-store.ts";
import { SimSessionEnd, type SimPorts } from "./session-end.ts";
import type { Simulation } from "./simulation.ts";

/** As edge/sync/link.ts: connect, run, wait, again. */
const REFUSALS: ReadonlySet<string> = new Set(["SESSION_FENCED", "IDENTITY_CONFLICT"]);
const REFUSED_RETRY_MS = 5_000;
/** A report in each session, which must change nothing. */
const REPORT_AFTER_MS = 1_000;
const REPORT = { wallClockMs: 0, lanes: [], parkedItems: 0, quota: "ok", state: "IN_SYNC", stateForMs: 0 } as const;

/** An edge program over its database: keeps one session with the cloud for as long as it runs. */
export class SimEdgeProcess {
  readonly name: string;
  store: SimEdgeStore;
  session: SimSessionEnd | null = null;
  /** Does not start, whoever asks. */
  isHeld = false;
  readonly #world: Simulation;
  #isUp = false;
  #life = 0;
  #attempt = 0;
  #machineId: Uuid | null = null;

  constructor(name: string, store: SimEdgeStore, world: Simulation) {
    this.name = name;
    this.store = store;
    this.#world = world;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get isLive(): boolean {
    return this.session?.state.phase === "live";
  }

  start(): void {
    if (this.#isUp || this.isHeld) return;
    this.#isUp = true;
    this.#machineId = this.#world.uuid();
    this.#attempt = 0;
    this.#later(this.#world.dice.between(1, 300), () => this.#connect());
  }

  /** SIGKILL, or a loss of power, which also sets back what was not flushed. */
  crash(power: boolean): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#life += 1;
    this.session?.crash(false);
    this.session = null;
    if (power) this.store.loseVolatile();
  }

  /** Up to where telemetry is on its way. */
  sentTelemetry(): number {
    const senders = this.session?.state.senders.filter(({ lane }) => lane === "live" || lane === "telemetry") ?? [];
    return Math.max(prefixEnd(this.store.cursor("telemetry")), ...senders.map(({ sent }) => sent));
  }

  #later(delayMs: number, run: () => void): void {
    const life = this.#life;
    this.#world.scheduler.after(delayMs, () => {
      if (this.#isUp && life === this.#life) run();
    });
  }

  #connect(): void {
    const hello = this.#hello();
    this.#later(this.#world.databaseMs(), () => {
      const first = startEdgeSession(hello, this.#world.scheduler.nowMs);
      const session = new SimSessionEnd(this.#world, first, this.#ports(hello));
      const stream = this.#world.dial(session);
      if (stream === null) {
        this.#ended({ code: "LINK_DOWN", text: "No route", retryAfterMs: 0, wasLive: false });
        return;
      }
      this.session = session;
      session.start(stream, first.effects);
    });
  }

  #hello(): Hello {
    const { store } = this;
    return {
      type: "hello",
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      edgeVersion: "sim",
      storeId: store.storeId,
      lanes: store.offers(),
      cloudId: store.cloudId,
      downlinkTag: store.downlinkTag,
      machineId: this.#machineId,
      downlinkApplied: store.downlinkApplied,
      wallClockMs: 0,
      backlogOrder: this.#world.profile.backlogOrder,
    };
  }

  #ports(hello: Hello): SimPorts {
    const { store } = this;
    return {
      open: (first) => {
        if (first.type !== "welcome") throw new Violation("greeting", "an edge got a Hello");
        return this.#open(hello, first, store);
      },
      load: ({ lane, ...request }) => {
        const { batches, drained } = store.read(uplinkLaneOf(lane), request);
        return { batches: batches.map((batch) => ({ ...batch, lane })), drained };
      },
      apply: (_lane, batches: readonly Batch[]) => store.applyDownlinks(batches, this.#world.cloud.store),
      blobs: store.blobs,
      settle: (lane, { committed, rejections }) => store.settle(uplinkLaneOf(lane), committed, rejections),
      committed: () => [{ first: 1, last: store.downlinkApplied }],
      rounds: {
        role: "edge",
        answer: (question) => answer(question, store.entities, store.downlinkApplied),
      },
      ended: (end) => {
        this.session = null;
        this.#ended(end);
      },
    };
  }

  #open(hello: Hello, welcome: Welcome, store: SimEdgeStore): Opening {
    const other = welcome.tags.find((item) => !store.isSame(item));
    if (other !== undefined) throw new AppError("STORE_MISMATCH", `${other.lane} ${other.seq} is not what is here`);
    const missedAcks = store.welcome(hello, welcome);
    const { session } = this;
    this.#later(REPORT_AFTER_MS, () => session?.dispatch({ type: "report", report: REPORT }));
    const courseOf = (lane: Lane): Course => welcome.courses.find((start) => start.lane === lane)?.course ?? [];
    const missed = (lane: UplinkLane) => {
      const offer = hello.lanes.find((candidate) => candidate.lane === lane);
      return rangesAbove(committedBelow(welcome.courses, lane, offer?.nextSeq ?? 1), offer?.ackedSeq ?? 0);
    };
    return this.#world.broken.edgeOpening(
      {
        window: welcome.window,
        sending: [
          { lane: "config", course: courseOf("config"), missed: missed("config") },
          { lane: "live", course: courseOf("live"), missed: [] },
          { lane: "telemetry", course: courseOf("telemetry"), missed: missed("telemetry") },
        ],
        receiving: [{ lane: "downlink", course: inOrderFrom(welcome.downlinkResume + 1) }],
        welcome: null,
        missedAcks,
      },
      store,
    );
  }

  #ended(end: SessionEnd): void {
    if (end.code === "STORE_MISMATCH") this.store.renew(this.#world.uuid());
    this.#attempt = end.wasLive ? 0 : this.#attempt + 1;
    const floorMs = Math.max(end.retryAfterMs, REFUSALS.has(end.code) ? REFUSED_RETRY_MS : 0);
    this.#later(backoffDelayMs(this.#attempt, this.#world.dice.random, floorMs), () => this.#connect());
  }
}
