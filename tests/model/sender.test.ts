import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inOrderFrom } from "../../shared/sync/course.ts";
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
  /** Acknowledges this share of the batches in flight. */
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
    this.sender = createSender({ lane: "telemetry", course: inOrderFrom(watermark + 1), missed: [] }, 0);
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
        const { inFlight, acked } = this.sender;
        const seq = inFlight[Math.ceil(inFlight.length * command.share) - 1]?.last ?? acked;
        this.sender = present(acknowledged(this.sender, seq, 0)?.sender ?? null);
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
    const { sender, batches } = takeSendable(this.sender, WINDOW, ({ configSeq }) => configSeq <= this.configSent, 0);
    for (const batch of batches) expect(batch.configSeq).toBeLessThanOrEqual(this.configSent);
    this.sender = sender;
    this.sentRows = [...this.sentRows, ...batches];
  }

  check(): void {
    const { acked, sent, loaded, staged, inFlight, inFlightBytes, inFlightItems } = this.sender;
    expect(acked).toBeLessThanOrEqual(sent);
    expect(sent).toBeLessThanOrEqual(loaded);
    let expected = sent;
    for (const batch of staged) {
      expect(batch.firstSeq).toBe(expected + 1);
      expected = lastSeqOf(batch);
    }
    expect(expected).toBe(loaded);
    expect(inFlight.at(-1)?.last ?? acked).toBe(sent);
    expect(inFlightBytes).toBe(inFlight.reduce((sum, batch) => sum + batch.bytes, 0));
    expect(inFlightItems).toBe(sent - acked);
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
    const sender = loadStarted(createSender({ lane: "config", course: inOrderFrom(11), missed: [] }, 0));
    expect(loadFinished(sender, [{ ...batch, firstSeq: 12 }], false)).toBeNull();
    expect(loadFinished(sender, [batch, batch], false)).toBeNull();
    expect(loadFinished(sender, [{ ...batch, count: 0 }], false)).toBeNull();
    expect(loadFinished(sender, [batch, { ...batch, firstSeq: 13 }], false)?.loaded).toBe(14);
  });

  test("takes an acknowledgement inside of a batch, which counts whole until its last item is committed", () => {
    const lane = new Lane(100);
    lane.run({ type: "commit", count: 5, bytes: 10, needsConfig: false });
    for (const command of toTheEnd.slice(0, 4)) lane.run(command);
    const part = acknowledged(lane.sender, 103, 0);
    expect(part?.committed).toMatchObject([{ first: 101, last: 103 }]);
    expect(part?.sender).toMatchObject({ inFlightBytes: 10, inFlightItems: 2 });
    const rest = acknowledged(present(part?.sender ?? null), 105, 0);
    expect(rest?.committed).toMatchObject([{ first: 104, last: 105 }]);
    expect(rest?.sender).toMatchObject({ inFlightBytes: 0, inFlightItems: 0, inFlight: [] });
  });

  test("takes what it missed of earlier sessions first, or with the next acknowledgement", () => {
    const missed = [
      { first: 5, last: 10 },
      { first: 21, last: 30 },
    ];
    const sender = createSender({ lane: "telemetry", course: inOrderFrom(31), missed }, 0);
    const first = acknowledged(sender, 7, 0);
    expect(first?.committed).toEqual([{ first: 5, last: 7 }]);
    const second = acknowledged(present(first?.sender ?? null), 30, 0);
    expect(second?.committed).toEqual([
      { first: 8, last: 10 },
      { first: 21, last: 30 },
    ]);
    expect(second?.sender.missed).toEqual([]);
    expect(acknowledged(present(second?.sender ?? null), 7, 0)).toBeNull();
  });

  test("follows its course over gaps and wants nothing behind its end", () => {
    const row = (firstSeq: number, count: number): OutgoingBatch => ({
      type: "batch",
      lane: "telemetry",
      firstSeq,
      count,
      compression: "none",
      payload: new Uint8Array(1),
      configSeq: 0,
    });
    const course = [
      { first: 21, last: 30 },
      { first: 11, last: 15 },
    ];
    const sender = createSender({ lane: "telemetry", course, missed: [] }, 0);
    expect(wantedLoad(sender, WINDOW)).toMatchObject({ afterSeq: 20, upToSeq: 30 });
    expect(loadFinished(loadStarted(sender), [row(21, 11)], false)).toBeNull();
    expect(loadFinished(loadStarted(sender), [], true)).toBeNull();
    const first = present(loadFinished(loadStarted(sender), [row(21, 10)], true));
    expect(first.mode).toBe("more");
    const sent = takeSendable(first, WINDOW, () => true, 0).sender;
    expect(wantedLoad(sent, WINDOW)).toMatchObject({ afterSeq: 10, upToSeq: 15 });
    const second = present(loadFinished(loadStarted(sent), [row(11, 5)], false));
    const all = takeSendable(second, WINDOW, () => true, 0).sender;
    expect(wantedLoad(all, WINDOW)).toBeNull();
    expect(acknowledged(all, 15, 0)?.committed).toMatchObject([
      { first: 21, last: 30 },
      { first: 11, last: 15 },
    ]);
  });
});
