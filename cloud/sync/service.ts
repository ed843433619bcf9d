import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { unionOf } from "../../shared/core/seq-range.ts";
import { stateOfEnding } from "../../shared/core/sync-states.ts";
import type { TokenBuckets } from "../../shared/core/token-buckets.ts";
import type { Turns } from "../../shared/core/turns.ts";
import type { Log } from "../../shared/observe/log.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { EdgeReport } from "../../shared/sync/edge-report.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import { FrameQueue } from "../../shared/sync/frame-queue.ts";
import type {
  Ack,
  Batch,
  Frame,
  Hello,
  LaneCourse,
  LaneTag,
  Rejection,
  Welcome,
  Window,
} from "../../shared/sync/frames.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../../shared/sync/frames.ts";
import type { Lane, UplinkLane } from "../../shared/sync/lanes.ts";
import { uplinkLaneOf } from "../../shared/sync/lanes.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { BlobPorts, LoadRequest, SessionHandle, SessionPorts, Settled } from "../../shared/sync/session-driver.ts";
import { driveSession } from "../../shared/sync/session-driver.ts";
import type { Opening } from "../../shared/sync/session-state.ts";
import { findSender } from "../../shared/sync/session-state.ts";
import { startCloudSession } from "../../shared/sync/session.ts";
import { decodeRequest, encodeResponse } from "../../shared/wire/frames-codec.ts";
import type { SessionRequest } from "../../shared/wire/gen/skerry/sync/v1/sync_pb.ts";
import { EdgeSyncService } from "../../shared/wire/gen/skerry/sync/v1/sync_pb.ts";
import { EDGE_KEY_HEADER, EDGE_SECRET_HEADER, toConnectError } from "../../shared/wire/rpc-errors.ts";
import type { EdgeReports } from "../jobs/edge-reports.ts";
import type { EdgeSignals } from "./edge-signals.ts";
import type { EdgeTraffic } from "./edge-traffic.ts";
import { createEnrollment, type EnrollmentStore } from "./enrollment.ts";
import type { LiveSessions } from "./live-sessions.ts";
import { createEdgeRounds, roundsEveryMs, type EdgeRounds, type RoundStore } from "./rounds.ts";

// The cloud's end of the sync protocol: authenticates the call, then runs the session machine over the cloud's stores.

export interface EdgeCaller {
  readonly edgeId: Uuid;
  readonly tenantId: Uuid;
  readonly name: string;
  readonly type: string;
  /** What it was authenticated by: a session opens only if that still holds. */
  readonly secretHash: string;
}

export interface OpenedEdgeSession {
  readonly session: number;
  /** Whether another replica held the session before, and may not know yet that it is over. */
  readonly isTakenOver: boolean;
  readonly courses: readonly LaneCourse[];
  readonly tags: readonly LaneTag[];
  readonly downlinkResume: number;
  readonly downlinkAcked: number;
  readonly missedAcks: readonly Ack[];
  readonly settings: EdgeSettings;
  readonly notes: readonly string[];
}

/** What the service needs of the cloud's stores. */
export interface SessionStore extends RoundStore, EnrollmentStore {
  /** @throws AppError UNAUTHENTICATED, with the same text for an unknown key and a wrong secret */
  authenticate(routingKey: string, secret: string): Promise<EdgeCaller>;
  open(caller: EdgeCaller, hello: Hello): Promise<OpenedEdgeSession>;
  /** Stores that the session ended, later if the database does not answer. */
  close(edgeId: Uuid, session: number, reason: string): Promise<void>;
  /** What comes from the edge, and what goes to it. */
  blobs(caller: EdgeCaller): BlobPorts;
  applyUplink(source: UplinkSource, batches: readonly Batch[]): Promise<readonly Rejection[]>;
  readDownlinks(caller: EdgeCaller, request: LoadRequest): Promise<LoadedDownlinks>;
  /** What the session is to tell its edge now; null when it is not the newest. */
  takeSettings(edgeId: Uuid, session: number): Promise<EdgeSettings | null>;
  settleDownlinks(edgeId: Uuid, session: number, seq: number, rejections: readonly Rejection[]): Promise<void>;
  /** Writes down for its operator that the edge was not let in; must not throw. */
  noteRefusal(edgeId: Uuid, error: AppError): void;
}

export interface LoadedDownlinks {
  readonly batches: readonly OutgoingBatch[];
  readonly drained: boolean;
  /** Number of the newest request of people for a digest round; looked up when there was nothing else. */
  readonly roundRequest: number | null;
  /** The edge has not been told of all settings; looked up like `roundRequest`. */
  readonly hasNewSettings: boolean;
}

export interface UplinkSource extends EdgeCaller {
  readonly storeId: Uuid;
  readonly session: number;
  readonly lane: UplinkLane;
}

export interface SyncServiceDeps {
  readonly store: SessionStore;
  readonly live: Pick<LiveSessions, "add" | "remove">;
  readonly signals: Pick<EdgeSignals, "end">;
  readonly traffic: Pick<EdgeTraffic, "add">;
  readonly reports: Pick<EdgeReports, "note">;
  readonly cloudId: Uuid;
  readonly cloudVersion: string;
  readonly window: Window;
  /** Between two digest rounds of an edge, about. */
  readonly roundsEveryMs: number;
  readonly turns: Turns;
  /** Items of each edge; null: any number. */
  readonly edgeItems: Pick<TokenBuckets, "charge"> | null;
  /** Where a call comes from. */
  readonly remoteAddress: (context: HandlerContext) => string;
  readonly clock: Clock;
  readonly log: Log;
}

export function registerSyncService(router: ConnectRouter, deps: SyncServiceDeps): void {
  const enroll = createEnrollment(deps);
  router.service(EdgeSyncService, {
    session: (requests, context) => serveSession(requests, context, deps),
    enroll: (request, context) => enroll(request, deps.remoteAddress(context)),
  });
}

async function* serveSession(requests: AsyncIterable<SessionRequest>, context: HandlerContext, deps: SyncServiceDeps) {
  const caller = await authenticate(context, deps.store);
  const outgoing = new FrameQueue();
  const ports = new CloudSessionPorts(caller, deps);
  const session = driveSession(startCloudSession(deps.clock.monotonicMs()), {
    transport: { incoming: decodeAll(requests), send: (frame) => outgoing.push(frame), close: () => outgoing.close() },
    ports,
    clock: deps.clock,
    log: deps.log,
  });
  ports.attach(session);
  const onAbort = (): void => session.stop("LINK_DOWN", "The stream was cut");
  context.signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const frame of outgoing) yield encodeResponse(frame);
  } finally {
    context.signal.removeEventListener("abort", onAbort);
    session.stop("LINK_DOWN", "The stream was cut");
    await ports.detach(session, (await session.ended).code);
  }
}

async function authenticate(context: HandlerContext, store: SessionStore): Promise<EdgeCaller> {
  try {
    const key = context.requestHeader.get(EDGE_KEY_HEADER) ?? "";
    const secret = context.requestHeader.get(EDGE_SECRET_HEADER) ?? "";
    return await store.authenticate(key, secret);
  } catch (thrown) {
    throw toConnectError(thrown);
  }
}

async function* decodeAll(requests: AsyncIterable<SessionRequest>): AsyncIterable<Frame> {
  for await (const request of requests) {
    const frame = decodeRequest(request);
    if (frame !== null) yield frame;
  }
}

/** Well below what an edge takes for a cloud that stalls. */
const SLOWED_MS_MAX = 5_000;

class CloudSessionPorts implements SessionPorts {
  readonly blobs: BlobPorts;
  readonly #caller: EdgeCaller;
  readonly #deps: SyncServiceDeps;
  readonly rounds: EdgeRounds;
  #handle: SessionHandle | null = null;
  /** Last downlink that is known to be on the edge. */
  #settledSeq = 0;
  #opened: (OpenedEdgeSession & { readonly storeId: Uuid }) | null = null;

  constructor(caller: EdgeCaller, deps: SyncServiceDeps) {
    this.blobs = deps.store.blobs(caller);
    this.#caller = caller;
    this.#deps = deps;
    this.rounds = createEdgeRounds(caller.edgeId, deps);
  }

  attach(handle: SessionHandle): void {
    this.#handle = handle;
  }

  async open(first: Hello | Welcome): Promise<Opening> {
    if (first.type !== "hello") throw new AppError("PROTOCOL_ERROR", "Expected a Hello");
    try {
      return await this.#open(first);
    } catch (thrown) {
      const error = AppError.from(thrown);
      if (stateOfEnding(error.code, "cloud") !== "SESSION_FAILED")
        this.#deps.store.noteRefusal(this.#caller.edgeId, error);
      throw error;
    }
  }

  async #open(first: Hello): Promise<Opening> {
    const { cloudId, cloudVersion, clock, log, live, signals, store, window } = this.#deps;
    const protocol = commonVersion(first);
    const opened = await store.open(this.#caller, first);
    this.#opened = { ...opened, storeId: first.storeId };
    this.#settledSeq = opened.downlinkAcked;
    const { edgeId, tenantId, name, type } = this.#caller;
    for (const note of opened.notes)
      log.warn("Edge session begins with a repair", { edgeId, session: opened.session, note });
    log.info("Edge connected", { edgeId, session: opened.session, edgeVersion: first.edgeVersion });
    if (this.#handle !== null) live.add(edgeId, opened.session, this.#handle);
    if (opened.isTakenOver) signals.end({ edgeId, fence: opened.session, code: "SESSION_FENCED" });
    return {
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
      roundsEveryMs: roundsEveryMs(edgeId, this.#deps.roundsEveryMs),
      welcome: {
        type: "welcome",
        protocol,
        session: opened.session,
        edgeId,
        tenantId,
        edgeName: name,
        edgeType: type,
        cloudId,
        cloudVersion,
        courses: opened.courses,
        tags: opened.tags,
        window,
        wallClockMs: clock.nowMs(),
        downlinkResume: opened.downlinkResume,
        downlinkAcked: opened.downlinkAcked,
        settings: opened.settings,
      },
    };
  }

  async load(request: LoadRequest) {
    const { roundRequest, hasNewSettings, ...loaded } = await this.#deps.store.readDownlinks(this.#caller, request);
    if (roundRequest !== null && roundRequest > this.rounds.request) this.#handle?.wantRound();
    if (hasNewSettings) await this.#tellSettings();
    return loaded;
  }

  async #tellSettings(): Promise<void> {
    const settings = await this.#deps.store.takeSettings(this.#caller.edgeId, this.#session().session);
    if (settings !== null) this.#handle?.tell(settings);
  }

  async apply(lane: Lane, batches: readonly Batch[]): Promise<readonly Rejection[]> {
    const { session, storeId } = this.#session();
    const { edgeId } = this.#caller;
    const items = batches.reduce((sum, { count }) => sum + count, 0);
    if (lane !== "config") await this.#slowDown(edgeId, items);
    const rejections = await this.#deps.store.applyUplink(
      { ...this.#caller, session, storeId, lane: uplinkLaneOf(lane) },
      batches,
    );
    const uplinkRejected = rejections.length;
    this.#deps.traffic.add(edgeId, { uplinkApplied: items - uplinkRejected, uplinkRejected });
    return rejections;
  }

  /** An acknowledgement that comes later is all that an edge above its limit notices: it has less in flight then. */
  async #slowDown(edgeId: Uuid, items: number): Promise<void> {
    const waitMs = this.#deps.edgeItems?.charge(edgeId, items) ?? 0;
    if (waitMs > 0) await this.#deps.clock.sleep(Math.min(waitMs, SLOWED_MS_MAX));
  }

  async settle(_lane: Lane, { seq, rejections }: Settled): Promise<void> {
    const { edgeId } = this.#caller;
    await this.#deps.store.settleDownlinks(edgeId, this.#session().session, seq, rejections);
    // What was missed before is said again for what was refused in it, below what is settled by now.
    const downlinkPushed = Math.max(0, seq - this.#settledSeq);
    this.#deps.traffic.add(edgeId, { downlinkPushed, downlinkFailed: rejections.length });
    this.#settledSeq += downlinkPushed;
  }

  note(report: EdgeReport): void {
    this.#deps.reports.note(this.#caller.edgeId, this.#session().session, report);
  }

  async detach(handle: SessionHandle, code: string): Promise<void> {
    const { live, log, store, traffic } = this.#deps;
    const { edgeId } = this.#caller;
    live.remove(edgeId, handle);
    if (this.#opened === null) return;
    const downlinkUnanswered = (findSender(handle.state(), "downlink")?.sent ?? 0) - this.#settledSeq;
    if (downlinkUnanswered > 0) traffic.add(edgeId, { downlinkUnanswered });
    const { session } = this.#opened;
    log.info("Edge disconnected", { edgeId, session, code });
    await store.close(edgeId, session, code);
  }

  #session() {
    if (this.#opened === null) throw new AppError("INTERNAL", "The session is not open");
    return this.#opened;
  }
}

function commonVersion(hello: Hello): number {
  const version = Math.min(hello.protocolMax, PROTOCOL_MAX);
  if (version < Math.max(hello.protocolMin, PROTOCOL_MIN)) {
    const peer = `${hello.protocolMin} to ${hello.protocolMax}`;
    throw new AppError(
      "PEER_UNSUPPORTED",
      `The edge speaks protocol ${peer}, the cloud ${PROTOCOL_MIN} to ${PROTOCOL_MAX}`,
    );
  }
  return version;
}
