import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { Batch, Window } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { ReceiverState } from "../../shared/sync/receiver.ts";
import { applyFinished, arrived, createReceiver, takeApplicable } from "../../shared/sync/receiver.ts";

const WINDOW: Window = { bytes: 1_000, items: 50 };
const APPLY_MAX = 20;

type Command = { readonly type: "batch"; readonly count: number } | { readonly type: "take" | "applied" };

const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("batch"), count: fc.integer({ min: 1, max: 70 }) }),
    fc.record({ type: fc.constantFrom("take", "applied") }),
  ),
  { maxLength: 150 },
);

function batchAt(firstSeq: number, count: number): Batch {
  return { type: "batch", lane: "config", firstSeq, count, compression: "none", payload: new Uint8Array() };
}

function check(receiver: ReceiverState): void {
  expect(receiver.applied).toBeLessThanOrEqual(receiver.received);
  let expected = receiver.applying?.lastSeq ?? receiver.applied;
  for (const batch of receiver.pending) {
    expect(batch.firstSeq).toBe(expected + 1);
    expected = lastSeqOf(batch);
  }
  expect(expected).toBe(receiver.received);
}

describe("a receiver", () => {
  test("keeps its invariants and hands out every batch once, in order", () => {
    fc.assert(
      fc.property(commands, fc.nat(1_000), (list, watermark) => {
        let receiver = createReceiver("config", inOrderFrom(watermark + 1));
        let applied = watermark;
        const take = (): void => {
          const taken = takeApplicable(receiver, APPLY_MAX);
          receiver = taken.receiver;
          for (const batch of taken.batches) {
            expect(batch.firstSeq).toBe(applied + 1);
            applied = lastSeqOf(batch);
          }
          const items = taken.batches.reduce((sum, batch) => sum + batch.count, 0);
          expect(taken.batches.length <= 1 || items <= APPLY_MAX).toBe(true);
        };
        for (const command of list) {
          if (command.type === "batch") {
            const waiting = receiver.waitingItems;
            expect(waiting).toBe(receiver.received - receiver.applied);
            const next = arrived(receiver, batchAt(receiver.received + 1, command.count), WINDOW);
            const fits = waiting === 0 || waiting + command.count <= WINDOW.items;
            expect(typeof next === "string").toBe(!fits);
            if (typeof next !== "string") receiver = next;
          } else if (command.type === "applied") receiver = applyFinished(receiver);
          else if (receiver.applying === null) take();
          check(receiver);
        }
        for (let round = 0; round <= list.length; round += 1) {
          receiver = applyFinished(receiver);
          take();
        }
        expect(applyFinished(receiver).applied).toBe(receiver.received);
        expect(applied).toBe(receiver.received);
      }),
    );
  });

  test("refuses a batch that repeats, skips or is empty", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.integer({ min: -100, max: 100 }), (watermark, offset) => {
        const receiver = createReceiver("config", inOrderFrom(watermark + 1));
        const next = arrived(receiver, batchAt(watermark + 1 + offset, 1), WINDOW);
        expect(typeof next === "string").toBe(offset !== 0);
        expect(typeof arrived(receiver, batchAt(watermark + 1, 0), WINDOW)).toBe("string");
      }),
    );
  });

  test("follows its course over gaps, in batches that end with a run, and applies what continues in one transaction", () => {
    let receiver = createReceiver("telemetry", [
      { first: 21, last: 30 },
      { first: 11, last: 15 },
    ]);
    for (const [first, count] of [
      [21, 4],
      [25, 6],
      [11, 5],
    ] as const) {
      expect(typeof arrived(receiver, batchAt(first, count + 10), WINDOW)).toBe("string");
      const next = arrived(receiver, batchAt(first, count), WINDOW);
      if (typeof next === "string") throw new Error(next);
      receiver = next;
    }
    expect(typeof arrived(receiver, batchAt(16, 1), WINDOW)).toBe("string");
    const first = takeApplicable(receiver, APPLY_MAX);
    expect(first.batches.map(({ firstSeq }) => firstSeq)).toEqual([21, 25]);
    const second = takeApplicable(applyFinished(first.receiver), APPLY_MAX);
    expect(second.batches.map(({ firstSeq }) => firstSeq)).toEqual([11]);
    expect(applyFinished(second.receiver)).toMatchObject({ applied: 15, waitingItems: 0, course: [] });
  });
});
