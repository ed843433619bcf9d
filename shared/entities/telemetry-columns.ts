import type { Uuid } from "../core/ids.ts";
import type { CanonicalJson, TelemetryRecord } from "./telemetry.ts";

/**
 * Telemetry records in columns: the form in which they are written to the database and travel, so that nothing is done per
 * value on the way. Record i is (entityIds[entityIndex[i]], tsMs[i], line i of values), i in [0, tsMs.length).
 */
export interface TelemetryColumns {
  readonly entityIds: readonly Uuid[];
  readonly entityIndex: readonly number[];
  readonly tsMs: readonly number[];
  /** Records with the same number carry the same set of keys. */
  readonly keySet: readonly number[];
  /** A canonical JSON object per record, separated by line feeds; the empty text when there are none. */
  readonly values: string;
  /** What sequence numbers the records have, when some were removed; absent: record i has the i-th. */
  readonly sparse?: SparseSeqs;
}

/** The records of an outbox row that was thinned: fewer than its sequence numbers. */
export interface SparseSeqs {
  /** Sequence numbers in all. */
  readonly count: number;
  /** Per record its number, counted from the first of the row, which is 0; ascending. */
  readonly offsets: readonly number[];
}

/** Collects records for one commit. */
export class TelemetryColumnsBuilder {
  readonly #entityIds: Uuid[] = [];
  readonly #entityNumbers = new Map<Uuid, number>();
  readonly #keySetNumbers = new Map<string, number>();
  readonly #entityIndex: number[] = [];
  readonly #tsMs: number[] = [];
  readonly #keySet: number[] = [];
  readonly #values: string[] = [];

  get count(): number {
    return this.#tsMs.length;
  }

  add(record: TelemetryRecord): void {
    let entityNumber = this.#entityNumbers.get(record.entityId);
    if (entityNumber === undefined) {
      entityNumber = this.#entityIds.length;
      this.#entityIds.push(record.entityId);
      this.#entityNumbers.set(record.entityId, entityNumber);
    }
    let keySetNumber = this.#keySetNumbers.get(record.keySet);
    if (keySetNumber === undefined) {
      keySetNumber = this.#keySetNumbers.size;
      this.#keySetNumbers.set(record.keySet, keySetNumber);
    }
    this.#entityIndex.push(entityNumber);
    this.#tsMs.push(record.tsMs);
    this.#keySet.push(keySetNumber);
    this.#values.push(record.values);
  }

  build(): TelemetryColumns {
    return {
      entityIds: this.#entityIds,
      entityIndex: this.#entityIndex,
      tsMs: this.#tsMs,
      keySet: this.#keySet,
      values: this.#values.join("\n"),
    };
  }
}

/** The reverse of the builder. Names of key sets are made up: they tell apart those of these columns and of other `name`s. */
export function recordsOf(columns: TelemetryColumns, name: string): TelemetryRecord[] {
  const lines = columns.values.split("\n");
  return columns.tsMs.map((tsMs, position) => ({
    entityId: at(columns.entityIds, at(columns.entityIndex, position)),
    tsMs,
    values: at(lines, position) as CanonicalJson, // built of such
    keySet: `\n${name}\n${at(columns.keySet, position)}`, // of keys never: they hold no line feed
  }));
}

/** The records whose position is in `keep`, in its order; entities that are no longer used stay listed. */
export function selectRecords(columns: TelemetryColumns, keep: readonly number[]): TelemetryColumns {
  const lines = columns.values.split("\n");
  return {
    entityIds: columns.entityIds,
    entityIndex: keep.map((position) => at(columns.entityIndex, position)),
    tsMs: keep.map((position) => at(columns.tsMs, position)),
    keySet: keep.map((position) => at(columns.keySet, position)),
    values: keep.map((position) => at(lines, position)).join("\n"),
  };
}

/** What is left when all but `keep`, ascending positions, are removed: the sequence numbers stay. */
export function thinRecords(columns: TelemetryColumns, keep: readonly number[]): TelemetryColumns {
  const { sparse } = columns;
  const count = sparse?.count ?? columns.tsMs.length;
  const offsets = keep.map((position) => (sparse === undefined ? position : at(sparse.offsets, position)));
  return { ...selectRecords(columns, keep), sparse: { count, offsets } };
}

/** The records of `count` sequence numbers from the `skipped`-th on. */
export function recordsBetween(
  columns: TelemetryColumns,
  { skipped, count }: { readonly skipped: number; readonly count: number },
): TelemetryColumns {
  const { sparse } = columns;
  const positions = Array.from(columns.tsMs, (_, position) => position);
  if (sparse === undefined) return selectRecords(columns, positions.slice(skipped, skipped + count));
  const keep = positions.filter((position) => {
    const offset = at(sparse.offsets, position) - skipped;
    return offset >= 0 && offset < count;
  });
  const offsets = keep.map((position) => at(sparse.offsets, position) - skipped);
  return { ...selectRecords(columns, keep), sparse: { count, offsets } };
}

/** Position of the record with this sequence number, counted from 0; -1 when it was removed. */
export function positionOfSeq({ sparse, tsMs }: TelemetryColumns, offset: number): number {
  if (sparse !== undefined) return sparse.offsets.indexOf(offset);
  return offset < tsMs.length ? offset : -1;
}

/** All records of all parts, in order, each with its sequence number when a part is sparse. */
export function concatColumns(parts: readonly TelemetryColumns[]): TelemetryColumns {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const entityIds: Uuid[] = [];
  const numbers = new Map<Uuid, number>();
  const entityIndex: number[] = [];
  const tsMs: number[] = [];
  const keySet: number[] = [];
  let keySetBase = 0;
  for (const part of parts) {
    const renumbered = part.entityIds.map((id) => {
      const known = numbers.get(id);
      if (known !== undefined) return known;
      numbers.set(id, entityIds.length);
      return entityIds.push(id) - 1;
    });
    let keySetMax = 0;
    for (let position = 0; position < part.tsMs.length; position += 1) {
      entityIndex.push(at(renumbered, at(part.entityIndex, position)));
      tsMs.push(at(part.tsMs, position));
      const number = at(part.keySet, position);
      keySet.push(keySetBase + number);
      if (number > keySetMax) keySetMax = number;
    }
    keySetBase += keySetMax + 1;
  }
  const values = parts
    .filter((part) => part.tsMs.length > 0)
    .map((part) => part.values)
    .join("\n");
  return { entityIds, entityIndex, tsMs, keySet, values, ...concatSparse(parts) };
}

function concatSparse(parts: readonly TelemetryColumns[]): { readonly sparse?: SparseSeqs } {
  if (parts.every(({ sparse }) => sparse === undefined)) return {};
  const offsets: number[] = [];
  let count = 0;
  for (const { sparse, tsMs } of parts) {
    for (let position = 0; position < tsMs.length; position += 1) {
      offsets.push(count + (sparse === undefined ? position : at(sparse.offsets, position)));
    }
    count += sparse?.count ?? tsMs.length;
  }
  return { sparse: { count, offsets } };
}

/**
 * Positions of the records in rounds, so that no round holds two records of the same entity and time: one upsert statement
 * can't touch a row twice. Null, the usual case, means that all records fit one round.
 */
export function conflictFreeRounds(columns: TelemetryColumns): readonly (readonly number[])[] | null {
  const newest: (number | undefined)[] = [];
  let ordered = true;
  for (let position = 0; position < columns.tsMs.length && ordered; position += 1) {
    const entity = at(columns.entityIndex, position);
    const tsMs = at(columns.tsMs, position);
    const before = newest[entity];
    if (before !== undefined && tsMs <= before) ordered = false;
    newest[entity] = tsMs;
  }
  return ordered ? null : roundsByCount(columns);
}

function roundsByCount(columns: TelemetryColumns): readonly (readonly number[])[] | null {
  const seen = new Map<string, number>();
  const rounds: number[][] = [];
  for (let position = 0; position < columns.tsMs.length; position += 1) {
    const key = `${at(columns.entityIndex, position)} ${at(columns.tsMs, position)}`;
    const round = seen.get(key) ?? 0;
    seen.set(key, round + 1);
    (rounds[round] ??= []).push(position);
  }
  return rounds.length <= 1 ? null : rounds;
}

/** Positions of the records that may hold the latest value of a key: the newest of each entity and key set, the later of equals. */
export function latestCandidates(columns: TelemetryColumns): readonly number[] {
  const newest = new Map<number, number>();
  for (let position = 0; position < columns.tsMs.length; position += 1) {
    const group = at(columns.keySet, position) * columns.entityIds.length + at(columns.entityIndex, position);
    const best = newest.get(group);
    if (best === undefined || at(columns.tsMs, position) >= at(columns.tsMs, best)) newest.set(group, position);
  }
  return [...newest.values()].toSorted((left, right) => left - right);
}

function at<T>(items: readonly T[], position: number): T {
  const item = items[position];
  if (item === undefined) throw new RangeError(`Column has ${items.length} entries, asked for number ${position}`);
  return item;
}
