import { AppError } from "../../shared/core/errors.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { addRange } from "../../shared/core/seq-range.ts";
import type { RoundCounts } from "../../shared/sync/digest-round.ts";
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
} from "../../shared/sync/frames.ts";
import type { Lane } from "../../shared/sync/lanes.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { LoadRequest, SessionEnd, Settled } from "../../shared/sync/session-driver.ts";
import { nextTickMs } from "../../shared/sync/session-liveness.ts";
import type {
  Opening,
  Role,
  SessionEffect,
  SessionEvent,
  SessionState,
  Step,
} from "../../shared/sync/session-state.ts";
import type { SimBlobs } from "./blobs.ts";
import { Violation } from "./checker.ts";
import type { Stream, StreamEnd } from "./network.ts";
import type { Simulation } from "./simulation.ts";

/** The databases' side of a session: SessionPorts, each call one transaction that happens at one moment. */
export interface SimPorts {
  open(first: Hello | Welcome): Opening;
  load(request: LoadRequest): { readonly batches: readonly OutgoingBatch[]; readonly drained: boolean };
  apply(lane: Lane, batches: readonly Batch[]): readonly Rejection[];
  settle(lane: Lane, settled: Settled): void;
  readonly blobs: SimBlobs;
  readonly rounds: SimCloudRounds | SimEdgeRounds;
  /** What this side has committed of a lane. */
  committed(lane: Lane): readonly SeqRange[];
  /** Everything that the session began is done. */
  ended(end: SessionEnd): void;
}

interface SimCloudRounds {
  readonly role: "cloud";
  readDigest(): { readonly request: number; readonly types: readonly TypeDigest[] };
  repair(entries: Entries): RoundCounts;
}

interface SimEdgeRounds {
  readonly role: "edge";
  answer(question: DigestQuestion): DigestAnswer;
}

interface Pending {
  readonly execute: () => void;
  done: boolean;
}

/** What shared/sync/session-driver.ts does, in virtual time: runs the machine and performs its effects. */
export class SimSessionEnd implements StreamEnd {
  readonly role: Role;
  readonly #world: Simulation;
  readonly #ports: SimPorts;
  readonly #pending = new Set<Pending>();
  #stream: Stream | null = null;
  #state: SessionState;
  readonly #settling = new Map<Lane, Settled>();
  #isSettling = false;
  #settleFailed = false;
  #working = 0;
  #end: SessionEnd | null = null;
  #reported = false;
  #wasLive = false;
  #dead = false;

  constructor(world: Simulation, first: Step, ports: SimPorts) {
    this.role = first.state.role;
    this.#world = world;
    this.#ports = ports;
    this.#state = first.state;
  }

  start(stream: Stream, effects: readonly SessionEffect[]): void {
    this.#stream = stream;
    for (const effect of effects) this.#perform(effect);
    this.#scheduleTick();
  }

  get state(): SessionState {
    return this.#state;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  receive(frame: Frame): void {
    this.dispatch({ type: "frame", frame });
  }

  ended(): void {
    this.dispatch({ type: "stop", code: "LINK_DOWN", text: "The peer ended the stream" });
  }

  wake(lane: Lane): void {
    this.dispatch({ type: "woken", lane });
  }

  /** The process is gone. What it had asked of its database may happen all the same, now or later. */
  crash(late: boolean): void {
    this.#dead = true;
    for (const pending of this.#pending) {
      if (late && this.#world.dice.chance(0.5)) continue;
      if (this.#world.dice.chance(0.5)) pending.execute();
      pending.done = true;
    }
  }

  dispatch(event: SessionEvent): void {
    if (this.#dead || this.#state.phase === "closed") return;
    const world = this.#world;
    const { state, effects } = world.broken.advance(this.#state, event, world.scheduler.nowMs);
    if (event.type !== "tick" || effects.length > 0) world.trace(this.role, event, state.phase);
    this.#state = state;
    if (state.phase === "live") this.#wasLive = true;
    world.checker.stepTaken(state);
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: SessionEffect): void {
    const ports = this.#ports;
    switch (effect.type) {
      case "send": {
        const { frame } = effect;
        if (frame.type === "ack") this.#world.checker.ackSent(frame.lane, frame.seq, ports.committed(frame.lane));
        this.#stream?.send(this.role, frame);
        return;
      }
      case "open":
        this.#work(() => ({ type: "opened", opening: ports.open(effect.first) }));
        return;
      case "load":
        this.#work(() => ({ type: "loaded", lane: effect.lane, ...ports.load(effect) }));
        return;
      case "apply":
        this.#work(() => ({
          type: "applied",
          lane: effect.lane,
          rejections: ports.apply(effect.lane, effect.batches),
        }));
        return;
      case "settle": {
        const waiting = this.#settling.get(effect.lane);
        this.#settling.set(effect.lane, {
          seq: effect.seq,
          committed: effect.committed.reduce(addRange, waiting?.committed ?? []),
          rejections: [...(waiting?.rejections ?? []), ...effect.rejections],
        });
        this.#settleNext();
        return;
      }
      case "answer": {
        const { rounds } = ports;
        if (rounds.role === "edge") this.#work(() => ({ type: "answered", answer: rounds.answer(effect.question) }));
        return;
      }
      case "read-digest":
      case "repair": {
        const { rounds } = ports;
        if (rounds.role === "edge") return;
        this.#work(() => ({
          type: "round",
          event:
            effect.type === "repair"
              ? { type: "repaired", found: rounds.repair(effect.entries) }
              : { type: "digest-read", ...rounds.readDigest() },
        }));
        return;
      }
      case "round-ended":
        return;
      case "note":
      case "keep-settings":
        // Nothing in the protocol depends on it.
        return;
      case "open-blob":
        this.#work(() => ({ type: "blob-opened", ...ports.blobs.open(effect.blob) }));
        return;
      case "write-chunks":
        this.#work(() => ({ type: "chunks-written", ...ports.blobs.write(effect) }));
        return;
      case "read-chunk":
        this.#work(() => ({ type: "chunk-read", content: ports.blobs.read(effect) }));
        return;
      case "close":
        this.#world.sessionClosed(this.role, effect);
        this.#end = { code: effect.code, text: effect.text, retryAfterMs: effect.retryAfterMs, wasLive: this.#wasLive };
        this.#stream?.close(this.role);
        this.#reportEnd();
        return;
    }
  }

  /** One after the other, as the driver does: a cursor that moved on without what came before would lose what was refused. */
  #settleNext(): void {
    const next = this.#settling.entries().next();
    if (this.#dead || this.#isSettling || this.#settleFailed || next.done) return;
    const [lane, settled] = next.value;
    this.#settling.delete(lane);
    this.#isSettling = true;
    this.#work(
      () => {
        this.#ports.settle(lane, settled);
        return null;
      },
      (failed) => {
        this.#isSettling = false;
        this.#settleFailed ||= failed;
        this.#settleNext();
      },
    );
  }

  /** A transaction: it happens at one moment between call and answer, or fails, or happens and the answer fails. */
  #work(execute: () => SessionEvent | null, done: (failed: boolean) => void = () => undefined): void {
    const { scheduler, dice } = this.#world;
    this.#working += 1;
    let answer: SessionEvent | null = null;
    const failure = this.#world.databaseFailure();
    const pending: Pending = {
      done: false,
      execute: () => {
        pending.done = true;
        if (failure === "before") return;
        try {
          answer = execute();
        } catch (thrown) {
          if (thrown instanceof Violation) throw thrown;
          const error = AppError.from(thrown);
          answer = { type: "stop", code: error.code, text: error.message, retryAfterMs: error.retryAfterMs ?? 0 };
        }
      },
    };
    this.#pending.add(pending);
    scheduler.after(this.#world.databaseMs(), () => {
      this.#pending.delete(pending);
      if (!pending.done) pending.execute();
      scheduler.after(dice.between(0, 2), () => {
        this.#working -= 1;
        done(failure !== "none");
        if (failure !== "none")
          this.dispatch({ type: "stop", code: "DATABASE_UNAVAILABLE", text: `Connection lost ${failure} the commit` });
        else if (answer !== null) this.dispatch(answer);
        this.#reportEnd();
      });
    });
  }

  #reportEnd(): void {
    const isQuiet = this.#working === 0 || !this.#world.broken.waitsForWork;
    if (this.#dead || this.#reported || this.#end === null || !isQuiet) return;
    this.#reported = true;
    this.#ports.ended(this.#end);
  }

  #scheduleTick(): void {
    const { scheduler } = this.#world;
    const delayMs = Math.min(1_000, Math.max(10, nextTickMs(this.#state) - scheduler.nowMs));
    scheduler.after(delayMs, () => {
      if (this.#dead || this.#state.phase === "closed") return;
      this.dispatch({ type: "tick" });
      this.#scheduleTick();
    });
  }
}
