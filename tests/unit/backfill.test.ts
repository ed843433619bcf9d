import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Uuid } from "../../shared/core/ids.ts";
import {
  BACKFILL_STATES,
  isSameBackfill,
  mergeBackfills,
  parseBackfillRecord,
  readBackfillRecord,
  type BackfillRecord,
} from "../../shared/entities/backfill.ts";
import { decodeChange, encodeChange } from "../../shared/wire/changes-codec.ts";

const ID = "00000000-0000-4000-8000-00000000000d" as Uuid;
const RECORD: BackfillRecord = {
  id: ID,
  entity: { type: "DEVICE", id: ID },
  keys: ["t"],
  startMs: 0,
  endMs: 100,
  createdMs: 5,
  state: "QUEUED",
  reason: null,
  nextMs: 0,
  records: 0,
};

const record = fc
  .record({
    state: fc.constantFrom(...BACKFILL_STATES),
    nextMs: fc.nat(100),
    records: fc.nat(100),
    reason: fc.constantFrom("a", "b"),
  })
  .map(({ reason, state, ...more }) => ({ ...RECORD, ...more, state, reason: state === "FAILED" ? reason : null }));

describe("mergeBackfills()", () => {
  test("gives the same in any order, and nothing new by what is known", () => {
    fc.assert(
      fc.property(record, record, record, (one, two, three) => {
        const all = mergeBackfills(mergeBackfills(one, two), three);
        expect(isSameBackfill(mergeBackfills(three, mergeBackfills(two, one)), all)).toBe(true);
        expect(isSameBackfill(mergeBackfills(all, two), all)).toBe(true);
      }),
    );
  });
});

test("a request for history travels as a change, and one that can't be read is none", () => {
  const change = { kind: "backfill-saved", entity: RECORD.entity, body: JSON.stringify(RECORD) } as const;
  const decoded = decodeChange(encodeChange(change));
  expect(decoded).toEqual(change);
  expect(parseBackfillRecord(change.body)).toEqual(RECORD);
  expect(readBackfillRecord('{"id":5}')).toBeNull();
  expect(readBackfillRecord("no")).toBeNull();
});
