import type { Uuid } from "../core/ids.ts";
import type { TelemetryRecord } from "./telemetry.ts";

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
  /** A canonical JSON object per record, separated by line feeds. */
  readonly values: string;
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

/** All records of all parts, in order. */
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
  return { entityIds, entityIndex, tsMs, keySet, values };
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
