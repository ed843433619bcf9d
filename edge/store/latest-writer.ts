import type { Clock } from "../../shared/core/clock.ts";
import type { Deferred } from "../../shared/core/deferred.ts";
import { createDeferred } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import { writeLatest } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { tryDecode } from "../../shared/wire/try-decode.ts";
import { LatestValues } from "./latest-values.ts";
import { createOutbox, ROW_ITEMS_MAX } from "./outbox.ts";
import { readThinnedValues } from "./thinning-store.ts";

/** How long the newest values of keys are gathered. */
const WITHIN_MS = 1_000;
const READ_BYTES_MAX = 1_048_576;
/** Written at once: some ms, for which commits wait. */
const PART_RECORDS = 128;

/** The rows of the telemetry lane whose newest values are in telemetry_latest; beside the cursors of the lanes. */
const MOVE_CURSOR = `
  insert into uplink_cursor (lane, acked_seq) values ('latest', $1)
  on conflict (lane) do update set acked_seq = greatest(uplink_cursor.acked_seq, excluded.acked_seq)`;

export interface LatestWriterDeps {
  readonly sql: Sql;
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  /** `writePart` is to be called soon, until nothing is due; must not throw. */
  readonly onDue: () => void;
}

/** What waited when it began, written part by part. */
interface Round {
  readonly upToSeq: number;
  readonly due: Deferred<void> | null;
  left: number;
}

/** Brings the newest values of what was committed to telemetry_latest, between the commits, by the writer of the edge. */
export class LatestWriter {
  readonly #deps: LatestWriterDeps;
  readonly #values = new LatestValues();
  #due: Deferred<void> | null = null;
  #round: Round | null = null;

  constructor(deps: LatestWriterDeps) {
    this.#deps = deps;
  }

  get isEmpty(): boolean {
    return this.#values.isEmpty;
  }

  /** A part was written, and there are more of what waited then. */
  get isWriting(): boolean {
    return this.#round !== null;
  }

  get isDue(): boolean {
    return this.#round !== null || this.#due !== null || this.#values.isFull;
  }

  /** Newest values of these entities that can't be read yet. */
  waiting(ids: ReadonlySet<Uuid>): readonly TelemetryRecord[] {
    return this.#values.isEmpty ? [] : this.#values.of(ids);
  }

  /** These records are committed. */
  note(records: readonly TelemetryRecord[]): void {
    if (this.#values.isEmpty && records.length > 0) void this.#settleSoon();
    for (const record of records) this.#values.note(record);
  }

  /** Resolves when the newest values of all that was noted can be read. */
  settle(): Promise<void> {
    if (this.#values.isEmpty) return Promise.resolve();
    this.#due ??= createDeferred<void>();
    this.#deps.onDue();
    return this.#due.promise;
  }

  /**
   * A part of what waits, without its own fsync: what a crash takes is read from the outbox again.
   *
   * @param upToSeq the last sequence of telemetry that was noted
   * @returns whether it was written; if not, `readBack` has to be called
   */
  async writePart(upToSeq: number): Promise<boolean> {
    const round = (this.#round ??= this.#beginRound(upToSeq));
    const records = Math.min(round.left, PART_RECORDS);
    const { columns, forget } = this.#values.take(records);
    const isLast = records === round.left;
    try {
      await this.#deps.db.transaction(async (tx) => {
        const run = runStatementIn(tx);
        await run("set local synchronous_commit = off", []);
        if (records > 0) await writeLatest(run, columns);
        // What a newer one has taken the place of meanwhile comes after it in the outbox.
        if (isLast) await run(MOVE_CURSOR, [round.upToSeq]);
      });
    } catch (thrown) {
      this.#endRound(round);
      this.#deps.log.warn("Newest values were not stored; they are read from the outbox", {
        error: databaseError(thrown),
      });
      return false;
    }
    forget();
    round.left -= records;
    if (isLast) this.#endRound(round);
    return true;
  }

  /** Until nothing waits that did when it began. @returns as `writePart` */
  async writeAll(upToSeq: number): Promise<boolean> {
    do {
      if (!(await this.writePart(upToSeq))) return false;
    } while (this.#round !== null);
    return true;
  }

  #beginRound(upToSeq: number): Round {
    const round = { upToSeq, due: this.#due, left: this.#values.size };
    this.#due = null;
    return round;
  }

  #endRound({ due }: Round): void {
    this.#round = null;
    due?.resolve();
  }

  /** Takes up the newest values of what was committed, but is not in telemetry_latest yet. */
  async readBack(): Promise<void> {
    const { sql } = this.#deps;
    const [cursor] = await sql<{ seq: number }[]>`select acked_seq as seq from uplink_cursor where lane = 'latest'`;
    const outbox = createOutbox(sql);
    let afterSeq = cursor?.seq ?? 0;
    for (;;) {
      const { batches } = await outbox.read("telemetry", {
        afterSeq,
        upToSeq: SEQ_MAX,
        bytesMax: READ_BYTES_MAX,
        itemsMax: ROW_ITEMS_MAX,
        frameBytesMax: Infinity,
      });
      const last = batches.at(-1);
      if (last === undefined) break;
      for (const batch of batches) {
        const columns = tryDecode(() => decodeTelemetry(decompress(batch), batch.count));
        if (columns.isReadable) this.#values.noteColumns(columns.content);
      }
      afterSeq = lastSeqOf(last);
      if (this.#values.isFull) await this.writeAll(afterSeq);
    }
    // What thinning keeps from the cloud is not in the outbox.
    for await (const values of readThinnedValues(sql)) {
      for (const value of values) this.#values.note(value);
      if (this.#values.isFull) await this.writeAll(afterSeq);
    }
    if (!this.#values.isEmpty) void this.#settleSoon();
  }

  async #settleSoon(): Promise<void> {
    await this.#deps.clock.sleep(WITHIN_MS);
    await this.settle();
  }
}
