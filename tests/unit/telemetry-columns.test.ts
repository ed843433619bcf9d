import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import {
  concatColumns,
  conflictFreeRounds,
  latestCandidates,
  selectRecords,
  TelemetryColumnsBuilder,
} from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";

/** Few entities, times and keys, so that they meet. */
const records: fc.Arbitrary<TelemetryRecord[]> = fc.array(
  fc
    .record({
      entity: fc.nat(3),
      tsMs: fc.integer({ min: -2, max: 4 }),
      keys: fc.subarray(["a", "b", "c"], { minLength: 1 }),
      value: fc.nat(9),
    })
    .map(({ entity, tsMs, keys, value }) => ({
      entityId: uuidFromBytes(new Uint8Array(16).fill(entity)),
      tsMs,
      values: JSON.stringify(Object.fromEntries(keys.map((key) => [key, value]))) as CanonicalJson, // whole numbers only
      keySet: keys.join("\n"),
    })),
  { maxLength: 30 },
);

function columnsOf(list: readonly TelemetryRecord[]): TelemetryColumns {
  const builder = new TelemetryColumnsBuilder();
  for (const record of list) builder.add(record);
  return builder.build();
}

/** What the columns say, record by record. */
function recordsOf(columns: TelemetryColumns): Omit<TelemetryRecord, "keySet">[] {
  const lines = columns.values.split("\n");
  return columns.tsMs.map((tsMs, position) => ({
    entityId: columns.entityIds[columns.entityIndex[position] ?? -1] ?? uuidFromBytes(new Uint8Array()),
    tsMs,
    values: (lines[position] ?? "") as CanonicalJson, // lines of canonical JSON
  }));
}

function withoutKeySet(list: readonly TelemetryRecord[]): Omit<TelemetryRecord, "keySet">[] {
  return list.map(({ entityId, tsMs, values }) => ({ entityId, tsMs, values }));
}

/** Records of the same key set have the same number, and others another. */
function expectKeySets(columns: TelemetryColumns, list: readonly TelemetryRecord[]): void {
  const names = new Map<number, string>();
  for (const [position, record] of list.entries()) {
    const number = columns.keySet[position] ?? -1;
    expect(names.get(number) ?? record.keySet).toBe(record.keySet);
    names.set(number, record.keySet);
  }
}

test("TelemetryColumnsBuilder keeps every record", () => {
  fc.assert(
    fc.property(records, (list) => {
      const columns = columnsOf(list);
      expect(recordsOf(columns)).toEqual(withoutKeySet(list));
      expectKeySets(columns, list);
    }),
  );
});

test("selectRecords() takes the positions asked for, in their order", () => {
  fc.assert(
    fc.property(records, fc.infiniteStream(fc.nat()), (list, choices) => {
      const keep = list.length === 0 ? [] : [...choices.take(10)].map((choice) => choice % list.length);
      const selected = selectRecords(columnsOf(list), keep);
      expect(recordsOf(selected)).toEqual(withoutKeySet(keep.flatMap((position) => list[position] ?? [])));
    }),
  );
});

test("concatColumns() holds all records of all parts, in order", () => {
  fc.assert(
    fc.property(fc.array(records, { maxLength: 5 }), (parts) => {
      const joined = concatColumns(parts.map(columnsOf));
      expect(recordsOf(joined)).toEqual(withoutKeySet(parts.flat()));
      expectKeySets(joined, parts.flat());
      expect(new Set(joined.entityIds).size).toBe(joined.entityIds.length);
    }),
  );
});

describe("conflictFreeRounds()", () => {
  const keyOf = (columns: TelemetryColumns, position: number): string =>
    `${columns.entityIndex[position]} ${columns.tsMs[position]}`;

  test("puts every record in one round, none beside its equal, and equals in their order", () => {
    fc.assert(
      fc.property(records, (list) => {
        const columns = columnsOf(list);
        const rounds = conflictFreeRounds(columns) ?? [list.map((_, position) => position)];
        const lastOf = new Map<string, number>();
        for (const round of rounds) {
          const keys = round.map((position) => keyOf(columns, position));
          expect(new Set(keys).size).toBe(keys.length);
          for (const position of round) {
            expect(position).toBeGreaterThan(lastOf.get(keyOf(columns, position)) ?? -1);
            lastOf.set(keyOf(columns, position), position);
          }
        }
        expect(rounds.flat().toSorted((left, right) => left - right)).toEqual(list.map((_, position) => position));
      }),
    );
  });

  test("is null when all records fit one round, in whatever order they came", () => {
    fc.assert(
      fc.property(records, (list) => {
        const columns = columnsOf(list);
        const keys = list.map((_, position) => keyOf(columns, position));
        expect(conflictFreeRounds(columns) === null).toBe(new Set(keys).size === keys.length);
      }),
    );
  });
});

test("latestCandidates() holds for each entity and key the newest record, the later of equals", () => {
  fc.assert(
    fc.property(records, (list) => {
      const candidates = new Set(latestCandidates(columnsOf(list)));
      const latest = new Map<string, number>();
      for (const [position, record] of list.entries()) {
        const key = `${record.entityId} ${record.keySet}`;
        const before = list[latest.get(key) ?? -1];
        if (before === undefined || record.tsMs >= before.tsMs) latest.set(key, position);
      }
      expect([...candidates].toSorted((left, right) => left - right)).toEqual(
        [...latest.values()].toSorted((left, right) => left - right),
      );
    }),
  );
});
