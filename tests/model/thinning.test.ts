import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bedOf, type ThinningBed } from "../support/thinning-bed.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type Event =
  | { readonly kind: "value"; readonly afterMs: number; readonly value: number }
  /** What is measured long before it comes. */
  | { readonly kind: "late"; readonly byMs: number; readonly value: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "restart" };

const value = fc.integer({ min: -20, max: 20 });
const events = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ kind: fc.constant("value" as const), afterMs: fc.nat(90_000), value }),
    },
    fc.record({ kind: fc.constant("late" as const), byMs: fc.integer({ min: 1, max: 300_000 }), value }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(2 * HOUR_MS) }),
    fc.record({ kind: fc.constant("restart" as const) }),
  ),
  { maxLength: 120 },
);

const changeRule = fc.record({
  deadband: fc.record({ type: fc.constantFrom("ABSOLUTE", "PERCENT"), value: fc.nat(10) }),
  minIntervalMs: fc.integer({ min: 1, max: 60_000 }),
  maxIntervalMs: fc.integer({ min: 60_000, max: HOUR_MS }),
});

const schedule = {
  type: "SPECIFIC_TIME",
  timezone: "UTC",
  startsOn: HOUR_MS,
  endsOn: 3 * HOUR_MS,
};
const policy = fc.record(
  {
    keys: fc.record({ v: fc.oneof(changeRule, fc.constant({ window: { ms: 60_000, functions: ["count", "sum"] } })) }),
    schedule: fc.constant(schedule),
    budget: fc.record({ bytesPerDay: fc.integer({ min: 20, max: 400 }), per: fc.constant("DEVICE") }),
  },
  { requiredKeys: ["keys"] },
);

interface Played {
  readonly bed: ThinningBed;
  readonly taken: readonly { readonly tsMs: number; readonly value: string }[];
}

/** `mayRestart` false: restarts are left out. */
function play(uplink: unknown, given: readonly Event[], mayRestart = true): Played {
  const bed = bedOf(uplink, 10 * DAY_MS);
  const taken: { tsMs: number; value: string }[] = [];
  const take = (tsMs: number, number: number): void => {
    taken.push({ tsMs, value: String(number) });
    bed.take(tsMs, { v: number });
  };
  for (const event of given) {
    if (event.kind === "value") {
      bed.pass(event.afterMs);
      take(bed.nowMs, event.value);
    } else if (event.kind === "late") take(bed.nowMs - event.byMs, event.value);
    else if (event.kind === "pass") bed.pass(event.ms);
    else if (mayRestart) bed.restart();
  }
  return { bed, taken };
}

/** Until nothing waits: a day for each budget that is spent. */
function finish(bed: ThinningBed): void {
  for (let days = 0; days < 10 && bed.thinner.nextDueMs() !== null; days += 1) {
    bed.pass(DAY_MS + 2 * HOUR_MS - (bed.nowMs % DAY_MS));
    bed.pass(2 * HOUR_MS);
  }
}

describe("DeviceThinner", () => {
  test("sends only what came, nothing twice, and at last the newest", () => {
    fc.assert(
      fc.property(changeRule, events, (v, given) => {
        const { bed, taken } = play({ keys: { v } }, given);
        finish(bed);
        const came = new Set(taken.map((point) => `${point.tsMs} ${point.value}`));
        const sent = bed.sent.map((point) => `${point.tsMs} ${point.value}`);
        expect(sent.every((point) => came.has(point))).toBe(true);
        for (const [index, point] of sent.entries()) expect(point).not.toBe(sent[index - 1] ?? "");
        const newestMs = Math.max(...taken.map(({ tsMs }) => tsMs));
        if (taken.length > 0) {
          const newest = taken.findLast(({ tsMs }) => tsMs === newestMs);
          expect(bed.sent.at(-1)).toMatchObject({ tsMs: newestMs, value: newest?.value ?? "" });
        }
      }),
    );
  });

  test("keeps the minimum interval on the edge's clock for what comes as it is measured", () => {
    fc.assert(
      fc.property(changeRule, events, (v, given) => {
        const inTime = given.filter(({ kind }) => kind !== "late");
        const { bed } = play({ keys: { v } }, inTime);
        expect(bed.sent.length).toBeLessThanOrEqual(2 + 2 * Math.ceil((bed.nowMs - 10 * DAY_MS) / v.minIntervalMs));
      }),
    );
  });

  test("does the same whenever the program is started anew", () => {
    fc.assert(
      fc.property(policy, events, (uplink, given) => {
        const { bed } = play(uplink, given);
        const other = play(uplink, given, false).bed;
        finish(bed);
        finish(other);
        expect(bed.sent).toEqual(other.sent);
      }),
    );
  });

  test("counts each value in one window, or holds it back because its window is closed", () => {
    fc.assert(
      fc.property(events, (given) => {
        const inTime = given.filter(({ kind }) => kind !== "late");
        const { bed, taken } = play({ keys: { v: { window: { ms: 60_000, functions: ["count", "sum"] } } } }, inTime);
        finish(bed);
        const total = (key: string): number =>
          bed.sent.filter((point) => point.key === key).reduce((sum, point) => sum + Number(point.value), 0);
        expect(total("v")).toBe(taken.length);
        expect(total("v_sum")).toBe(taken.reduce((sum, point) => sum + Number(point.value), 0));
        expect(new Set(bed.sent.map(({ key, tsMs }) => `${key} ${tsMs}`)).size).toBe(bed.sent.length);
      }),
    );
  });

  test("sends no more than the budget of a day, and nothing outside of the hours", () => {
    fc.assert(
      fc.property(policy, events, (uplink, given) => {
        const { bed } = play(uplink, given);
        if (uplink.budget !== undefined) {
          const days = Math.ceil((bed.nowMs - 10 * DAY_MS) / DAY_MS) + 1;
          expect(
            bed.sent.reduce((sum, { key, value: text }) => sum + key.length + text.length + 12, 0),
          ).toBeLessThanOrEqual(uplink.budget.bytesPerDay * days);
        }
        const within = bedOf({ ...uplink, schedule }, 10 * DAY_MS);
        within.take(within.nowMs, { v: 1 });
        within.pass(HOUR_MS / 2);
        expect(within.sent).toEqual([]);
      }),
    );
  });
});
