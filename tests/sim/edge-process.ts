import { backoffDelayMs } from "../../shared/core/backoff.ts";
import type { Batch, Hello, UplinkLane, Welcome } from "../../shared/sync/frames.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN, UPLINK_LANES } from "../../shared/sync/frames.ts";
import type { SessionEnd } from "../../shared/sync/session-driver.ts";
import type { Opening } from "../../shared/sync/session.ts";
import { findSender, startEdgeSession } from "../../shared/sync/session.ts";
import { Violation } from "./checker.ts";
import type { SimEdgeStore } from "./edge-store.ts";
import { SimSessionEnd, type SimPorts } from "./session-end.ts";
import type { Simulation } from "./simulation.ts";

/** As edge/sync/link.ts: connect, run, wait, again. */
const REFUSALS: ReadonlySet<string> = new Set(["STORE_MISMATCH", "SESSION_FENCED"]);
const REFUSED_RETRY_MS = 5_000;
/** A report in each session, which must change nothing. */
const REPORT_AFTER_MS = 1_000;
const REPORT = { wallClockMs: 0, lanes: [], parkedItems: 0, quota: "ok", state: "IN_SYNC", stateForMs: 0 } as const;

/** An edge program over its database: keeps one session with the cloud for as long as it runs. */
export class SimEdgeProcess {
  readonly name: string;
  store: SimEdgeStore;
  session: SimSessionEnd | null = null;
  readonly #world: Simulation;
  #isUp = false;
  #life = 0;
  #attempt = 0;

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
    if (this.#isUp) return;
    this.#isUp = true;
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
    const sent = this.session === null ? undefined : findSender(this.session.state, "telemetry")?.sent;
    return sent ?? this.store.cursor("telemetry");
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
      const session = new SimSessionEnd(this.#world, first, this.#ports());
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
      downlinkApplied: store.downlinkApplied,
      wallClockMs: 0,
    };
  }

  #ports(): SimPorts {
    const { store } = this;
    return {
      open: (first) => {
        if (first.type !== "welcome") throw new Violation("greeting", "an edge got a Hello");
        return this.#open(first, store);
      },
      load: ({ lane, ...request }) => store.read(uplink(lane), request),
      apply: (_lane, batches: readonly Batch[]) => store.applyDownlinks(batches, this.#world.cloud.store),
      settle: (lane, seq, rejections) => store.settle(uplink(lane), seq, rejections),
      committed: () => store.downlinkApplied,
      ended: (end) => {
        this.session = null;
        this.#ended(end);
      },
    };
  }

  #open(welcome: Welcome, store: SimEdgeStore): Opening {
    const missedAcks = store.welcome(welcome);
    const { session } = this;
    this.#later(REPORT_AFTER_MS, () => session?.dispatch({ type: "report", report: REPORT }));
    return this.#world.broken.edgeOpening(
      {
        window: welcome.window,
        sending: UPLINK_LANES.map((lane) => ({
          lane,
          seq: welcome.watermarks.find((mark) => mark.lane === lane)?.seq ?? 0,
          ackedSeq: store.cursor(lane),
        })),
        receiving: [{ lane: "downlink", seq: welcome.downlinkResume }],
        welcome: null,
        missedAcks,
      },
      store,
    );
  }

  #ended(end: SessionEnd): void {
    this.#attempt = end.wasLive ? 0 : this.#attempt + 1;
    const floorMs = Math.max(end.retryAfterMs, REFUSALS.has(end.code) ? REFUSED_RETRY_MS : 0);
    this.#later(backoffDelayMs(this.#attempt, this.#world.dice.random, floorMs), () => this.#connect());
  }
}

function uplink(lane: string): UplinkLane {
  const found = UPLINK_LANES.find((candidate) => candidate === lane);
  if (found === undefined) throw new Violation("lanes", `${lane} does not go up`);
  return found;
}
