import type { Uuid } from "../../shared/core/ids.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";

/** Newest records that wait; above it they are written at the next chance. */
const WAITING_MAX = 5_000;

/**
 * The newest values of keys on their way to telemetry_latest. Writing them with every commit took a third of its time, so they
 * are gathered here and written once a second. They follow from the outbox: what a crash takes is read from there again.
 */
export class LatestValues {
  readonly #newest = new Map<string, TelemetryRecord>();
  #read = 0;

  get isEmpty(): boolean {
    return this.#newest.size === 0;
  }

  get isFull(): boolean {
    return this.#newest.size >= WAITING_MAX;
  }

  /** Of the records of an entity with the same keys only the newest can matter, the later of equals. */
  note(record: TelemetryRecord): void {
    const place = `${record.entityId} ${record.keySet}`;
    const before = this.#newest.get(place);
    if (before !== undefined && before.tsMs > record.tsMs) return;
    this.#newest.delete(place);
    this.#newest.set(place, record);
  }

  /** Records that were read from the outbox. */
  noteColumns(columns: TelemetryColumns): void {
    const lines = columns.values.split("\n");
    for (const [position, tsMs] of columns.tsMs.entries()) {
      const entityId = columns.entityIds[columns.entityIndex[position] ?? -1];
      const values = lines[position] as CanonicalJson | undefined; // encoded from records
      if (entityId === undefined || values === undefined) continue;
      // Numbers of key sets hold within their own batch only: every record counts by itself.
      this.#read += 1;
      this.note({ entityId, tsMs, values, keySet: `read ${this.#read}` });
    }
  }

  /** What waits of these entities, oldest first. */
  of(ids: ReadonlySet<Uuid>): readonly TelemetryRecord[] {
    return [...this.#newest.values()].filter(({ entityId }) => ids.has(entityId));
  }

  get size(): number {
    return this.#newest.size;
  }

  /** Those that wait longest, and how to forget them once they are written: newer ones that came meanwhile stay, behind all others. */
  take(recordsMax: number): { readonly columns: TelemetryColumns; readonly forget: () => void } {
    const taken = [...this.#newest.entries().take(recordsMax)];
    const builder = new TelemetryColumnsBuilder();
    for (const [, record] of taken) builder.add(record);
    return {
      columns: builder.build(),
      forget: () => {
        for (const [place, record] of taken) {
          if (this.#newest.get(place) === record) this.#newest.delete(place);
        }
      },
    };
  }
}
