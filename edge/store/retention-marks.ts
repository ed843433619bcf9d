import type { Clock } from "../../shared/core/clock.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";

// Age without a wall clock: now and then a mark is set that says how far everything is after so many ms of running. What lies below an
// old mark is old. A clock that stands at 1970 or jumps ten years ahead changes nothing in it; time switched off does not count.

export interface RetentionMark {
  /** Time that the edge has run in all. */
  readonly ranMs: number;
  /** The sequence that the next item of each lane got. */
  readonly nextSeq: Readonly<Record<UplinkLane, number>>;
  /** Bytes per partition of telemetry. */
  readonly history: Readonly<Record<string, number>>;
}

export interface RetentionMarks {
  set(mark: Omit<RetentionMark, "ranMs">): Promise<void>;
  /** The newest one that was set at least `ageMs` of running ago; null: the edge has not run for so long. */
  before(ageMs: number): Promise<RetentionMark | null>;
}

/** Of this time one mark is kept, once a newer one is there. */
const KEPT_EVERY_MS = 6 * 3_600_000;

export function createRetentionMarks(sql: Sql, clock: Pick<Clock, "monotonicMs">, keptMs: number): RetentionMarks {
  const startedMs = clock.monotonicMs();
  /** Null: not read yet. The database may be away when the edge is ready. */
  let ranBeforeMs: number | null = null;
  /** Time that the edge has run in all, since its database was made. */
  const readRanMs = async (): Promise<number> => {
    if (ranBeforeMs === null) {
      const [newest] = await sql<{ ran: number }[]>`select max(ran_ms) as ran from retention_mark`;
      ranBeforeMs = newest?.ran ?? 0;
    }
    return Math.round(ranBeforeMs + clock.monotonicMs() - startedMs);
  };
  return {
    set: async ({ nextSeq, history }) => {
      const at = await readRanMs();
      await sql.begin(async (tx) => {
        await tx`
          insert into retention_mark (ran_ms, config_seq, telemetry_seq, history)
          values (${at}, ${nextSeq.config}, ${nextSeq.telemetry}, ${JSON.stringify(history)})
          on conflict do nothing`;
        await tx`
          delete from retention_mark as mark where ran_ms < ${at} and (ran_ms < ${at - keptMs - 2 * KEPT_EVERY_MS} or exists (
            select from retention_mark as earlier
            where earlier.ran_ms < mark.ran_ms and earlier.ran_ms / ${KEPT_EVERY_MS} = mark.ran_ms / ${KEPT_EVERY_MS}))`;
      });
    },
    before: async (ageMs) => {
      const atMs = (await readRanMs()) - ageMs;
      const [row] = await sql<{ ranMs: number; config: number; telemetry: number; history: string }[]>`
        select ran_ms as "ranMs", config_seq as config, telemetry_seq as telemetry, history::text as history
        from retention_mark where ran_ms <= ${atMs} order by ran_ms desc limit 1`;
      if (row === undefined) return null;
      const { config, telemetry } = row;
      const history = JSON.parse(row.history) as RetentionMark["history"]; // written by `set`
      return { ranMs: row.ranMs, nextSeq: { config, telemetry }, history };
    },
  };
}
