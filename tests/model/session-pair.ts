import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { addRange, includesRange, overlaps, prefixEnd } from "../../shared/core/seq-range.ts";
import { inOrderFrom, planTelemetry } from "../../shared/sync/course.ts";
import type { BacklogOrder, Batch, Frame, Hello, LaneCourse, Welcome, Window } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { Lane } from "../../shared/sync/lanes.ts";
import { uplinkLaneOf } from "../../shared/sync/lanes.ts";
import type { OutgoingBatch, WantedLoad } from "../../shared/sync/sender.ts";
import type {
  Opening,
  Role,
  SessionEffect,
  SessionEvent,
  SessionState,
  Step,
} from "../../shared/sync/session-state.ts";
import { advanceSession, startCloudSession, startEdgeSession } from "../../shared/sync/session.ts";

const ID = createUuid({ nowMs: () => 0 }, createSeededRandom(1));

export const HELLO: Hello = {
  type: "hello",
  protocolMin: 1,
  protocolMax: 1,
  edgeVersion: "1.0.0",
  storeId: ID,
  lanes: [
    { lane: "config", nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 },
    { lane: "telemetry", nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 },
  ],
  cloudId: null,
  downlinkApplied: 0,
  downlinkTag: null,
  machineId: ID,
  wallClockMs: 0,
  backlogOrder: "interleaved",
};

export const WELCOME: Welcome = {
  type: "welcome",
  protocol: 1,
  session: 1,
  edgeId: ID,
  tenantId: ID,
  edgeName: "edge",
  edgeType: "default",
  cloudId: ID,
  cloudVersion: "1.0.0",
  courses: [
    { lane: "config", course: inOrderFrom(1) },
    { lane: "live", course: inOrderFrom(1) },
  ],
  tags: [],
  window: { bytes: 100, items: 20 },
  wallClockMs: 0,
  downlinkResume: 0,
  downlinkAcked: 0,
  settings: null,
};

const DOWNLINKS = [{ lane: "downlink", course: inOrderFrom(1), missed: [] }] as const;

/** Telemetry that was written before the session: rows of so many items, and which of them the cloud has. */
export interface Backlog {
  readonly rows: readonly { readonly count: number; readonly isCommitted: boolean }[];
  readonly order: BacklogOrder;
}

export type Numbering = "downlink" | "config" | "telemetry";

/** One end: its machine, its frames on the way in, its database work that is not done yet. */
export interface End {
  readonly role: Role;
  state: SessionState;
  readonly inbox: Frame[];
  readonly work: (() => SessionEvent)[];
  readonly effects: SessionEffect[];
}

/** Both ends joined by two FIFO streams; every frame and every piece of database work waits until the test lets it happen. */
export class SessionPair {
  readonly ends: readonly [edge: End, cloud: End];
  readonly rows: Readonly<Record<Numbering, OutgoingBatch[]>> = { downlink: [], config: [], telemetry: [] };
  readonly committed: Record<Numbering, readonly SeqRange[]> = { downlink: [], config: [], telemetry: [] };
  nowMs = 0;
  readonly #opening: Readonly<Record<Role, Opening>>;

  constructor(window: Window, { rows, order }: Backlog = { rows: [], order: "oldest-first" }) {
    for (const { count, isCommitted } of rows) {
      const row = this.#write("telemetry", count, 1);
      if (isCommitted) this.#commit("telemetry", row);
    }
    const nextSeq = this.lastSeq("telemetry") + 1;
    const uplinks: readonly LaneCourse[] = [
      { lane: "config", course: inOrderFrom(1) },
      ...planTelemetry({ committed: this.committed.telemetry, nextSeq, order }),
    ];
    const sending = uplinks.map((start) => ({ ...start, missed: [] }));
    const welcome = { ...WELCOME, window, courses: uplinks };
    const edgeStep = startEdgeSession(HELLO, 0);
    this.ends = [createEnd(edgeStep), createEnd(startCloudSession(0))];
    this.#opening = {
      edge: { window, sending, receiving: DOWNLINKS, welcome: null, missedAcks: [] },
      cloud: { window, sending: DOWNLINKS, receiving: uplinks, welcome, missedAcks: [] },
    };
    this.#perform(this.ends[0], edgeStep.effects);
  }

  /** Lets the next frame arrive. @returns false when there is none */
  deliver(end: End): boolean {
    const frame = end.inbox.shift();
    if (frame === undefined) return false;
    this.dispatch(end, { type: "frame", frame });
    return true;
  }

  /** Lets one piece of database work finish. */
  work(end: End, choice: number): boolean {
    const [work] = end.work.splice(choice % Math.max(1, end.work.length), 1);
    if (work === undefined) return false;
    this.dispatch(end, work());
    return true;
  }

  commit(numbering: Numbering, count: number, bytes: number): void {
    this.#write(numbering, count, bytes);
    const lanes: readonly Lane[] = numbering === "telemetry" ? ["live", "telemetry"] : [numbering];
    for (const lane of lanes) this.dispatch(this.ends[lane === "downlink" ? 1 : 0], { type: "woken", lane });
  }

  lastSeq(numbering: Numbering): number {
    const last = this.rows[numbering].at(-1);
    return last === undefined ? 0 : lastSeqOf(last);
  }

  dispatch(end: End, event: SessionEvent): void {
    const step = advanceSession(end.state, event, this.nowMs);
    end.state = step.state;
    this.#perform(end, step.effects);
  }

  /** Until nothing is on its way any more. */
  settle(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const end of this.ends) moved = this.deliver(end) || this.work(end, 0) || moved;
    }
  }

  #write(numbering: Numbering, count: number, bytes: number): OutgoingBatch {
    const row: OutgoingBatch = {
      type: "batch",
      lane: numbering,
      firstSeq: this.lastSeq(numbering) + 1,
      count,
      compression: "none",
      payload: new Uint8Array(bytes),
      configSeq: numbering === "telemetry" ? this.lastSeq("config") : 0,
    };
    this.rows[numbering].push(row);
    return row;
  }

  #perform(end: End, effects: readonly SessionEffect[]): void {
    const [edge, cloud] = this.ends;
    end.effects.push(...effects);
    for (const effect of effects) {
      if (effect.type === "send") {
        if (effect.frame.type === "ack") this.#checkAck(effect.frame.lane, effect.frame.seq);
        (end === edge ? cloud : edge).inbox.push(effect.frame);
      } else if (effect.type === "open") end.work.push(() => ({ type: "opened", opening: this.#opening[end.role] }));
      else if (effect.type === "load") {
        const batches = this.#load(effect.lane, effect);
        end.work.push(() => ({ type: "loaded", lane: effect.lane, batches, drained: batches.length === 0 }));
      } else if (effect.type === "apply") {
        end.work.push(() => {
          for (const batch of effect.batches) this.#apply(batch);
          return { type: "applied", lane: effect.lane, rejections: [] };
        });
      }
    }
  }

  /** The next row, or what the range asks for of it. */
  #load(lane: Lane, { afterSeq, upToSeq }: WantedLoad): readonly OutgoingBatch[] {
    const row = this.rows[numberingOf(lane)].find((candidate) => lastSeqOf(candidate) > afterSeq);
    if (row === undefined || row.firstSeq > upToSeq) return [];
    const firstSeq = Math.max(row.firstSeq, afterSeq + 1);
    return [{ ...row, lane, firstSeq, count: Math.min(lastSeqOf(row), upToSeq) - firstSeq + 1 }];
  }

  #checkAck(lane: Lane, seq: number): void {
    if (!includesRange(this.committed[numberingOf(lane)], { first: seq, last: seq }))
      throw new Error(`Lane ${lane} was acknowledged before its commit`);
  }

  #apply(batch: Batch): void {
    const { lane, firstSeq } = batch;
    const numbering = numberingOf(lane);
    const committed = this.committed[numbering];
    if (numbering !== "telemetry" && firstSeq !== prefixEnd(committed) + 1)
      throw new Error(`Lane ${lane} goes on at ${firstSeq}, but ${prefixEnd(committed)} was committed last`);
    const row = this.rows[numbering].find((candidate) => lastSeqOf(candidate) >= firstSeq);
    if (row === undefined) throw new Error(`Lane ${lane} has no item ${firstSeq}`);
    if (row.configSeq > prefixEnd(this.committed.config))
      throw new Error(`Telemetry ${firstSeq} came before its config`);
    this.#commit(numbering, batch);
  }

  #commit(numbering: Numbering, batch: Batch): void {
    const range = { first: batch.firstSeq, last: lastSeqOf(batch) };
    if (overlaps(this.committed[numbering], range))
      throw new Error(`Items ${range.first} to ${range.last} of ${numbering} are committed a second time`);
    this.committed[numbering] = addRange(this.committed[numbering], range);
  }
}

function numberingOf(lane: Lane): Numbering {
  return lane === "downlink" ? lane : uplinkLaneOf(lane);
}

function createEnd({ state }: Step): End {
  return { role: state.role, state, inbox: [], work: [], effects: [] };
}
