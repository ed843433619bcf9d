import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { rangesAbove } from "../../shared/core/seq-range.ts";
import type { Log } from "../../shared/observe/log.ts";
import { ackWaitMs } from "../../shared/sync/ack-wait.ts";
import { committedBelow, inOrderFrom } from "../../shared/sync/course.ts";
import type { EdgeReport } from "../../shared/sync/edge-report.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import type {
  Ack,
  BacklogOrder,
  Batch,
  Course,
  DigestAnswer,
  DigestQuestion,
  Hello,
  LaneOffer,
  LaneTag,
  Rejection,
  Welcome,
} from "../../shared/sync/frames.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../../shared/sync/frames.ts";
import type { Lane, UplinkLane } from "../../shared/sync/lanes.ts";
import { uplinkLaneOf } from "../../shared/sync/lanes.ts";
import type { OutgoingBatch, WantedLoad } from "../../shared/sync/sender.ts";
import type {
  BlobPorts,
  SessionEnd,
  SessionHandle,
  SessionPorts,
  SessionTransport,
} from "../../shared/sync/session-driver.ts";
import { driveSession } from "../../shared/sync/session-driver.ts";
import type { Opening } from "../../shared/sync/session-state.ts";
import { startEdgeSession } from "../../shared/sync/session.ts";
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
  /** Newest sequence that was sent, in this session or the one before. */
  readonly sentSeq: Readonly<Record<UplinkLane, number>>;
  /** What is on its way now: sent, and not committed by the cloud as far as is known here. */
  readonly inFlight: Readonly<Record<UplinkLane, readonly SeqRange[]>>;
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
    readonly storeId: Uuid;
    readonly lanes: readonly LaneOffer[];
    readonly cloudId: Uuid | null;
    readonly downlinkApplied: number;
    readonly downlinkTag: Uuid | null;
  }>;
  /** From now on this is another database to the cloud, whose outbox begins where the cloud's last acknowledgement was. */
  renewStore(): Promise<void>;
  /** Whether the cloud's item is the one with this number here, or an acknowledged one that is no longer there. */
  isSame(item: LaneTag): Promise<boolean>;
  answerDigest(question: DigestQuestion): Promise<DigestAnswer>;
  /**
   * Keeps what the cloud says of this edge; nothing of `committed` that the cloud does not have stays known.
   *
   * @returns acknowledgements of downlinks that the cloud does not know of
   */
  welcome(
    welcome: Welcome,
    committed: Readonly<Record<UplinkLane, readonly SeqRange[]>>,
  ): Promise<{ readonly missedAcks: readonly Ack[] }>;
  read(
    lane: UplinkLane,
    request: WantedLoad,
  ): Promise<{ readonly batches: readonly OutgoingBatch[]; readonly drained: boolean }>;
  settle(lane: UplinkLane, settled: CommittedItems): Promise<void>;
  readonly blobs: BlobPorts;
  /** One transaction: the changes and the downlink sequence. */
  applyDownlinks(batches: readonly Batch[]): Promise<readonly Rejection[]>;
  /** What the cloud sets for this edge is this from now on. */
  keepSettings(settings: EdgeSettings): Promise<void>;
}

export interface CommittedItems {
  readonly committed: readonly SeqRange[];
  readonly rejections: readonly Rejection[];
  readonly nowMs: number;
}

export interface LinkDeps {
  /** Of this process, made anew at each start. */
  readonly machineId: Uuid;
  readonly edgeVersion: string;
  readonly backlogOrder: BacklogOrder;
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

const NOTHING_IN_FLIGHT = { config: [], telemetry: [] } as const;

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
      inFlight: NOTHING_IN_FLIGHT,
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
    // Whichever of them carries what is written now.
    this.#session?.wake("live");
    this.#session?.wake("telemetry");
  }

  status(): LinkStatus {
    const state = this.#session?.state();
    if (state === undefined) return this.#status;
    const { sentSeq } = this.#status;
    const of = (lane: UplinkLane) => state.senders.filter((sender) => uplinkLaneOf(sender.lane) === lane);
    const sent = (lane: UplinkLane): number => Math.max(sentSeq[lane], ...of(lane).map((sender) => sender.sent));
    const inFlight = (lane: UplinkLane) => of(lane).flatMap((sender) => sender.inFlight);
    return {
      ...this.#status,
      sentSeq: { config: sent("config"), telemetry: sent("telemetry") },
      inFlight: { config: inFlight("config"), telemetry: inFlight("telemetry") },
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
      if (end.code === "STORE_MISMATCH") await this.#renewStore(end.text);
      const delayMs = reconnectDelayMs(end, { attempt, wasStable }, random);
      this.#status = { ...this.#status, nextAttemptMs: clock.nowMs() + delayMs };
      this.#move(isRefusal(end.code) ? "refused" : "waiting", { code: end.code, text: end.text });
      await clock.sleep(delayMs, signal).catch(() => undefined);
      this.#status = { ...this.#status, nextAttemptMs: null };
    }
  }

  /** The database was set back: what it numbers from now on is not what the cloud knows under these numbers. */
  async #renewStore(reason: string): Promise<void> {
    const { log, store } = this.#deps;
    try {
      await store.renewStore();
      log.warn("The database continues another history; it goes on under a new store id", { reason });
    } catch (error) {
      log.warn("The store id was not renewed; it is tried again", { error: AppError.from(error) });
    }
  }

  async #runSession(signal: AbortSignal): Promise<SessionEnd> {
    const { clock, log } = this.#deps;
    try {
      const hello = await this.#hello();
      const session = driveSession(startEdgeSession(hello, clock.monotonicMs()), {
        transport: this.#deps.dial(signal),
        ports: this.#ports(hello),
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
        this.#status = { ...this.status(), inFlight: NOTHING_IN_FLIGHT, ackWaitMs: null };
        this.#session = null;
      }
    } catch (thrown) {
      const error = AppError.from(thrown);
      return { code: error.code, text: error.message, retryAfterMs: error.retryAfterMs ?? 0, wasLive: false };
    }
  }

  async #hello(): Promise<Hello> {
    const { backlogOrder, clock, edgeVersion, machineId, store } = this.#deps;
    const greeting = await store.greeting();
    return {
      type: "hello",
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      edgeVersion,
      machineId,
      wallClockMs: clock.nowMs(),
      backlogOrder,
      ...greeting,
    };
  }

  #ports(hello: Hello): SessionPorts {
    const { clock, store } = this.#deps;
    return {
      open: async (first) => {
        if (first.type !== "welcome") throw new AppError("PROTOCOL_ERROR", "Expected a Welcome");
        return this.#open(hello, first);
      },
      load: async ({ lane, ...request }) => {
        const { batches, drained } = await store.read(uplinkLaneOf(lane), request);
        return { batches: batches.map((batch) => ({ ...batch, lane })), drained };
      },
      apply: (_lane, batches) => store.applyDownlinks(batches),
      blobs: store.blobs,
      settle: (lane, { committed, rejections }) =>
        store.settle(uplinkLaneOf(lane), { committed, rejections, nowMs: clock.nowMs() }),
      keepSettings: (settings) => store.keepSettings(settings),
      rounds: { role: "edge", answer: (question) => store.answerDigest(question) },
    };
  }

  async #open(hello: Hello, welcome: Welcome): Promise<Opening> {
    const { clock, store } = this.#deps;
    await this.#checkHistory(welcome);
    const { courses, downlinkResume, session, wallClockMs, window } = welcome;
    const known = hello.lanes.map((offer) => ({
      ...offer,
      committed: committedBelow(courses, offer.lane, offer.nextSeq),
    }));
    const of = (lane: UplinkLane) => known.find((offer) => offer.lane === lane);
    const missed = (lane: UplinkLane) => rangesAbove(of(lane)?.committed ?? [], of(lane)?.ackedSeq ?? 0);
    const { missedAcks } = await store.welcome(welcome, {
      config: of("config")?.committed ?? [],
      telemetry: of("telemetry")?.committed ?? [],
    });
    this.#status = { ...this.#status, session, clockSkewMs: wallClockMs - clock.nowMs() };
    this.#move("live", null);
    const courseOf = (lane: Lane): Course => courses.find((course) => course.lane === lane)?.course ?? [];
    return {
      window,
      sending: [
        { lane: "config", course: courseOf("config"), missed: missed("config") },
        { lane: "live", course: courseOf("live"), missed: [] },
        { lane: "telemetry", course: courseOf("telemetry"), missed: missed("telemetry") },
      ],
      receiving: [{ lane: "downlink", course: inOrderFrom(downlinkResume + 1) }],
      welcome: null,
      missedAcks,
    };
  }

  /** @throws AppError STORE_MISMATCH when what the cloud has last is something else than what has this number here */
  async #checkHistory({ tags }: Welcome): Promise<void> {
    for (const item of tags) {
      if (await this.#deps.store.isSame(item)) continue;
      const { lane, seq } = item;
      throw new AppError(
        "STORE_MISMATCH",
        `Item ${seq} of lane ${lane} is not the one that the cloud has: this database was restored from a backup, or copied`,
      );
    }
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
