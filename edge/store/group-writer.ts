import type { Clock } from "../../shared/core/clock.ts";
import type { Deferred } from "../../shared/core/deferred.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { conflictFreeRounds, recordsOf, TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { databaseError, isDataError, sqlStateOf, UNIQUE_VIOLATION } from "../../shared/postgres/connect.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { setTelling } from "../../shared/store/notification-store.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import {
  INSERT_TELEMETRY_CTES,
  recordParameters,
  STORE_TELEMETRY_CTES,
  storeTelemetry,
} from "../../shared/store/telemetry-writer.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { NOTHING_DECIDED, type CommitRules, type Decision, type Stored } from "./commit-rules.ts";
import type { LatestWriter } from "./latest-writer.ts";
import { ensurePartitions } from "./outbox-partitions.ts";
import type { EventPlace } from "./outbox-rows.ts";
import { insertConfigEvents, telemetryEvent, WRITE_TELEMETRY_EVENT } from "./outbox-rows.ts";
import { ROW_ITEMS_MAX } from "./outbox.ts";
import type { UplinkFilter } from "./uplink-filter.ts";

// Writes a group in one transaction { what devices sent, what people did, what rules decided upon it, their cloud_event rows }.
// Invariant: nobody else writes cloud_event, so that sequence numbers are given in commit order and have no gaps. After a failure
// the numbers are read from the database again, because the outcome of the commit may be unknown.

/** Commits that expect records of a time that is there already, after one met such a record. */
const MERGING_COMMITS = 100;
/** What thinning held back, and sends beside what came, at most. */
const SIFTED_LATER_MAX = 10_000;

const INSERT_EVENT_AFTER_RECORDS = `
  insert into cloud_event (lane, first_seq, last_seq, created_ms, action, config_seq, ts_min_ms, ts_max_ms, compression, payload)
  values ('telemetry', $5, $6, $7, 'TIMESERIES_UPDATED', $8, $9, $10, $11, $12)`;
const INSERT_TELEMETRY_AND_EVENT = `with ${INSERT_TELEMETRY_CTES} ${INSERT_EVENT_AFTER_RECORDS}`;
const STORE_TELEMETRY_AND_EVENT = `with ${STORE_TELEMETRY_CTES} ${INSERT_EVENT_AFTER_RECORDS}`;

export interface EdgeOutcome<T> extends Outcome<T> {
  /** Records that are stored here already, and go to the cloud once more. @default none */
  readonly resend?: TelemetryColumns;
  /** What the cloud changed: rules look at it, and the cloud need not hear of it. @default nothing */
  readonly heard?: readonly Change[];
}

export interface Work {
  readonly perform: (tx: Queryable) => Promise<EdgeOutcome<unknown>>;
  readonly done: Deferred<unknown>;
}

/** What is written together. */
export interface WritableGroup {
  readonly submissions: readonly (readonly TelemetryRecord[])[];
  readonly works: readonly Work[];
}

export interface Committed {
  readonly changes: readonly Change[];
  readonly records: number;
}

export interface GroupWriterDeps {
  /** A pool of one connection that nobody else uses. */
  readonly sql: Sql;
  readonly db: Queryable;
  readonly blobs: Pick<BlobStore, "put">;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after each commit, outside the transaction; must not throw. */
  readonly onCommitted: (committed: Committed) => void;
  /** What decides within the commits. @default nothing */
  readonly rules?: CommitRules;
  /** Decides what of the telemetry goes to the cloud. @default all of it */
  readonly uplink?: UplinkFilter;
  /** Rules by which the edge, and not the cloud, tells of alarms that change now. @default none */
  readonly telling?: () => readonly Uuid[];
  readonly latest: Pick<LatestWriter, "note" | "readBack" | "waiting">;
}

/** Sequences that the next rows will get. */
interface LanePlaces extends Readonly<Record<UplinkLane, number>> {
  /** The last item of config that made an entity. */
  readonly made: number;
  /** Stored, and not in the outbox: what of it goes there is decided when all is stored. */
  readonly unsifted: readonly TelemetryColumns[];
  /** What thinning did about it is known: nothing of it failed. */
  readonly isSifted: boolean;
}

interface Sifted {
  readonly isSifted: boolean;
  readonly sends: readonly TelemetryRecord[];
}

export class GroupWriter {
  readonly #deps: GroupWriterDeps;
  #next: LanePlaces = { config: 1, telemetry: 1, made: 0, unsifted: [], isSifted: true };
  readonly #partitionsUpTo: Record<UplinkLane, number> = { config: 0, telemetry: 0 };
  #mergingCommits = 0;
  #sequencesKnown = false;
  #rulesMs = 0;
  #telling: readonly Uuid[] = [];

  constructor(deps: GroupWriterDeps) {
    this.#deps = deps;
  }

  nextSeq(lane: UplinkLane): number {
    return this.#next[lane];
  }

  /** How long rules took for the last commit. */
  get rulesMs(): number {
    return this.#rulesMs;
  }

  async readSequences(): Promise<void> {
    const { sql } = this.#deps;
    for (const lane of UPLINK_LANES) {
      const [row] = await sql<{ last: number }[]>`
        select greatest(
          coalesce((select last_seq from cloud_event where lane = ${lane} order by first_seq desc limit 1), 0),
          coalesce((select acked_seq from uplink_cursor where lane = ${lane}), 0)) as last`;
      this.#next = { ...this.#next, [lane]: (row?.last ?? 0) + 1 };
      await this.#ensurePartitions(lane, 0);
    }
    const [made] = await sql<{ seq: number | null }[]>`
      select max(first_seq) as seq from cloud_event where lane = 'config' and action = 'ADDED'`;
    this.#next = { ...this.#next, made: made?.seq ?? 0 };
    this.#sequencesKnown = true;
    await this.#deps.latest.readBack();
  }

  /** The next commit reads its numbers from the database. */
  forgetSequences(): void {
    this.#sequencesKnown = false;
  }

  /**
   * @returns what to do once it is on the disk and its submitters are to know
   * @throws what the database says; nothing of the group may be taken for stored then
   */
  async write(group: WritableGroup): Promise<() => void> {
    this.#rulesMs = 0;
    try {
      if (!this.#sequencesKnown) await this.readSequences();
      return await this.#writeGroup(group);
    } catch (thrown) {
      this.forgetSequences();
      throw thrown;
    }
  }

  async #writeGroup(group: WritableGroup): Promise<() => void> {
    const columns = buildColumns(group.submissions);
    await this.#ensurePartitions("telemetry", columns.tsMs.length + (this.#isThinned ? SIFTED_LATER_MAX : 0));
    if (group.works.length > 0) return this.#writeWithWorks(group, { columns: [columns], decision: null });
    const decision = await this.#decide(this.#deps.db, { submissions: group.submissions, changes: [] });
    if (decision === null || isNothing(decision)) return this.#writeDecided(group, { columns: [columns], decision });
    try {
      const derived = withDerived(group.submissions, { columns, derived: decision.records });
      await this.#ensurePartitions("telemetry", columns.tsMs.length + decision.records.length);
      return await this.#writeDecided(group, { columns: derived, decision });
    } catch (thrown) {
      if (!isDataError(thrown)) throw thrown;
      this.#noteUnwritten(thrown);
      return this.#writeDecided(group, { columns: [columns], decision: NOTHING_DECIDED });
    }
  }

  /** Telemetry, and what was decided upon it before. */
  async #writeDecided(group: WritableGroup, decided: DecidedColumns): Promise<() => void> {
    const { columns, decision } = decided;
    const [only] = columns;
    const isNone = group.submissions.length === 0 && (decision === null || isNothing(decision));
    if (isNone && (!this.#isThinned || this.#deps.uplink?.passes([]) === true)) {
      decision?.committed();
      return () => undefined;
    }
    const isSimple = columns.length === 1 && only !== undefined && conflictFreeRounds(only) === null;
    const isWhole = !this.#isThinned || this.#deps.uplink?.passes(only?.entityIds ?? []) === true;
    if (!isSimple || !isWhole || decision?.isEmpty === false) return this.#writeWithWorks(group, decided);
    await this.#writeTelemetryAlone([...recordParameters(only), ...telemetryEvent(only, this.#eventPlace(this.#next))]);
    this.#next = { ...this.#next, telemetry: this.#next.telemetry + only.tsMs.length };
    decision?.committed();
    return () => {
      this.#noteLatest(group, decision?.records ?? []);
      this.#deps.onCommitted({ changes: [], records: only.tsMs.length });
    };
  }

  /** Records of a time that is there already are rare, and come in a row when a device sends again what it had sent. */
  async #writeTelemetryAlone(parameters: readonly (string | number | Uint8Array)[]): Promise<void> {
    const { sql } = this.#deps;
    if (this.#mergingCommits === 0) {
      try {
        await sql.unsafe(INSERT_TELEMETRY_AND_EVENT, [...parameters], { prepare: true });
        return;
      } catch (thrown) {
        if (sqlStateOf(thrown) !== UNIQUE_VIOLATION) throw thrown;
        this.#mergingCommits = MERGING_COMMITS;
      }
    }
    this.#mergingCommits -= 1;
    await sql.unsafe(STORE_TELEMETRY_AND_EVENT, [...parameters], { prepare: true });
  }

  /** Nobody else's writes are in the transaction: what the work throws may roll back all of it. */
  async #writeWork(work: Work): Promise<() => void> {
    const attempt: { outcome: WorkOutcome | null } = { outcome: null };
    let written: Decided = undecided(this.#next);
    try {
      await this.#deps.db.transaction(async (tx) => {
        await this.#beginTelling(tx);
        attempt.outcome = await perform(tx, work);
        if (attempt.outcome.status === "failed") throw attempt.outcome.error;
        const next = await this.#insertEvents(tx, attempt.outcome, this.#next);
        written = await this.#decideWithin(tx, { submissions: [], changes: seenByRules(attempt.outcome) }, next);
        written = await this.#sift(tx, written);
      });
    } catch (thrown) {
      const { outcome } = attempt;
      if (outcome?.status !== "failed" || outcome.error !== thrown) throw thrown;
      return () => work.done.reject(thrown);
    }
    const { outcome } = attempt;
    if (outcome?.status !== "done") throw new AppError("INTERNAL", "A commit ended before its work");
    const records = this.#moveOn(written);
    const changes = [...outcome.changes, ...written.changes];
    return () => {
      this.#deps.latest.note(written.records);
      work.done.resolve(outcome.result);
      this.#deps.onCommitted({ changes, records });
    };
  }

  /** @param decided null as decision: it is made within the transaction, upon what the works did too */
  async #writeWithWorks(group: WritableGroup, { columns, decision }: DecidedColumns): Promise<() => void> {
    const results: (() => void)[] = [];
    const changes: Change[] = [];
    let written: Decided = undecided(this.#next);
    const came = group.submissions.reduce((sum, { length }) => sum + length, 0);
    await this.#ensurePartitions("config", group.works.length + (decision === null ? 0 : came + 1));
    const [work] = group.works;
    if (work !== undefined && group.works.length === 1 && came === 0) return this.#writeWork(work);
    await this.#deps.db.transaction(async (tx) => {
      await this.#beginTelling(tx);
      let next: LanePlaces = this.#next;
      const seen: Change[] = [];
      for (const work of group.works) {
        const outcome = await performInSavepoint(tx, work);
        if (outcome.status === "failed") {
          results.push(() => work.done.reject(outcome.error));
          continue;
        }
        next = await this.#insertEvents(tx, outcome, next);
        changes.push(...outcome.changes);
        seen.push(...seenByRules(outcome));
        results.push(() => work.done.resolve(outcome.result));
      }
      const storing = this.#storeParts(tx, columns, next);
      for (const part of columns) next = this.#behind(part, next);
      if (decision === null) {
        await storing;
        written = await this.#decideWithin(tx, { submissions: group.submissions, changes: seen }, next);
      } else {
        // Neither needs what the other writes: their statements are on their way together.
        [written] = await Promise.all([this.#writeDecision(tx, decision, next), storing]);
      }
      written = await this.#sift(tx, written);
    });
    changes.push(...written.changes);
    const records = this.#moveOn(written);
    return () => {
      this.#noteLatest(group, written.records);
      for (const settle of results) settle();
      this.#deps.onCommitted({ changes, records });
    };
  }

  /** @returns how many records went to the outbox */
  #moveOn({ decision, next }: Decided): number {
    const records = next.telemetry - this.#next.telemetry;
    this.#next = { ...next, isSifted: true };
    decision?.committed();
    if (next.isSifted) this.#deps.uplink?.committed();
    return records;
  }

  #noteLatest({ submissions }: WritableGroup, derived: readonly TelemetryRecord[]): void {
    const { latest } = this.#deps;
    for (const submission of submissions) latest.note(submission);
    latest.note(derived);
  }

  /** null: there are no rules. */
  #decide(db: Queryable, { changes, submissions }: DecidedUpon): Promise<Decision> | null {
    const { latest, rules } = this.#deps;
    if (rules === undefined || rules.isIdle) return null;
    const stored = { records: submissions.flat(), changes, unsettled: (ids: ReadonlySet<Uuid>) => latest.waiting(ids) };
    return this.#timed(() => rules.decide(db, stored));
  }

  async #timed<T>(work: () => Promise<T>): Promise<T> {
    const { clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    try {
      return await work();
    } finally {
      this.#rulesMs += clock.monotonicMs() - startedMs;
    }
  }

  /** As `#decide`, beside the works of people: what can't be written of it is left out. */
  async #decideWithin(tx: Queryable, stored: DecidedUpon, next: LanePlaces): Promise<Decided> {
    const decision = await this.#decide(tx, stored);
    if (decision === null || isNothing(decision)) return { ...undecided(next), decision };
    try {
      return await tx.transaction(async (inner) =>
        this.#writeDecision(inner, decision, await this.#storeRecords(inner, decision.records, next)),
      );
    } catch (thrown) {
      if (!isDataError(thrown)) throw thrown;
      this.#noteUnwritten(thrown);
      return undecided(next);
    }
  }

  /** What rules decided, its records aside, with its outbox rows. */
  async #writeDecision(tx: Queryable, decision: Decision, next: LanePlaces): Promise<Decided> {
    if (decision.isEmpty) return { ...undecided(next), decision, records: decision.records };
    const { changes, records } = await this.#timed(() => decision.write(tx, []));
    const behind = await this.#insertEvents(tx, { changes }, next);
    return {
      decision,
      changes,
      records: [...decision.records, ...records],
      next: await this.#storeRecords(tx, records, behind),
    };
  }

  /** Rules must not keep what devices send from the disk. */
  #noteUnwritten(thrown: unknown): void {
    this.#deps.log.error("What rules decided could not be written, and was left out", { error: databaseError(thrown) });
  }

  async #storeRecords(tx: Queryable, records: readonly TelemetryRecord[], next: LanePlaces): Promise<LanePlaces> {
    const parts = Array.from(inRows(records), (part) => buildColumns([part]));
    await this.#storeParts(tx, parts, next);
    return parts.reduce((behind, part) => this.#behind(part, behind), next);
  }

  async #storeParts(tx: Queryable, parts: readonly TelemetryColumns[], next: LanePlaces): Promise<void> {
    let place = next;
    for (const part of parts) {
      await this.#storeTelemetry(tx, part, place);
      place = this.#behind(part, place);
    }
  }

  /** The places of what comes after these records. */
  #behind(columns: TelemetryColumns, next: LanePlaces): LanePlaces {
    if (columns.tsMs.length === 0) return next;
    return this.#isThinned
      ? { ...next, unsifted: [...next.unsifted, columns] }
      : { ...next, telemetry: next.telemetry + columns.tsMs.length };
  }

  async #storeTelemetry(tx: Queryable, columns: TelemetryColumns, next: LanePlaces): Promise<void> {
    if (columns.tsMs.length === 0) return;
    const run = runStatementIn(tx);
    if (this.#isThinned) return storeTelemetry(run, columns);
    const event = telemetryEvent(columns, this.#eventPlace(next));
    if (conflictFreeRounds(columns) === null) {
      await run(STORE_TELEMETRY_AND_EVENT, [...recordParameters(columns), ...event]);
    } else {
      await storeTelemetry(run, columns);
      await run(WRITE_TELEMETRY_EVENT, event);
    }
  }

  get #isThinned(): boolean {
    return this.#deps.uplink?.isIdle === false;
  }

  /** The last step of a commit: outbox rows of what goes to the cloud now. */
  async #sift(tx: Queryable, written: Decided): Promise<Decided> {
    const { uplink } = this.#deps;
    const { unsifted } = written.next;
    if (uplink === undefined || (unsifted.length === 0 && !this.#isThinned)) return written;
    const stored = unsifted.flatMap((columns, index) => recordsOf(columns, String(index)));
    const { isSifted, sends } = await this.#orAll(stored, uplink.sift(tx, stored));
    let next: LanePlaces = { ...written.next, isSifted, unsifted: [] };
    for (const part of inRows(sends)) {
      const event = telemetryEvent(buildColumns([part]), this.#eventPlace(next));
      await runStatementIn(tx)(WRITE_TELEMETRY_EVENT, event);
      next = { ...next, telemetry: next.telemetry + part.length };
    }
    return { ...written, next };
  }

  /** What thins must not keep what devices send from the disk. What the database says ends the transaction in any case. */
  async #orAll(stored: readonly TelemetryRecord[], sifting: Promise<readonly TelemetryRecord[]>): Promise<Sifted> {
    try {
      return { isSifted: true, sends: await sifting };
    } catch (thrown) {
      const error = databaseError(thrown);
      if (error.code === "DATABASE_UNAVAILABLE" || sqlStateOf(thrown) !== undefined) throw thrown;
      this.#deps.log.error("Thinning failed: all telemetry of this commit is sent", { error });
      return { isSifted: false, sends: stored };
    }
  }

  /** The outbox rows of a work. @returns the sequences behind them */
  async #insertEvents(
    tx: Queryable,
    { changes, resend }: Pick<EdgeOutcome<unknown>, "changes" | "resend">,
    next: LanePlaces,
  ): Promise<LanePlaces> {
    const written = await insertConfigEvents(tx, this.#deps, {
      changes,
      firstSeq: next.config,
      toldByRules: this.#telling,
    });
    const behind: LanePlaces = { ...next, config: written.nextSeq, made: written.madeSeq ?? next.made };
    if (resend === undefined || resend.tsMs.length === 0) return behind;
    await runStatementIn(tx)(WRITE_TELEMETRY_EVENT, telemetryEvent(resend, this.#eventPlace(behind)));
    return { ...behind, telemetry: next.telemetry + resend.tsMs.length };
  }

  /** Who tells of alarms that change in this transaction. */
  async #beginTelling(tx: Queryable): Promise<void> {
    this.#telling = this.#deps.telling?.() ?? [];
    if (this.#telling.length > 0) await setTelling(tx, this.#telling);
  }

  #eventPlace(next: LanePlaces): EventPlace {
    return { firstSeq: next.telemetry, configSeq: next.made, nowMs: this.#deps.clock.nowMs() };
  }

  async #ensurePartitions(lane: UplinkLane, items: number): Promise<void> {
    // A work may write more than one item; the partition after the next is far away in any case.
    if (this.#next[lane] + items * 8 < this.#partitionsUpTo[lane]) return;
    this.#partitionsUpTo[lane] = await ensurePartitions(this.#deps.sql, lane, this.#next[lane], items * 8);
  }
}

interface DecidedColumns {
  /** What is stored, an outbox row each. */
  readonly columns: readonly TelemetryColumns[];
  readonly decision: Decision | null;
}

type DecidedUpon = Pick<WritableGroup, "submissions"> & Pick<Stored, "changes">;

interface Decided {
  readonly decision: Decision | null;
  readonly changes: readonly Change[];
  /** Derived by rules, and stored. */
  readonly records: readonly TelemetryRecord[];
  /** The sequences behind its outbox rows. */
  readonly next: LanePlaces;
}

function undecided(next: LanePlaces): Decided {
  return { decision: null, changes: [], records: [], next };
}

function isNothing({ isEmpty, records }: Decision): boolean {
  return isEmpty && records.length === 0;
}

/** Also what the cloud need not hear of. */
function seenByRules({ changes, heard = [] }: Pick<EdgeOutcome<unknown>, "changes" | "heard">): readonly Change[] {
  return heard.length === 0 ? changes : [...heard, ...changes];
}

/** In one row where it fits: what was derived comes after what it was derived from. */
function withDerived(
  submissions: WritableGroup["submissions"],
  { columns, derived }: { readonly columns: TelemetryColumns; readonly derived: readonly TelemetryRecord[] },
): readonly TelemetryColumns[] {
  if (derived.length === 0) return [columns];
  if (columns.tsMs.length + derived.length <= ROW_ITEMS_MAX) return [buildColumns([...submissions, derived])];
  return [columns, ...inRows(derived).map((part) => buildColumns([part]))];
}

function inRows(records: readonly TelemetryRecord[]): readonly (readonly TelemetryRecord[])[] {
  const rows: (readonly TelemetryRecord[])[] = [];
  for (let start = 0; start < records.length; start += ROW_ITEMS_MAX)
    rows.push(records.slice(start, start + ROW_ITEMS_MAX));
  return rows;
}

function buildColumns(submissions: WritableGroup["submissions"]): TelemetryColumns {
  const builder = new TelemetryColumnsBuilder();
  for (const submission of submissions) {
    for (const record of submission) builder.add(record);
  }
  return builder.build();
}

type WorkOutcome =
  | ({ readonly status: "done" } & EdgeOutcome<unknown>)
  | { readonly status: "failed"; readonly error: unknown };

/** What a work throws rolls back its own writes only. */
function performInSavepoint(tx: Queryable, work: Work): Promise<WorkOutcome> {
  return perform(tx, { perform: (outer) => outer.transaction((inner) => work.perform(inner)) });
}

/** A broken connection breaks the whole group. */
async function perform(tx: Queryable, work: Pick<Work, "perform">): Promise<WorkOutcome> {
  try {
    return { status: "done", ...(await work.perform(tx)) };
  } catch (error) {
    if (databaseError(error).code === "DATABASE_UNAVAILABLE") throw error;
    return { status: "failed", error };
  }
}
