import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Window } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { OutgoingBatch, SenderState } from "../../shared/sync/sender.ts";
import {
  acknowledged,
  createSender,
  loadFinished,
  loadStarted,
  takeSendable,
  wake,
  wantedLoad,
} from "../../shared/sync/sender.ts";

const WINDOW: Window = { bytes: 100, items: 20 };

type Command =
  | { readonly type: "commit"; readonly count: number; readonly bytes: number; readonly needsConfig: boolean }
  | { readonly type: "load" }
  | { readonly type: "loaded"; readonly tellsDrained: boolean }
  | { readonly type: "config" }
  | { readonly type: "send" }
  /** Acknowledges this share of what is in flight. */
  | { readonly type: "ack"; readonly share: number };

const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant("commit"),
      count: fc.integer({ min: 1, max: 30 }),
      bytes: fc.nat(130),
      needsConfig: fc.boolean(),
    }),
    fc.record({ type: fc.constant("load") }),
    fc.record({ type: fc.constant("loaded"), tellsDrained: fc.boolean() }),
    fc.record({ type: fc.constant("config") }),
    fc.record({ type: fc.constant("send") }),
    fc.record({ type: fc.constant("ack"), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  ),
  { maxLength: 120 },
);

/** One telemetry lane with its outbox. */
class Lane {
  readonly rows: OutgoingBatch[] = [];
  readonly #watermark: number;
  sender: SenderState;
  configCommitted = 0;
  configSent = 0;
  sentRows: OutgoingBatch[] = [];
  #load: { readonly seen: number; readonly bytesMax: number; readonly itemsMax: number } | null = null;

  constructor(watermark: number) {
    this.#watermark = watermark;
    this.sender = createSender("telemetry", { watermark, ackedSeq: watermark }, 0);
  }

  get lastSeq(): number {
    const last = this.rows.at(-1);
    return last === undefined ? this.#watermark : lastSeqOf(last);
  }

  run(command: Command): void {
    switch (command.type) {
      case "commit":
        return this.#commit(command.count, command.bytes, command.needsConfig);
      case "load": {
        const wanted = wantedLoad(this.sender, WINDOW);
        if (wanted === null) return;
        this.#load = { seen: this.rows.length, ...wanted };
        this.sender = loadStarted(this.sender);
        return;
      }
      case "loaded":
        return this.#loaded(command.tellsDrained);
      case "config":
        this.configSent = this.configCommitted;
        return;
      case "send":
        return this.#send();
      case "ack": {
        const seq = this.sender.acked + Math.floor((this.sender.sent - this.sender.acked) * command.share);
        this.sender = present(acknowledged(this.sender, seq, 0));
        return;
      }
    }
  }

  #commit(count: number, bytes: number, needsConfig: boolean): void {
    if (needsConfig) this.configCommitted += 1;
    this.rows.push({
      type: "batch",
      lane: "telemetry",
      firstSeq: this.lastSeq + 1,
      count,
      compression: "none",
      payload: new Uint8Array(bytes),
      configSeq: this.configCommitted,
    });
    this.sender = wake(this.sender);
  }

  /** What a store does: whole rows inside the limits, at least one. */
  #loaded(tellsDrained: boolean): void {
    if (this.#load === null) return;
    const { seen, bytesMax, itemsMax } = this.#load;
    const waiting = this.rows.slice(0, seen).filter((row) => row.firstSeq > this.sender.loaded);
    let bytes = 0;
    let items = 0;
    const tooMuch = waiting.findIndex((row, index) => {
      bytes += row.payload.length;
      items += row.count;
      return index > 0 && (bytes > bytesMax || items > itemsMax);
    });
    const batches = tooMuch === -1 ? waiting : waiting.slice(0, tooMuch);
    const isAll = batches.length === waiting.length;
    this.sender = present(loadFinished(this.sender, batches, isAll && (tellsDrained || batches.length === 0)));
    this.#load = null;
  }

  #send(): void {
    const { sender, batches } = takeSendable(this.sender, WINDOW, this.configSent, 0);
    for (const batch of batches) expect(batch.configSeq).toBeLessThanOrEqual(this.configSent);
    this.sender = sender;
    this.sentRows = [...this.sentRows, ...batches];
  }

  check(): void {
    const { acked, sent, loaded, staged, inFlight, inFlightBytes } = this.sender;
    expect(acked).toBeLessThanOrEqual(sent);
    expect(sent).toBeLessThanOrEqual(loaded);
    let expected = sent;
    for (const batch of staged) {
      expect(batch.firstSeq).toBe(expected + 1);
      expected = lastSeqOf(batch);
    }
    expect(expected).toBe(loaded);
    expect(inFlight.at(-1)?.lastSeq ?? acked).toBe(sent);
    expect(inFlightBytes).toBe(inFlight.reduce((sum, batch) => sum + batch.bytes, 0));
    if (inFlight.length > 1) {
      expect(inFlightBytes).toBeLessThanOrEqual(WINDOW.bytes);
      expect(sent - acked).toBeLessThanOrEqual(WINDOW.items);
    }
  }
}

function present(sender: SenderState | null): SenderState {
  if (sender === null) throw new Error("The sender refused what keeps to the rules");
  return sender;
}

const toTheEnd: readonly Command[] = [
  { type: "config" },
  { type: "load" },
  { type: "loaded", tellsDrained: false },
  { type: "send" },
  { type: "ack", share: 1 },
];

describe("a sender", () => {
  test("keeps its invariants and delivers every row once, in order", () => {
    fc.assert(
      fc.property(commands, fc.nat(1_000), (list, watermark) => {
        const lane = new Lane(watermark);
        for (const command of list) {
          lane.run(command);
          lane.check();
        }
        // Every round moves at least one row; a lane that needs more rounds stands still.
        for (let round = 0; round < list.length + 2; round += 1) toTheEnd.forEach((command) => lane.run(command));
        expect(lane.sender.acked).toBe(lane.lastSeq);
        expect(lane.sentRows).toEqual(lane.rows);
      }),
      { numRuns: 500 },
    );
  });

  test("refuses acknowledgements outside of what is in flight", () => {
    fc.assert(
      fc.property(commands, fc.integer({ min: 1, max: 50 }), (list, beyond) => {
        const lane = new Lane(100);
        for (const command of list) lane.run(command);
        expect(acknowledged(lane.sender, lane.sender.sent + beyond, 0)).toBeNull();
        expect(acknowledged(lane.sender, lane.sender.acked - beyond, 0)).toBeNull();
      }),
    );
  });

  test("refuses a load that does not continue, or holds an empty batch", () => {
    const batch: OutgoingBatch = {
      type: "batch",
      lane: "config",
      firstSeq: 11,
      count: 2,
      compression: "none",
      payload: new Uint8Array(1),
      configSeq: 0,
    };
    const sender = loadStarted(createSender("config", { watermark: 10, ackedSeq: 10 }, 0));
    expect(loadFinished(sender, [{ ...batch, firstSeq: 12 }], false)).toBeNull();
    expect(loadFinished(sender, [batch, batch], false)).toBeNull();
    expect(loadFinished(sender, [{ ...batch, count: 0 }], false)).toBeNull();
    expect(loadFinished(sender, [batch, { ...batch, firstSeq: 13 }], false)?.loaded).toBe(14);
  });
});
