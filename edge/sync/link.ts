import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import type { Log } from "../../shared/observe/log.ts";
import { ackWaitMs } from "../../shared/sync/ack-wait.ts";
import type { EdgeReport } from "../../shared/sync/edge-report.ts";
import type { Ack, Batch, Hello, Lane, LaneOffer, Rejection, UplinkLane, Welcome } from "../../shared/sync/frames.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN, UPLINK_LANES } from "../../shared/sync/frames.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { SessionEnd, SessionHandle, SessionPorts, SessionTransport } from "../../shared/sync/session-driver.ts";
import { driveSession } from "../../shared/sync/session-driver.ts";
import type { Opening } from "../../shared/sync/session.ts";
import { findSender, startEdgeSession } from "../../shared/sync/session.ts";
import { isRefusal, reconnectDelayMs } from "./reconnect.ts";

// Keeps one session with the cloud for as long as the edge runs: connect, run, wait, again.
//
// States, as /status shows them:
//   connecting  a stream is being opened or greeted
//   live        lanes run
//   waiting     the last session ended; the next attempt follows after a backoff
//   refused     like waiting, but the cloud said no, and trying again helps only after somebody acts

export interface LinkStatus {
  readonly state: "connecting" | "live" | "waiting" | "refused";
  /** Why the last session ended; null while live and before the first attempt. */
  readonly reason: { readonly code: string; readonly text: string } | null;
  /** Wall time of the last change of state. */
  readonly sinceMs: number;
  readonly session: number | null;
  /** Wall clock of the cloud minus that of this edge, as of the last Welcome. */
  readonly clockSkewMs: number | null;
  readonly sentSeq: Readonly<Record<UplinkLane, number>>;
  /** Wall time of the next attempt; null unless one is waited for. */
  readonly nextAttemptMs: number | null;
  /** How long what is in flight has waited for an acknowledgement; null when nothing is. */
  readonly ackWaitMs: number | null;
}

export interface Link {
  /** Rows were committed to the outbox. */
  wake(lane: UplinkLane): void;
  /** Tells the cloud how this edge is, if there is a session. */
  report(report: EdgeReport): void;
  status(): LinkStatus;
  run(signal: AbortSignal): Promise<void>;
}

/** What the link needs of the edge's stores. */
export interface LinkStore {
  greeting(): Promise<{
    readonly lanes: readonly LaneOffer[];
    readonly cloudId: Uuid | null;
    readonly downlinkApplied: number;
  }>;
  /** Keeps what the cloud says of this edge; no cursor stays above the cloud's watermark. @returns what each side knew of the other */
  welcome(welcome: Welcome): Promise<Acquaintance>;
  read(
    lane: UplinkLane,
    request: { readonly afterSeq: number; readonly bytesMax: number; readonly itemsMax: number },
  ): Promise<{ readonly batches: readonly OutgoingBatch[]; readonly drained: boolean }>;
  settle(lane: UplinkLane, seq: number, rejections: readonly Rejection[], nowMs: number): Promise<void>;
  /** One transaction: the changes and the downlink sequence. */
  applyDownlinks(batches: readonly Batch[]): Promise<readonly Rejection[]>;
}

export interface Acquaintance {
  /** Per lane what this edge knows to be committed. */
  readonly ackedSeq: Readonly<Record<UplinkLane, number>>;
  /** Acknowledgements of downlinks that the cloud does not know of. */
  readonly missedAcks: readonly Ack[];
}

export interface LinkDeps {
  readonly storeId: Uuid;
  readonly edgeVersion: string;
  readonly store: LinkStore;
  readonly dial: (signal: AbortSignal) => SessionTransport;
  /** The state is another one than before; must not throw. @default nobody is told */
  readonly onChange?: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A session that held so long was a good one: the backoff begins anew. */
const STABLE_AFTER_MS = 10_000;
/** How long telemetry is gathered before it is looked for in the outbox, and the least time between two such looks. */
const GATHER_MS = 25;
const GATHER_INTERVAL_MS = 100;

export function createLink(deps: LinkDeps): Link {
  return new EdgeLink(deps);
}

class EdgeLink implements Link {
  readonly #deps: LinkDeps;
  #status: LinkStatus;
  #session: SessionHandle | null = null;
  #gathering = false;
  #gatheredMs = -Infinity;

  constructor(deps: LinkDeps) {
    this.#deps = deps;
    const sinceMs = deps.clock.nowMs();
    this.#status = {
      state: "connecting",
      reason: null,
      sinceMs,
      session: null,
      clockSkewMs: null,
      sentSeq: { config: 0, telemetry: 0 },
      nextAttemptMs: null,
      ackWaitMs: null,
    };
  }

  wake(lane: UplinkLane): void {
    if (lane !== "telemetry") this.#session?.wake(lane);
    else if (!this.#gathering) void this.#gather();
  }

  /** Commits follow each other within a ms; one load for many of them leaves the processor to the devices. */
  async #gather(): Promise<void> {
    const { clock } = this.#deps;
    this.#gathering = true;
    await clock.sleep(Math.max(GATHER_MS, this.#gatheredMs + GATHER_INTERVAL_MS - clock.monotonicMs()));
    this.#gathering = false;
    this.#gatheredMs = clock.monotonicMs();
    this.#session?.wake("telemetry");
  }

  status(): LinkStatus {
    const state = this.#session?.state();
    if (state === undefined) return this.#status;
    const sent = (lane: UplinkLane): number => findSender(state, lane)?.sent ?? this.#status.sentSeq[lane];
    return {
      ...this.#status,
      sentSeq: { config: sent("config"), telemetry: sent("telemetry") },
      ackWaitMs: ackWaitMs(state, this.#deps.clock.monotonicMs()),
    };
  }

  report(report: EdgeReport): void {
    this.#session?.report(report);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    let attempt = 0;
    while (!signal.aborted) {
      this.#move("connecting", this.#status.reason);
      const begunMs = clock.monotonicMs();
      const end = await this.#runSession(signal);
      if (signal.aborted) return;
      // A session that fails again and again right after it became live must not be tried without a pause.
      const wasStable = end.wasLive && clock.monotonicMs() - begunMs > STABLE_AFTER_MS;
      attempt = wasStable ? 0 : attempt + 1;
      const delayMs = reconnectDelayMs(end, { attempt, wasStable }, random);
      this.#status = { ...this.#status, nextAttemptMs: clock.nowMs() + delayMs };
      this.#move(isRefusal(end.code) ? "refused" : "waiting", { code: end.code, text: end.text });
      await clock.sleep(delayMs, signal).catch(() => undefined);
      this.#status = { ...this.#status, nextAttemptMs: null };
    }
  }

  async #runSession(signal: AbortSignal): Promise<SessionEnd> {
    const { clock, log, store } = this.#deps;
    try {
      const hello = await this.#hello();
      const session = driveSession(startEdgeSession(hello, clock.monotonicMs()), {
        transport: this.#deps.dial(signal),
        ports: this.#ports(store),
        clock,
        log,
      });
      this.#session = session;
      const onAbort = (): void => session.stop("CANCELLED", "The edge is stopping");
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        return await session.ended;
      } finally {
        signal.removeEventListener("abort", onAbort);
        this.#status = { ...this.status(), ackWaitMs: null };
        this.#session = null;
      }
    } catch (thrown) {
      const error = AppError.from(thrown);
      return { code: error.code, text: error.message, retryAfterMs: error.retryAfterMs ?? 0, wasLive: false };
    }
  }

  async #hello(): Promise<Hello> {
    const { clock, edgeVersion, store, storeId } = this.#deps;
    const greeting = await store.greeting();
    return {
      type: "hello",
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      edgeVersion,
      storeId,
      wallClockMs: clock.nowMs(),
      ...greeting,
    };
  }

  #ports(store: LinkStore): SessionPorts {
    const { clock } = this.#deps;
    return {
      open: async (first) => {
        if (first.type !== "welcome") throw new AppError("PROTOCOL_ERROR", "Expected a Welcome");
        return this.#open(first);
      },
      load: ({ lane, ...request }) => store.read(uplinkLane(lane), request),
      apply: (_lane, batches) => store.applyDownlinks(batches),
      settle: (lane, seq, rejections) => store.settle(uplinkLane(lane), seq, rejections, clock.nowMs()),
    };
  }

  async #open(welcome: Welcome): Promise<Opening> {
    const { clock, store } = this.#deps;
    const { ackedSeq, missedAcks } = await store.welcome(welcome);
    this.#status = { ...this.#status, session: welcome.session, clockSkewMs: welcome.wallClockMs - clock.nowMs() };
    this.#move("live", null);
    return {
      window: welcome.window,
      sending: UPLINK_LANES.map((lane) => ({
        lane,
        seq: welcome.watermarks.find((mark) => mark.lane === lane)?.seq ?? 0,
        ackedSeq: ackedSeq[lane],
      })),
      receiving: [{ lane: "downlink", seq: welcome.downlinkResume }],
      welcome: null,
      missedAcks,
    };
  }

  #move(state: LinkStatus["state"], reason: LinkStatus["reason"]): void {
    const before = this.#status;
    this.#status = {
      ...before,
      state,
      reason,
      sinceMs: before.state === state ? before.sinceMs : this.#deps.clock.nowMs(),
    };
    if (before.state !== state) this.#deps.onChange?.();
    if (before.state === state || state === "connecting") return;
    this.#deps.log.info("Link state changed", {
      state,
      ...(reason === null ? {} : { code: reason.code, reason: reason.text }),
    });
  }
}

function uplinkLane(lane: Lane): UplinkLane {
  if (lane === "downlink") throw new AppError("PROTOCOL_ERROR", "The downlink lane does not go up");
  return lane;
}
