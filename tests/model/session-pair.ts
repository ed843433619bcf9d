import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { Batch, Frame, Hello, Lane, Welcome, Window } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { Opening, Role, SessionEffect, SessionEvent, SessionState, Step } from "../../shared/sync/session.ts";
import { advanceSession, startCloudSession, startEdgeSession } from "../../shared/sync/session.ts";

const ID = createUuid(
  { nowMs: () => 0, monotonicMs: () => 0, yield: () => Promise.resolve(), sleep: () => Promise.resolve() },
  createSeededRandom(1),
);

export const HELLO: Hello = {
  type: "hello",
  protocolMin: 1,
  protocolMax: 1,
  edgeVersion: "1.0.0",
  storeId: ID,
  lanes: [
    { lane: "config", nextSeq: 1, oldestSeq: 1, ackedSeq: 0 },
    { lane: "telemetry", nextSeq: 1, oldestSeq: 1, ackedSeq: 0 },
  ],
  cloudId: null,
  downlinkApplied: 0,
  wallClockMs: 0,
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
  watermarks: [
    { lane: "config", seq: 0 },
    { lane: "telemetry", seq: 0 },
  ],
  window: { bytes: 100, items: 20 },
  wallClockMs: 0,
  downlinkResume: 0,
  downlinkAcked: 0,
};

const UPLINKS = [
  { lane: "config", seq: 0, ackedSeq: 0 },
  { lane: "telemetry", seq: 0, ackedSeq: 0 },
] as const;
const DOWNLINKS = [{ lane: "downlink", seq: 0, ackedSeq: 0 }] as const;

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
  readonly rows: Readonly<Record<Lane, OutgoingBatch[]>> = { downlink: [], config: [], telemetry: [] };
  readonly committed: Record<Lane, number> = { downlink: 0, config: 0, telemetry: 0 };
  nowMs = 0;
  readonly #opening: Readonly<Record<Role, Opening>>;

  constructor(window: Window) {
    const welcome = { ...WELCOME, window };
    const edgeStep = startEdgeSession(HELLO, 0);
    this.ends = [createEnd(edgeStep), createEnd(startCloudSession(0))];
    this.#opening = {
      edge: { window, sending: UPLINKS, receiving: DOWNLINKS, welcome: null, missedAcks: [] },
      cloud: { window, sending: DOWNLINKS, receiving: UPLINKS, welcome, missedAcks: [] },
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

  commit(lane: Lane, count: number, bytes: number): void {
    this.rows[lane].push({
      type: "batch",
      lane,
      firstSeq: this.lastSeq(lane) + 1,
      count,
      compression: "none",
      payload: new Uint8Array(bytes),
      configSeq: lane === "telemetry" ? this.lastSeq("config") : 0,
    });
    this.dispatch(this.ends[lane === "downlink" ? 1 : 0], { type: "woken", lane });
  }

  lastSeq(lane: Lane): number {
    const last = this.rows[lane].at(-1);
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

  #perform(end: End, effects: readonly SessionEffect[]): void {
    const [edge, cloud] = this.ends;
    end.effects.push(...effects);
    for (const effect of effects) {
      if (effect.type === "send") {
        if (effect.frame.type === "ack" && effect.frame.seq > this.committed[effect.frame.lane])
          throw new Error(`Lane ${effect.frame.lane} was acknowledged before its commit`);
        (end === edge ? cloud : edge).inbox.push(effect.frame);
      } else if (effect.type === "open") end.work.push(() => ({ type: "opened", opening: this.#opening[end.role] }));
      else if (effect.type === "load") {
        const [row] = this.rows[effect.lane].filter(({ firstSeq }) => firstSeq > effect.afterSeq);
        const batches = row === undefined ? [] : [row];
        end.work.push(() => ({ type: "loaded", lane: effect.lane, batches, drained: row === undefined }));
      } else if (effect.type === "apply") {
        end.work.push(() => {
          for (const batch of effect.batches) this.#apply(batch);
          return { type: "applied", lane: effect.lane, rejections: [] };
        });
      }
    }
  }

  #apply(batch: Batch): void {
    const { lane, firstSeq } = batch;
    const row = this.rows[lane].find((candidate) => candidate.firstSeq === firstSeq);
    if (row === undefined || firstSeq !== this.committed[lane] + 1)
      throw new Error(`Lane ${lane} goes on at ${firstSeq}, but ${this.committed[lane]} was committed last`);
    if (row.configSeq > this.committed.config) throw new Error(`Telemetry ${firstSeq} came before its config`);
    this.committed[lane] = lastSeqOf(batch);
  }
}

function createEnd({ state }: Step): End {
  return { role: state.role, state, inbox: [], work: [], effects: [] };
}
