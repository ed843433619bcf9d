import { rankOf } from "../../shared/sync/frame-queue.ts";
import type { Frame } from "../../shared/sync/frames.ts";
import { LANES } from "../../shared/sync/lanes.ts";
import type { Role } from "../../shared/sync/session-state.ts";
import type { Dice } from "./dice.ts";
import type { Scheduler } from "./scheduler.ts";

// A stream between two ends: frames arrive in order, by their preference (shared/sync/frame-queue.ts), or not at all.

/** What a stream does with what it carries. */
export interface Weather {
  readonly delayMs: number;
  readonly jitterMs: number;
}

/** One end, as the stream knows it. */
export interface StreamEnd {
  receive(frame: Frame): void;
  /** The stream is over. */
  ended(): void;
}

interface Direction {
  /** Half-open: what is sent disappears, and nobody is told. */
  silent: boolean;
  /** Acks disappear until the stream ends: none goes on behind a gap. */
  losesAcks: boolean;
  /** Nothing arrives before. */
  stalledUntilMs: number;
  /** The next risky frame disappears. */
  losesNext: boolean;
  /** When the last frame of each preference arrives: first what is no batch, then the lanes. */
  readonly lastMs: number[];
}

export class Stream {
  readonly #ends: Readonly<Record<Role, StreamEnd>>;
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #weather: Weather;
  readonly #from: Readonly<Record<Role, Direction>> = { edge: calm(), cloud: calm() };
  #cut = false;
  #closed = false;

  constructor(
    ends: Readonly<Record<Role, StreamEnd>>,
    deps: { readonly scheduler: Scheduler; readonly dice: Dice; readonly weather: Weather },
  ) {
    this.#ends = ends;
    this.#scheduler = deps.scheduler;
    this.#dice = deps.dice;
    this.#weather = deps.weather;
  }

  get isOpen(): boolean {
    return !this.#cut && !this.#closed;
  }

  send(from: Role, frame: Frame): void {
    const direction = this.#from[from];
    const { nowMs } = this.#scheduler;
    if (this.#cut || direction.silent) return;
    if (frame.type === "ack" && direction.losesAcks) return;
    if (direction.losesNext && isRisky(frame)) {
      direction.losesNext = false;
      return;
    }
    const { delayMs, jitterMs } = this.#weather;
    const rank = rankOf(frame);
    const atMs = Math.max(
      nowMs + delayMs + this.#dice.between(0, jitterMs),
      direction.stalledUntilMs,
      ...direction.lastMs.slice(0, rank + 1),
    );
    direction.lastMs[rank] = atMs;
    const to = this.#ends[other(from)];
    this.#scheduler.at(atMs, () => {
      if (!this.#cut && !direction.silent) to.receive(frame);
    });
  }

  /** An orderly end: the farewell still arrives. */
  close(from: Role): void {
    if (this.#cut || this.#closed) return;
    this.#closed = true;
    const direction = this.#from[from];
    const { nowMs } = this.#scheduler;
    const atMs = Math.max(nowMs + this.#weather.delayMs, ...direction.lastMs);
    this.#scheduler.at(atMs, () => {
      if (!this.#cut && !direction.silent) this.#ends[other(from)].ended();
      this.#cut = true;
    });
  }

  /** The stream breaks now; what is on its way is lost. An end that is not told finds out by itself, or never. */
  cut(tell: Readonly<Record<Role, boolean>>): void {
    if (this.#cut) return;
    this.#cut = true;
    for (const role of ["edge", "cloud"] as const) {
      if (tell[role]) this.#scheduler.after(this.#dice.between(0, 50), () => this.#ends[role].ended());
    }
  }

  goSilent(from: Role): void {
    this.#from[from].silent = true;
  }

  stall(from: Role, forMs: number): void {
    this.#from[from].stalledUntilMs = this.#scheduler.nowMs + forMs;
  }

  loseAcks(from: Role, forMs: number): void {
    this.#from[from].losesAcks = true;
    // At times nobody ends it: the watchdog of the one who waits has to.
    if (this.#dice.chance(0.5)) this.#scheduler.after(forMs, () => this.cut({ edge: true, cloud: true }));
  }

  /** What is only passing ends now; silence and lost acks stay. */
  calm(): void {
    for (const direction of [this.#from.edge, this.#from.cloud]) {
      direction.stalledUntilMs = 0;
      direction.losesNext = false;
    }
  }

  loseNext(from: Role): void {
    this.#from[from].losesNext = true;
  }
}

/**
 * No stream loses a frame and goes on; this one does at times, so that the checks behind it have something to find. Config is
 * spared: telemetry follows it without waiting for an acknowledgement because streams do not skip. So is an acknowledgement that says
 * what was refused: the next one would stand for it.
 */
function isRisky(frame: Frame): boolean {
  if (frame.type === "ack") return frame.rejections.length === 0;
  return frame.type !== "batch" || frame.lane !== "config";
}

export function other(role: Role): Role {
  return role === "edge" ? "cloud" : "edge";
}

function calm(): Direction {
  return { silent: false, losesAcks: false, stalledUntilMs: 0, losesNext: false, lastMs: [0, ...LANES.map(() => 0)] };
}
