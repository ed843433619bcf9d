import type { BlobRef } from "../core/blob-ref.ts";
import type { Clock } from "../core/clock.ts";
import { createDeferred } from "../core/deferred.ts";
import type { ErrorCode } from "../core/errors.ts";
import { AppError } from "../core/errors.ts";
import type { SeqRange } from "../core/seq-range.ts";
import { addRange } from "../core/seq-range.ts";
import type { Log } from "../observe/log.ts";
import type { BlobProgress, WantedWrite } from "./blob-receiver.ts";
import type { WantedChunk } from "./blob-sender.ts";
import type { RoundCounts, RoundResult } from "./digest-round.ts";
import type { EdgeReport } from "./edge-report.ts";
import type { EdgeSettings } from "./edge-settings.ts";
import type {
  Batch,
  DigestAnswer,
  DigestQuestion,
  Entries,
  Frame,
  Hello,
  Rejection,
  TypeDigest,
  Welcome,
} from "./frames.ts";
import type { Lane } from "./lanes.ts";
import type { OutgoingBatch, WantedLoad } from "./sender.ts";
import { nextTickMs } from "./session-liveness.ts";
import type { Opening, SessionEffect, SessionEvent, SessionState, Step } from "./session-state.ts";
import { advanceSession } from "./session.ts";

// Runs one session of either end: carries frames in and effects out of the pure machine. All I/O of a session is here and in its ports.

/** The databases' side of a session. What a port throws ends the session with the error's code. */
export interface SessionPorts {
  open(first: Hello | Welcome): Promise<Opening>;
  load(request: LoadRequest): Promise<{ readonly batches: readonly OutgoingBatch[]; readonly drained: boolean }>;
  /** One transaction: effects and watermark. @returns the items refused for good */
  apply(lane: Lane, batches: readonly Batch[]): Promise<readonly Rejection[]>;
  settle(lane: Lane, settled: Settled): Promise<void>;
  /** Keeps what the edge told last of itself; must not throw. @default it is dropped */
  note?(report: EdgeReport): void;
  /** Edge: the cloud's settings are these from now on. @default they are dropped */
  keepSettings?(settings: EdgeSettings): Promise<void>;
  readonly blobs: BlobPorts;
  readonly rounds: RoundPorts;
}

/** Contents that travel in chunks. */
export interface BlobPorts {
  /** What is here of a content that the peer has. */
  open(blob: BlobRef): Promise<BlobProgress>;
  /** Stores chunks; behind the last one compares the hash, and keeps nothing when it is another. */
  write(write: WantedWrite): Promise<{ readonly isDone: boolean }>;
  /** Null: it is not here any more. */
  read(wanted: WantedChunk): Promise<Uint8Array | null>;
}

/** The databases' side of digest rounds. */
export type RoundPorts = CloudRoundPorts | EdgeRoundPorts;

export interface CloudRoundPorts {
  readonly role: "cloud";
  readDigest(): Promise<{ readonly request: number; readonly types: readonly TypeDigest[] }>;
  /** Writes downlinks for what differs. @returns how much that was */
  repair(entries: Entries): Promise<RoundCounts>;
  ended(result: RoundResult): Promise<void>;
}

export interface EdgeRoundPorts {
  readonly role: "edge";
  answer(question: DigestQuestion): Promise<DigestAnswer>;
}

export interface LoadRequest extends WantedLoad {
  readonly lane: Lane;
}

/** What the peer has committed since the last one. */
export interface Settled {
  /** The last of it, in the order of the lane. */
  readonly seq: number;
  /** Sorted and apart. */
  readonly committed: readonly SeqRange[];
  readonly rejections: readonly Rejection[];
}

/** The stream's side of a session. */
export interface SessionTransport {
  /** Frames of the peer; ends or throws when the stream does. */
  readonly incoming: AsyncIterable<Frame>;
  send(frame: Frame): void;
  /** Lets queued acks and the farewell go out, then ends the stream. */
  close(): void;
}

export interface SessionEnd {
  readonly code: string;
  readonly text: string;
  readonly retryAfterMs: number;
  /** Whether the session was live before. */
  readonly wasLive: boolean;
}

export interface SessionHandle {
  readonly ended: Promise<SessionEnd>;
  state(): SessionState;
  wake(lane: Lane): void;
  /** Of an edge: tells the cloud, if the session is live. */
  report(report: EdgeReport): void;
  /** Of the cloud: tells the edge, if the session is live. */
  tell(settings: EdgeSettings): void;
  /** Cloud: a digest round is to begin as soon as downlinks are applied. */
  wantRound(): void;
  stop(code: ErrorCode, text: string, retryAfterMs?: number): void;
}

export interface SessionDriverDeps {
  readonly transport: SessionTransport;
  readonly ports: SessionPorts;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after every step, for status; must be cheap. */
  readonly onStep?: (state: SessionState) => void;
}

export function driveSession(first: Step, deps: SessionDriverDeps): SessionHandle {
  const driver = new SessionDriver(first, deps);
  driver.start();
  return driver;
}

type RoundWork = Extract<SessionEffect, { type: "read-digest" | "repair" | "round-ended" | "answer" }>;

class SessionDriver implements SessionHandle {
  readonly #deps: SessionDriverDeps;
  readonly #ended = createDeferred<SessionEnd>();
  readonly #stopTimer = new AbortController();
  readonly #settling = new Map<Lane, Settled>();
  #settler: Promise<void> | null = null;
  readonly #working = new Set<Promise<unknown>>();
  #step: Step;
  #wasLive = false;

  constructor(first: Step, deps: SessionDriverDeps) {
    this.#step = first;
    this.#deps = deps;
  }

  get ended(): Promise<SessionEnd> {
    return this.#ended.promise;
  }

  start(): void {
    for (const effect of this.#step.effects) this.#perform(effect);
    void this.#receive();
    void this.#tick();
  }

  state(): SessionState {
    return this.#step.state;
  }

  wake(lane: Lane): void {
    this.#dispatch({ type: "woken", lane });
  }

  report(report: EdgeReport): void {
    this.#dispatch({ type: "report", report });
  }

  tell(settings: EdgeSettings): void {
    this.#dispatch({ type: "tell", settings });
  }

  wantRound(): void {
    this.#dispatch({ type: "round", event: { type: "wanted" } });
  }

  stop(code: ErrorCode, text: string, retryAfterMs = 0): void {
    this.#dispatch({ type: "stop", code, text, retryAfterMs });
  }

  #dispatch(event: SessionEvent): void {
    this.#step = advanceSession(this.#step.state, event, this.#deps.clock.monotonicMs());
    if (this.#step.state.phase === "live") this.#wasLive = true;
    this.#deps.onStep?.(this.#step.state);
    for (const effect of this.#step.effects) this.#perform(effect);
  }

  #perform(effect: SessionEffect): void {
    const { ports, transport } = this.#deps;
    switch (effect.type) {
      case "send":
        transport.send(effect.frame);
        return;
      case "open":
        this.#report(ports.open(effect.first), (opening) => ({ type: "opened", opening }));
        return;
      case "load":
        this.#report(ports.load(effect), (loaded) => ({ type: "loaded", lane: effect.lane, ...loaded }));
        return;
      case "apply":
        this.#report(ports.apply(effect.lane, effect.batches), (rejections) => ({
          type: "applied",
          lane: effect.lane,
          rejections,
        }));
        return;
      case "settle":
        this.#settle(effect.lane, effect);
        return;
      case "note":
        ports.note?.(effect.report);
        return;
      case "keep-settings":
        if (ports.keepSettings !== undefined)
          this.#keep(ports.keepSettings(effect.settings).catch((thrown: unknown) => this.#fail(thrown)));
        return;
      case "open-blob":
        this.#report(ports.blobs.open(effect.blob), (progress) => ({ type: "blob-opened", ...progress }));
        return;
      case "write-chunks":
        this.#report(ports.blobs.write(effect), ({ isDone }) => ({ type: "chunks-written", isDone }));
        return;
      case "read-chunk":
        this.#report(ports.blobs.read(effect), (content) => ({ type: "chunk-read", content }));
        return;
      case "read-digest":
      case "repair":
      case "round-ended":
      case "answer":
        this.#performRound(effect, ports.rounds);
        return;
      case "close":
        void this.#finish(effect);
        return;
    }
  }

  #performRound(effect: RoundWork, rounds: RoundPorts): void {
    if (rounds.role === "edge") {
      if (effect.type === "answer")
        this.#report(rounds.answer(effect.question), (answer) => ({ type: "answered", answer }));
      return;
    }
    switch (effect.type) {
      case "read-digest":
        this.#report(rounds.readDigest(), (read) => ({ type: "round", event: { type: "digest-read", ...read } }));
        return;
      case "repair":
        this.#report(rounds.repair(effect.entries), (found) => ({ type: "round", event: { type: "repaired", found } }));
        return;
      case "round-ended":
        this.#keep(rounds.ended(effect.result).catch((thrown: unknown) => this.#fail(thrown)));
        return;
      case "answer":
        return;
    }
  }

  #report<T>(work: Promise<T>, toEvent: (result: T) => SessionEvent): void {
    this.#keep(
      work.then(
        (result) => this.#dispatch(toEvent(result)),
        (thrown: unknown) => this.#fail(thrown),
      ),
    );
  }

  /** The session ends only after `work`. */
  #keep(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  #fail(thrown: unknown): void {
    const error = AppError.from(thrown);
    if (error.code === "INTERNAL") this.#deps.log.error("Session work failed", { error });
    this.stop(error.code, error.message, error.retryAfterMs ?? 0);
  }

  /** Acknowledgements come faster than the cursor is written: those of a lane that wait are settled as one. */
  #settle(lane: Lane, { seq, committed, rejections }: Settled): void {
    const waiting = this.#settling.get(lane);
    this.#settling.set(lane, {
      seq,
      committed: committed.reduce(addRange, waiting?.committed ?? []),
      rejections: [...(waiting?.rejections ?? []), ...rejections],
    });
    this.#settler ??= this.#settleAll();
  }

  async #settleAll(): Promise<void> {
    try {
      for (let next = this.#settling.entries().next(); !next.done; next = this.#settling.entries().next()) {
        const [lane, settled] = next.value;
        this.#settling.delete(lane);
        await this.#deps.ports.settle(lane, settled);
      }
    } catch (thrown) {
      this.#fail(thrown);
    } finally {
      this.#settler = null;
    }
  }

  async #receive(): Promise<void> {
    try {
      for await (const frame of this.#deps.transport.incoming) {
        this.#dispatch({ type: "frame", frame });
        if (this.#step.state.phase === "closed") return;
      }
      this.stop("LINK_DOWN", "The peer ended the stream");
    } catch (thrown) {
      const error = AppError.from(thrown, "LINK_DOWN");
      this.stop(error.code, error.message, error.retryAfterMs ?? 0);
    }
  }

  async #tick(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopTimer;
    try {
      while (!signal.aborted) {
        // Other events move the deadline; looking again every second is cheaper than a timer per event.
        await clock.sleep(Math.min(1_000, Math.max(10, nextTickMs(this.#step.state) - clock.monotonicMs())), signal);
        this.#dispatch({ type: "tick" });
      }
    } catch {
      // The session is over.
    }
  }

  async #finish({
    code,
    text,
    retryAfterMs,
  }: {
    readonly code: string;
    readonly text: string;
    readonly retryAfterMs: number;
  }): Promise<void> {
    this.#stopTimer.abort(new AppError("CANCELLED", "The session is over"));
    this.#deps.transport.close();
    // What this session still writes must not come after what the next one reads.
    await Promise.allSettled(this.#working);
    await this.#settler;
    this.#ended.resolve({ code, text, retryAfterMs, wasLive: this.#wasLive });
  }
}
