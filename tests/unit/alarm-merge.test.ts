import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Uuid } from "../../shared/core/ids.ts";
import { mergeComments, type AlarmComment } from "../../shared/entities/alarm-comment.ts";
import {
  ALARM_SEVERITIES,
  alarmBody,
  mergeAlarms,
  parseAlarmRecord,
  type AlarmRecord,
} from "../../shared/entities/alarm.ts";

const uuid = (digit: number): Uuid => `00000000-0000-7000-8000-00000000000${digit}` as Uuid;
/** Few values, so that they meet. */
const time = fc.integer({ min: 0, max: 3 });
const id = fc.integer({ min: 1, max: 5 }).map(uuid);

const record: fc.Arbitrary<AlarmRecord> = fc
  .record({
    ids: fc.uniqueArray(id, { minLength: 1, maxLength: 3 }),
    type: fc.constant("Too hot"),
    createdMs: time,
    severity: fc.constantFrom(...ALARM_SEVERITIES),
    startMs: time,
    endMs: time,
    details: fc.constantFrom(null, { data: 1 }, "text"),
    propagate: fc.boolean(),
    propagateToOwner: fc.boolean(),
    propagateToTenant: fc.boolean(),
    propagateRelationTypes: fc.constantFrom([], ["Contains"]),
    editedMs: time,
    ackMs: time,
    clearMs: time,
    assigneeId: fc.option(id),
    assignMs: time,
  })
  .map(({ ids, ...fields }) => {
    const [first = uuid(1), ...formerIds] = ids.sort();
    return { ...fields, id: first, formerIds, originator: { type: "DEVICE", id: uuid(9) } };
  });

describe("mergeAlarms() gives", () => {
  test("the same whatever the order and number of times", () => {
    fc.assert(
      fc.property(record, record, record, (one, two, three) => {
        const merged = alarmBody(mergeAlarms(mergeAlarms(one, two), three));
        expect(alarmBody(mergeAlarms(three, mergeAlarms(two, one)))).toBe(merged);
        expect(alarmBody(mergeAlarms(mergeAlarms(two, mergeAlarms(three, one)), two))).toBe(merged);
      }),
      { numRuns: 2_000 },
    );
  });

  test("an acknowledged and cleared alarm when either side says so, with the earlier times", () => {
    fc.assert(
      fc.property(record, record, (one, two) => {
        const { ackMs, clearMs } = mergeAlarms(one, two);
        const earlier = (left: number, right: number) => (left && right ? Math.min(left, right) : left || right);
        expect([ackMs, clearMs]).toEqual([earlier(one.ackMs, two.ackMs), earlier(one.clearMs, two.clearMs)]);
      }),
    );
  });

  test("the lowest of all ids, and remembers the others", () => {
    fc.assert(
      fc.property(record, record, (one, two) => {
        const merged = mergeAlarms(one, two);
        const ids = new Set([one.id, two.id, ...one.formerIds, ...two.formerIds]);
        expect([merged.id, ...merged.formerIds]).toEqual([...ids].sort());
      }),
    );
  });
});

test("parseAlarmRecord() reads what alarmBody() writes", () => {
  fc.assert(fc.property(record, (alarm) => expect(parseAlarmRecord(alarmBody(alarm))).toEqual(alarm)));
});

test("mergeComments() gives the same in any order, and what was deleted stays deleted", () => {
  const comment: fc.Arbitrary<AlarmComment> = fc.record({
    id: fc.constant(uuid(1)),
    alarmId: fc.constant(uuid(2)),
    userId: fc.constant(null),
    type: fc.constantFrom("OTHER", "SYSTEM"),
    comment: fc.constantFrom({ text: "a" }, { text: "b" }),
    createdMs: fc.constant(1),
    updatedMs: time,
  });
  fc.assert(
    fc.property(comment, comment, comment, (one, two, three) => {
      const merged = mergeComments(mergeComments(one, two), three);
      expect(mergeComments(three, mergeComments(two, one))).toEqual(merged);
      expect(mergeComments(mergeComments(two, three), one)).toEqual(merged);
      expect(merged.type === "SYSTEM").toBe([one, two, three].some(({ type }) => type === "SYSTEM"));
    }),
  );
});
