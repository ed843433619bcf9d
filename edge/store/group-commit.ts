import { drizzle } from "drizzle-orm/postgres-js";
import type { Clock } from "../../shared/core/clock.ts";
import { createDeferred, WakeUp } from "../../shared/core/deferred.ts";
import type { Deferred } from "../../shared/core/deferred.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { conflictFreeRounds, TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { databaseError, isDataError, sqlStateOf, UNIQUE_VIOLATION } from "../../shared/postgres/connect.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import {
  INSERT_TELEMETRY_CTES,
  recordParameters,
  STORE_TELEMETRY_CTES,
  storeTelemetry,
} from "../../shared/store/telemetry-writer.ts";
import type { Outcome, Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { CommitPace } from "./commit-pace.ts";
import { NOTHING_DECIDED, type CommitRules, type Decision, type Stored } from "./commit-rules.ts";
import { LatestWriter } from "./latest-writer.ts";
import { ensurePartitions } from "./outbox-partitions.ts";
import type { EventPlace } from "./outbox-rows.ts";
import { insertConfigEvents, telemetryEvent, WRITE_TELEMETRY_EVENT } from "./outbox-rows.ts";
import { ROW_ITEMS_MAX } from "./outbox.ts";

// The one writer of the edge. Whatever devices and people change is collected while the commit before is on its way to the
// disk, then written in one transaction together with its cloud_event rows: one fsync for all who wait. Since nobody else
// writes cloud_event, sequence numbers are given in commit order and have no gaps.
//
// Modes of a group: filling -> committing -> done. One group commits at a time; the others wait in order.
// After a failure the numbers are read from the database again, because the outcome of the commit may be unknown.

/** Records in one transaction, beyond the first submission. Bounded by ROW_ITEMS_MAX. */
const GROUP_RECORDS_MAX = 10_000;
/** Records that may wait; beyond it submissions are refused with TOO_MANY_REQUESTS, and devices try again. */
const WAITING_RECORDS_MAX = 200_000;
const WORKS_WAITING_MAX = 10_000;
/** Commits that expect records of a time that is there already, after one met such a record. */
const MERGING_COMMITS = 100;
/** How long a commit waits for who was just answered, at most; and as a part of the time that the last commit took. */
const GATHER_MAX_MS = 0.5;
const GATHER_SHARE = 0.5;
/** Commits for so many are worth their time as they are. */
const FULL_SUBMISSIONS = 64;

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

export interface GroupCommit extends UnitOfWork {
  run<T>(work: (tx: Queryable) => Promise<EdgeOutcome<T>>): Promise<T>;
  /** Resolves when the records and their outbox row are on disk. */
  saveTelemetry(records: readonly TelemetryRecord[]): Promise<void>;
  /** Resolves when the newest values of all that was committed can be read. */
  settleLatest(): Promise<void>;
  /** Sequences that the next rows will get. */
  nextSeq(lane: UplinkLane): number;
  /** The loop; resolves when `signal` aborts, after the group at work. */
  runLoop(signal: AbortSignal): Promise<void>;
}

export interface GroupCommitDeps {
  /** A pool of one connection that nobody else uses. */
  readonly sql: Sql;
  readonly blobs: Pick<BlobStore, "put">;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after each commit, outside the transaction; must not throw. */
  readonly onCommitted: (committed: Committed) => void;
  /** A commit failed because of the database; must not throw. */
  readonly onFailed?: (error: AppError) => void;
  /** What decides within the commits. @default nothing */
  readonly rules?: CommitRules;
  /** Why no telemetry is taken now; null: it is. */
  readonly refusal?: () => AppError | null;
}

export interface Committed {
  readonly changes: readonly Change[];
  readonly records: number;
}

/** Sequences that the next rows will get. */
interface LanePlaces extends Readonly<Record<UplinkLane, number>> {
  /** The last item of config that made an entity. */
  readonly made: number;
}

interface Work {
  readonly perform: (tx: Queryable) => Promise<EdgeOutcome<unknown>>;
  readonly done: Deferred<unknown>;
}

interface Group {
  readonly submissions: (readonly TelemetryRecord[])[];
  readonly works: Work[];
  records: number;
  /** Rules may do something by it for which somebody waits. */
  isUrgent: boolean;
  /** Shared by all who submitted telemetry. */
  readonly done: Deferred<void>;
}

export async function createGroupCommit(deps: GroupCommitDeps): Promise<GroupCommit> {
  const writer = new GroupWriter(deps);
  await writer.readSequences();
  return writer;
}

class GroupWriter implements GroupCommit {
  readonly #deps: GroupCommitDeps;
  readonly #db: Queryable;
  readonly #wakeUp = new WakeUp();
  #next: LanePlaces = { config: 1, telemetry: 1, made: 0 };
  readonly #partitionsUpTo: Record<UplinkLane, number> = { config: 0, telemetry: 0 };
  readonly #queue: Group[] = [];
  readonly #latest: LatestWriter;
  readonly #pace = new CommitPace();
  /** Ends the wait of the next commit for others. */
  #hurry: AbortController | null = null;
  /** Tells the submitters of the group that was committed last. */
  #answer: (() => void) | null = null;
  #mergingCommits = 0;
  /** `expected`: who was answered after it, and may send again, and who waited behind it. */
  #lastCommit = { expected: 0, tookMs: 0 };
  #waitingRecords = 0;
  #waitingWorks = 0;
  #sequencesKnown = false;
  #stopped = false;

  constructor(deps: GroupCommitDeps) {
    this.#deps = deps;
    this.#db = drizzle(deps.sql);
    this.#latest = new LatestWriter({ ...deps, db: this.#db, onDue: () => this.#wakeUp.signal() });
  }

  nextSeq(lane: UplinkLane): number {
    return this.#next[lane];
  }

  saveTelemetry(records: readonly TelemetryRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    const refusal = this.#deps.refusal?.() ?? null;
    if (refusal !== null) return Promise.reject(refusal);
    if (records.length > ROW_ITEMS_MAX) return this.#saveInParts(records);
    if (this.#stopped || this.#waitingRecords + records.length > WAITING_RECORDS_MAX)
      return Promise.reject(this.#refusal());
    const group = this.#fillingGroup(records.length);
    group.submissions.push(records);
    group.records += records.length;
    this.#waitingRecords += records.length;
    this.#pace.arrived(this.#deps.clock.monotonicMs());
    if (this.#mayWait && !group.isUrgent) group.isUrgent = this.#isUrgent(records);
    if (this.#queue.length > 1 || isFull(group)) this.#hurry?.abort();
    this.#wakeUp.signal();
    return group.done.promise;
  }

  run<T>(work: (tx: Queryable) => Promise<EdgeOutcome<T>>): Promise<T> {
    if (this.#stopped || this.#waitingWorks >= WORKS_WAITING_MAX) return Promise.reject(this.#refusal());
    const done = createDeferred<unknown>();
    this.#fillingGroup(0).works.push({ perform: work, done });
    this.#waitingWorks += 1;
    this.#hurry?.abort();
    this.#wakeUp.signal();
    return done.promise as Promise<T>; // resolved with what `work` returned
  }

  async runLoop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#latest.isDue) {
        this.#answerCommitted();
        await this.#noteWritten(this.#latest.writePart(this.#next.telemetry - 1));
      }
      if (this.#queue.length === 0) this.#answerCommitted();
      if (this.#queue.length === 0) {
        if (!this.#latest.isWriting) await this.#wakeUp.wait(signal).catch(() => undefined);
        continue;
      }
      await this.#gather();
      await this.#keepDistance();
      const group = this.#queue.shift();
      if (group === undefined) continue;
      const startedMs = this.#deps.clock.monotonicMs();
      this.#pace.started(startedMs);
      const committing = this.#commit(group);
      this.#answerCommitted();
      await committing;
      this.#lastCommit = {
        expected: countOf(group) + countOf(this.#queue[0]),
        tookMs: this.#deps.clock.monotonicMs() - startedMs,
      };
      this.#waitingRecords -= group.records;
      this.#waitingWorks -= group.works.length;
    }
    this.#answerCommitted();
    if (!this.#latest.isEmpty) await this.#noteWritten(this.#latest.writeAll(this.#next.telemetry - 1));
    this.#stopped = true;
    for (const group of this.#queue.splice(0)) rejectGroup(group, this.#refusal());
  }

  /**
   * Devices that wait for an answer send the next message right after it. Without a moment of patience the first of them gets a
   * commit of its own, for which all others wait.
   */
  async #gather(): Promise<void> {
    const { clock } = this.#deps;
    const { expected, tookMs } = this.#lastCommit;
    const isSmall = (): boolean => this.#queue.length === 1 && countOf(this.#queue[0]) < expected;
    if (expected > FULL_SUBMISSIONS || !isSmall()) return;
    this.#answerCommitted();
    const untilMs = clock.monotonicMs() + Math.min(GATHER_MAX_MS, tookMs * GATHER_SHARE);
    while (isSmall() && clock.monotonicMs() < untilMs) await clock.yield();
  }

  /** Waits for who comes by himself, so that the log is written less often. Changes of people and rules don't wait. */
  async #keepDistance(): Promise<void> {
    const { clock } = this.#deps;
    if (this.#queue.length !== 1 || isFull(this.#queue[0])) return;
    const waitMs = this.#pace.waitMs(clock.monotonicMs());
    if (waitMs === 0) return;
    this.#answerCommitted();
    const hurry = new AbortController();
    this.#hurry = hurry;
    // Aborted: there is enough to commit.
    await clock.sleep(waitMs, hurry.signal).catch(() => undefined);
    this.#hurry = null;
  }

  /** Whether the next commit waits for others, or would. */
  get #mayWait(): boolean {
    return this.#pace.isSpaced || this.#hurry !== null;
  }

  #isUrgent(records: readonly TelemetryRecord[]): boolean {
    const { rules } = this.#deps;
    return rules !== undefined && !rules.isIdle && rules.isUrgent(records);
  }

  /** Answers those whose group is on the disk: while the next one is on its way there, if there is one. */
  #answerCommitted(): void {
    const answer = this.#answer;
    if (answer === null) return;
    this.#answer = null;
    answer();
    this.#pace.answered(this.#deps.clock.monotonicMs());
  }

  settleLatest(): Promise<void> {
    return this.#stopped ? Promise.resolve() : this.#latest.settle();
  }

  async #noteWritten(latest: Promise<boolean>): Promise<void> {
    if (!(await latest)) this.#sequencesKnown = false;
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
    await this.#latest.readBack();
  }

  async #saveInParts(records: readonly TelemetryRecord[]): Promise<void> {
    for (let start = 0; start < records.length; start += ROW_ITEMS_MAX) {
      await this.saveTelemetry(records.slice(start, start + ROW_ITEMS_MAX));
    }
  }

  #fillingGroup(records: number): Group {
    const newest = this.#queue.at(-1);
    if (newest !== undefined && (newest.records === 0 || newest.records + records <= GROUP_RECORDS_MAX)) return newest;
    const group: Group = { submissions: [], works: [], records: 0, isUrgent: false, done: createDeferred<void>() };
    // Who submits waits for it; a group without telemetry has nobody, and a rejection must not count as unhandled.
    group.done.promise.catch(() => undefined);
    this.#queue.push(group);
    return group;
  }

  async #commit(group: Group): Promise<void> {
    try {
      if (!this.#sequencesKnown) await this.readSequences();
      const answer = await this.#write(group);
      this.#answer = () => {
        answer();
        group.done.resolve();
      };
    } catch (thrown) {
      this.#sequencesKnown = false;
      const error = databaseError(thrown);
      if (group.submissions.length > 1 && isDataError(thrown)) {
        await this.#commitApart(group);
        return;
      }
      this.#deps.log.warn("Commit failed", { error, records: group.records, works: group.works.length });
      rejectGroup(group, error);
      this.#deps.onFailed?.(error);
      if (!isDataError(thrown)) this.#rejectWaiting(error);
    }
  }

  /** Who waits behind a commit that failed may be who was refused: stored now, it would come before what is sent again. */
  #rejectWaiting(error: AppError): void {
    for (const group of this.#queue.splice(0)) {
      this.#waitingRecords -= group.records;
      this.#waitingWorks -= group.works.length;
      rejectGroup(group, error);
    }
  }

  /** One submission holds what the database refuses: find it, so that the others don't suffer. */
  async #commitApart(group: Group): Promise<void> {
    const results: Promise<void>[] = [];
    for (const [index, submission] of group.submissions.entries()) {
      const works = index === 0 ? group.works : [];
      const alone: Group = {
        submissions: [submission],
        works,
        records: submission.length,
        isUrgent: true,
        done: createDeferred<void>(),
      };
      results.push(alone.done.promise);
      alone.done.promise.catch(() => undefined);
      await this.#commit(alone);
      this.#answerCommitted();
    }
    const settled = await Promise.allSettled(results);
    const failed = settled.find((result) => result.status === "rejected");
    if (failed === undefined) group.done.resolve();
    else group.done.reject(failed.reason);
  }

  /** @returns what to do once it is committed */
  async #write(group: Group): Promise<() => void> {
    const columns = buildColumns(group);
    await this.#ensurePartitions("telemetry", columns.tsMs.length);
    const isTelemetry = group.works.length === 0;
    const decision = isTelemetry ? await this.#decide(this.#db, { submissions: group.submissions, changes: [] }) : null;
    const isSimple = isTelemetry && decision?.isEmpty !== false && conflictFreeRounds(columns) === null;
    if (isSimple) {
      await this.#writeTelemetryAlone([
        ...recordParameters(columns),
        ...telemetryEvent(columns, this.#eventPlace(this.#next)),
      ]);
      this.#next = { ...this.#next, telemetry: this.#next.telemetry + columns.tsMs.length };
      decision?.committed();
      return () => {
        for (const submission of group.submissions) this.#latest.note(submission);
        this.#deps.onCommitted({ changes: [], records: group.records });
      };
    }
    if (decision === null || decision.isEmpty) return this.#writeWithWorks(group, { columns, decision });
    try {
      return await this.#writeWithWorks(group, { columns, decision });
    } catch (thrown) {
      if (!isDataError(thrown)) throw thrown;
      this.#noteUnwritten(thrown);
      return this.#writeWithWorks(group, { columns, decision: NOTHING_DECIDED });
    }
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
    let written: Decided = { ...UNDECIDED, next: this.#next };
    try {
      await this.#db.transaction(async (tx) => {
        attempt.outcome = await perform(tx, work);
        if (attempt.outcome.status === "failed") throw attempt.outcome.error;
        const next = await this.#insertEvents(tx, attempt.outcome, this.#next);
        written = await this.#decideWithin(tx, { submissions: [], changes: seenByRules(attempt.outcome) }, next);
      });
    } catch (thrown) {
      const { outcome } = attempt;
      if (outcome?.status !== "failed" || outcome.error !== thrown) throw thrown;
      return () => work.done.reject(thrown);
    }
    const resent = written.next.telemetry - this.#next.telemetry;
    this.#next = written.next;
    const { outcome } = attempt;
    if (outcome?.status !== "done") throw new AppError("INTERNAL", "A commit ended before its work");
    written.decision?.committed();
    const changes = [...outcome.changes, ...written.changes];
    return () => {
      work.done.resolve(outcome.result);
      this.#deps.onCommitted({ changes, records: resent });
    };
  }

  async #writeWithWorks(
    group: Group,
    { columns, decision }: { readonly columns: TelemetryColumns; readonly decision: Decision | null },
  ): Promise<() => void> {
    const results: (() => void)[] = [];
    const changes: Change[] = [];
    let written: Decided = { ...UNDECIDED, next: this.#next };
    await this.#ensurePartitions("config", group.works.length + (decision === null ? 0 : columns.tsMs.length));
    const [work] = group.works;
    if (work !== undefined && group.works.length === 1 && columns.tsMs.length === 0) return this.#writeWork(work);
    await this.#db.transaction(async (tx) => {
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
      next = await this.#storeTelemetry(tx, columns, next);
      if (decision !== null) written = await this.#writeDecision(tx, decision, next);
      else written = await this.#decideWithin(tx, { submissions: group.submissions, changes: seen }, next);
    });
    changes.push(...written.changes);
    const records = written.next.telemetry - this.#next.telemetry;
    this.#next = written.next;
    written.decision?.committed();
    return () => {
      for (const submission of group.submissions) this.#latest.note(submission);
      for (const settle of results) settle();
      this.#deps.onCommitted({ changes, records });
    };
  }

  /** null: there are no rules. */
  #decide(db: Queryable, { changes, submissions }: DecidedUpon): Promise<Decision> | null {
    const { rules } = this.#deps;
    if (rules === undefined || rules.isIdle) return null;
    return rules.decide(db, { records: submissions.flat(), changes, unsettled: (ids) => this.#latest.waiting(ids) });
  }

  /** As `#decide`, beside the works of people: what can't be written of it is left out. */
  async #decideWithin(tx: Queryable, stored: DecidedUpon, next: LanePlaces): Promise<Decided> {
    const decision = await this.#decide(tx, stored);
    if (decision === null || decision.isEmpty) return { decision, changes: [], next };
    try {
      return await tx.transaction((inner) => this.#writeDecision(inner, decision, next));
    } catch (thrown) {
      if (!isDataError(thrown)) throw thrown;
      this.#noteUnwritten(thrown);
      return { decision: null, changes: [], next };
    }
  }

  /** What rules decided, with its outbox rows. */
  async #writeDecision(tx: Queryable, decision: Decision, next: LanePlaces): Promise<Decided> {
    if (decision.isEmpty) return { decision, changes: [], next };
    const changes = await decision.write(tx);
    return { decision, changes, next: await this.#insertEvents(tx, { changes }, next) };
  }

  /** Rules must not keep what devices send from the disk. */
  #noteUnwritten(thrown: unknown): void {
    this.#deps.log.error("What rules decided could not be written, and was left out", { error: databaseError(thrown) });
  }

  async #storeTelemetry(tx: Queryable, columns: TelemetryColumns, next: LanePlaces): Promise<LanePlaces> {
    if (columns.tsMs.length === 0) return next;
    const run = runStatementIn(tx);
    const event = telemetryEvent(columns, this.#eventPlace(next));
    if (conflictFreeRounds(columns) === null) {
      await run(STORE_TELEMETRY_AND_EVENT, [...recordParameters(columns), ...event]);
    } else {
      await storeTelemetry(run, columns);
      await run(WRITE_TELEMETRY_EVENT, event);
    }
    return { ...next, telemetry: next.telemetry + columns.tsMs.length };
  }

  /** The outbox rows of a work. @returns the sequences behind them */
  async #insertEvents(
    tx: Queryable,
    { changes, resend }: Pick<EdgeOutcome<unknown>, "changes" | "resend">,
    next: LanePlaces,
  ): Promise<LanePlaces> {
    const written = await insertConfigEvents(tx, this.#deps, { changes, firstSeq: next.config });
    const behind: LanePlaces = { ...next, config: written.nextSeq, made: written.madeSeq ?? next.made };
    if (resend === undefined || resend.tsMs.length === 0) return behind;
    await runStatementIn(tx)(WRITE_TELEMETRY_EVENT, telemetryEvent(resend, this.#eventPlace(behind)));
    return { ...behind, telemetry: next.telemetry + resend.tsMs.length };
  }

  #eventPlace(next: LanePlaces): EventPlace {
    return { firstSeq: next.telemetry, configSeq: next.made, nowMs: this.#deps.clock.nowMs() };
  }

  async #ensurePartitions(lane: UplinkLane, items: number): Promise<void> {
    // A work may write more than one item; the partition after the next is far away in any case.
    if (this.#next[lane] + items * 8 < this.#partitionsUpTo[lane]) return;
    this.#partitionsUpTo[lane] = await ensurePartitions(this.#deps.sql, lane, this.#next[lane], items * 8);
  }

  #refusal(): AppError {
    return this.#stopped
      ? new AppError("CANCELLED", "The edge is stopping; nothing was stored", { retryable: true })
      : new AppError(
          "TOO_MANY_REQUESTS",
          `More than ${WAITING_RECORDS_MAX} records wait for the disk; send again later`,
        );
  }
}

type DecidedUpon = Pick<Group, "submissions"> & Pick<Stored, "changes">;

interface Decided {
  readonly decision: Decision | null;
  readonly changes: readonly Change[];
  /** The sequences behind its outbox rows. */
  readonly next: LanePlaces;
}

const UNDECIDED = { decision: null, changes: [] } as const;

/** Also what the cloud need not hear of. */
function seenByRules({ changes, heard = [] }: Pick<EdgeOutcome<unknown>, "changes" | "heard">): readonly Change[] {
  return heard.length === 0 ? changes : [...heard, ...changes];
}

/** Worth a commit of its own at once. */
function isFull(group: Group | undefined): boolean {
  return (
    group !== undefined && (group.works.length > 0 || group.isUrgent || group.submissions.length >= FULL_SUBMISSIONS)
  );
}

/** Who waits for it. */
function countOf(group: Group | undefined): number {
  return group === undefined ? 0 : group.submissions.length + group.works.length;
}

function buildColumns(group: Group): TelemetryColumns {
  const builder = new TelemetryColumnsBuilder();
  for (const submission of group.submissions) {
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

function rejectGroup(group: Group, error: AppError): void {
  group.done.reject(error);
  for (const work of group.works) work.done.reject(error);
}
