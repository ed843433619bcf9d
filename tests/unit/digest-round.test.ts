import { describe, expect, test } from "bun:test";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { RoundCounts, RoundEvent, RoundState, RoundStep } from "../../shared/sync/digest-round.ts";
import {
  advanceRound,
  ANSWER_WITHIN_MS,
  createRounds,
  lookAtRounds,
  nextLookMs,
  QUIET_WITHIN_MS,
} from "../../shared/sync/digest-round.ts";
import { LISTED_BUCKETS_MAX } from "../../shared/sync/digest.ts";
import type { TypeBuckets } from "../../shared/sync/frames.ts";

const EVERY_MS = 300_000;
const NOTHING: RoundCounts = { missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0 };
const ENTRY = { id: uuidFromBytes(new Uint8Array(16)), hash: 1n };

const begin = (): RoundState => lookAtRounds(createRounds(EVERY_MS, 0), { isQuiet: true, nowMs: 0 }).state;
const compare = (): RoundState => advanceRound(begin(), { type: "digest-read", request: 7, types: [] }, 1_000).state;
const diff = (types: readonly TypeBuckets[], round = 1): RoundEvent => ({
  type: "answered",
  frame: { type: "digest-diff", round, types },
});
const entries = (buckets: TypeBuckets, round = 1): RoundEvent => ({
  type: "answered",
  frame: { type: "entries", round, buckets, downlinkApplied: 3, entries: [ENTRY], busyIds: [] },
});
const buckets = (entityType: string, list: readonly number[]): TypeBuckets => ({
  entityType,
  bucketCount: 256,
  buckets: list,
});
const kinds = (step: RoundStep): readonly string[] =>
  step.effects.map((effect) => (effect.type === "send" ? effect.frame.type : effect.type));

describe("a digest round", () => {
  test("begins at once when nothing is on its way, and after a while all the same", () => {
    const rounds = createRounds(EVERY_MS, 0);
    expect(kinds(lookAtRounds(rounds, { isQuiet: true, nowMs: 0 }))).toEqual(["read-digest"]);
    expect(kinds(lookAtRounds(rounds, { isQuiet: false, nowMs: QUIET_WITHIN_MS - 1 }))).toEqual([]);
    expect(kinds(lookAtRounds(rounds, { isQuiet: false, nowMs: QUIET_WITHIN_MS }))).toEqual(["read-digest"]);
    expect([nextLookMs(rounds, true), nextLookMs(rounds, false)]).toEqual([0, QUIET_WITHIN_MS]);
  });

  test("that finds no difference ends with the answer, and the next is due later", () => {
    const step = advanceRound(compare(), diff([]), 1_500);
    expect(step.effects).toEqual([
      { type: "round-ended", result: { ...NOTHING, request: 7, tookMs: 1_500, isComplete: true } },
    ]);
    expect(step.state).toMatchObject({ phase: "waiting", dueMs: 1_500 + EVERY_MS });
  });

  test("lists what differs part by part, profiles first, and counts what was repaired", () => {
    const many = Array.from({ length: LISTED_BUCKETS_MAX + 1 }, (_, index) => index);
    let step = advanceRound(compare(), diff([buckets("DEVICE", many), buckets("DEVICE_PROFILE", [4])]), 2_000);
    const asked: string[] = [];
    for (let part = 0; part < 3; part += 1) {
      const [wanted] = step.state.listings;
      if (wanted === undefined) throw new Error("Expected a listing");
      expect(step.effects).toEqual([{ type: "send", frame: { type: "entries-wanted", round: 1, buckets: wanted } }]);
      asked.push(`${wanted.entityType} ${wanted.buckets.length}`);
      step = advanceRound(step.state, entries(wanted), 2_000);
      expect(kinds(step)).toEqual(["repair"]);
      step = advanceRound(step.state, { type: "repaired", found: { ...NOTHING, missing: 1, stale: 2 } }, 2_000);
    }
    expect(asked).toEqual(["DEVICE_PROFILE 1", `DEVICE ${LISTED_BUCKETS_MAX}`, "DEVICE 1"]);
    expect(step.effects).toMatchObject([{ type: "round-ended", result: { missing: 3, stale: 6, isComplete: true } }]);
  });

  test("takes what it asked for as what was answered", () => {
    const listing = advanceRound(compare(), diff([buckets("DEVICE", [1])]), 2_000).state;
    const step = advanceRound(listing, entries(buckets("ASSET", [9])), 2_000);
    expect(step.effects).toMatchObject([{ type: "repair", entries: { buckets: buckets("DEVICE", [1]) } }]);
  });

  test("hears no answers to other questions", () => {
    const comparing = compare();
    for (const stray of [diff([], 2), entries(buckets("DEVICE", [1]))]) {
      expect(advanceRound(comparing, stray, 2_000)).toEqual({ state: comparing, effects: [] });
    }
    const waiting = createRounds(EVERY_MS, 0);
    expect(advanceRound(waiting, diff([]), 1)).toEqual({ state: waiting, effects: [] });
  });

  test("that is not answered is given up, and tried again when the next is due", () => {
    const comparing = compare();
    const lateMs = 1_000 + ANSWER_WITHIN_MS;
    expect(nextLookMs(comparing, true)).toBe(lateMs);
    expect(kinds(lookAtRounds(comparing, { isQuiet: true, nowMs: lateMs - 1 }))).toEqual([]);
    const step = lookAtRounds(comparing, { isQuiet: true, nowMs: lateMs });
    expect(step.effects).toMatchObject([{ type: "round-ended", result: { isComplete: false } }]);
    expect(step.state.dueMs).toBe(lateMs + EVERY_MS);
  });

  test("that is wanted begins at once; one wanted during another follows it", () => {
    const done = advanceRound(compare(), diff([]), 2_000).state;
    const wanted = advanceRound(done, { type: "wanted" }, 3_000).state;
    expect(kinds(lookAtRounds(wanted, { isQuiet: true, nowMs: 3_000 }))).toEqual(["read-digest"]);
    const again = advanceRound(compare(), { type: "wanted" }, 1_500).state;
    const ended = advanceRound(again, diff([]), 2_000).state;
    expect(kinds(lookAtRounds(ended, { isQuiet: true, nowMs: 2_000 }))).toEqual(["read-digest"]);
  });
});
