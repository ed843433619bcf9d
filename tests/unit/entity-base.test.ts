import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { baseOf, mergeEdit } from "../../shared/entities/entity-base.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { rawMember } from "../../shared/entities/json-member.ts";

const RECORD: EntityRecord = {
  entityType: "DEVICE",
  id: NULL_UUID,
  tenantId: NULL_UUID,
  customerId: null,
  name: "A",
  subtype: "default",
  label: null,
  profileId: NULL_UUID,
  version: 1,
  createdMs: 1,
  body: { a: 1, b: { c: [1] } },
};
const edited = (more: Partial<EntityRecord>): EntityRecord => ({ ...RECORD, version: 2, ...more });
const merge = (sent: EntityRecord, stored: EntityRecord) =>
  mergeEdit({ sent, record: sent, stored, base: baseOf(RECORD) });

describe("mergeEdit()", () => {
  test("takes what only the sender changed, keys that it added and removed included", () => {
    const merged = merge(edited({ label: "L", body: { b: { c: [2] }, d: 4 } }), edited({ name: "B" }));
    expect(merged.record).toEqual(edited({ name: "B", label: "L", body: { b: { c: [2] }, d: 4 } }));
    expect(merged).toMatchObject({ isChanged: true, differsFromSent: true, conflicts: [] });
  });

  test("keeps what is stored where both changed a field, and says what is given up", () => {
    const merged = merge(edited({ name: "Theirs", label: "L" }), edited({ name: "Ours" }));
    expect(merged.record).toEqual(edited({ name: "Ours", label: "L" }));
    expect(merged.conflicts).toEqual([{ field: "name", kept: '"Ours"', dropped: '"Theirs"' }]);
  });

  test("gives what was sent when nothing else happened, and nothing when both did the same", () => {
    const sent = edited({ name: "B", body: { a: 2 } });
    expect(merge(sent, RECORD)).toMatchObject({ isChanged: true, differsFromSent: false, conflicts: [] });
    expect(merge(sent, sent)).toMatchObject({ isChanged: false, differsFromSent: false, conflicts: [] });
  });

  test("takes the content as one field", () => {
    const merged = merge(edited({ content: "{}" }), edited({ label: "L" }));
    expect(merged.record).toEqual(edited({ label: "L", content: "{}" }));
  });
});

test("rawMember() gives the text of any member of any JSON, as it was written", () => {
  const spaces = fc.constantFrom("", " ", "\n\t");
  const member = fc.tuple(spaces, fc.string(), spaces, fc.json(), spaces);
  fc.assert(
    fc.property(fc.uniqueArray(member, { selector: ([, key]) => key, maxLength: 5 }), (members) => {
      const texts = members.map(([a, key, b, value, c]) => `${a}${JSON.stringify(key)}${b}:${c}${value}${a}`);
      const text = `{${texts.join(",")} }`;
      for (const [, key, , value] of members) expect(rawMember(text, key)).toBe(value);
      const absent = "no such key, whatever the others are";
      if (!members.some(([, key]) => key === absent)) expect(rawMember(text, absent)).toBeUndefined();
    }),
  );
});
