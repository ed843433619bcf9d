import { drizzle } from "drizzle-orm/postgres-js";
import { createDeferred, WakeUp } from "../../shared/core/deferred.ts";
import type { Deferred } from "../../shared/core/deferred.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { databaseError, isDataError } from "../../shared/postgres/connect.ts";
import type { Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { CommitPace } from "./commit-pace.ts";
import type { DueCommits } from "./commit-rules.ts";
import { GroupSize } from "./group-size.ts";
import { GroupWriter, type EdgeOutcome, type GroupWriterDeps, type Work } from "./group-writer.ts";
import { LatestWriter } from "./latest-writer.ts";
import { ROW_ITEMS_MAX } from "./outbox.ts";

// The one writer of the edge. Whatever devices and people change is collected while the commit before is on its way to the
// disk, then written in one transaction (group-writer.ts): one fsync for all who wait.
//
// Modes of a group: filling -> committing -> done. One group commits at a time; the others wait in order.

/** Records in one transaction, beyond the first submission. Bounded by ROW_ITEMS_MAX. */
const GROUP_RECORDS_MAX = 10_000;
/** Records that may wait; beyond it submissions are refused with TOO_MANY_REQUESTS, and devices try again. */
const WAITING_RECORDS_MAX = 200_000;
const WORKS_WAITING_MAX = 10_000;
/** How long a commit waits for who was just answered, at most; and as a part of the time that the last commit took. */
const GATHER_MAX_MS = 0.5;
const GATHER_SHARE = 0.5;
/** Commits for so many are worth their time as they are. */
const FULL_SUBMISSIONS = 64;

export interface GroupCommit extends UnitOfWork, DueCommits {
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

export interface GroupCommitDeps extends Omit<GroupWriterDeps, "db" | "latest"> {
  /** A commit failed because of the database; must not throw. */
  readonly onFailed?: (error: AppError) => void;
  /** Why no telemetry is taken now; null: it is. */
  readonly refusal?: () => AppError | null;
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
  const collector = new GroupCollector(deps);
  await collector.open();
  return collector;
}

class GroupCollector implements GroupCommit {
  readonly #deps: GroupCommitDeps;
  readonly #wakeUp = new WakeUp();
  readonly #queue: Group[] = [];
  readonly #latest: LatestWriter;
  readonly #writer: GroupWriter;
  readonly #pace = new CommitPace();
  readonly #size = new GroupSize(GROUP_RECORDS_MAX);
  /** Ends the wait of the next commit for others. */
  #hurry: AbortController | null = null;
  /** Tells the submitters of the group that was committed last. */
  #answer: (() => void) | null = null;
  /** `expected`: who was answered after it, and may send again, and who waited behind it. */
  #lastCommit = { expected: 0, tookMs: 0 };
  #waitingRecords = 0;
  #waitingWorks = 0;
  #stopped = false;

  constructor(deps: GroupCommitDeps) {
    this.#deps = deps;
    const db = drizzle(deps.sql);
    this.#latest = new LatestWriter({ ...deps, db, onDue: () => this.#wakeUp.signal() });
    this.#writer = new GroupWriter({ ...deps, db, latest: this.#latest });
  }

  open(): Promise<void> {
    return this.#writer.readSequences();
  }

  nextSeq(lane: UplinkLane): number {
    return this.#writer.nextSeq(lane);
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

  commitDue(): Promise<void> {
    if (this.#stopped) return Promise.reject(this.#refusal());
    const group = this.#fillingGroup(0);
    group.isUrgent = true;
    this.#hurry?.abort();
    this.#wakeUp.signal();
    return group.done.promise;
  }

  async runLoop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#latest.isDue) {
        this.#answerCommitted();
        await this.#noteWritten(this.#latest.writePart(this.#writer.nextSeq("telemetry") - 1));
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
      this.#size.note(group.records, this.#writer.rulesMs);
      this.#lastCommit = {
        expected: countOf(group) + countOf(this.#queue[0]),
        tookMs: this.#deps.clock.monotonicMs() - startedMs,
      };
      this.#waitingRecords -= group.records;
      this.#waitingWorks -= group.works.length;
    }
    this.#answerCommitted();
    if (!this.#latest.isEmpty) await this.#noteWritten(this.#latest.writeAll(this.#writer.nextSeq("telemetry") - 1));
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
    if (!(await latest)) this.#writer.forgetSequences();
  }

  async #saveInParts(records: readonly TelemetryRecord[]): Promise<void> {
    for (let start = 0; start < records.length; start += ROW_ITEMS_MAX) {
      await this.saveTelemetry(records.slice(start, start + ROW_ITEMS_MAX));
    }
  }

  #fillingGroup(records: number): Group {
    this.#size.heed(this.#deps.rules?.revision ?? 0);
    const newest = this.#queue.at(-1);
    if (newest !== undefined && (newest.records === 0 || newest.records + records <= this.#size.records)) return newest;
    const group: Group = { submissions: [], works: [], records: 0, isUrgent: false, done: createDeferred<void>() };
    // Who submits waits for it; a group without telemetry has nobody, and a rejection must not count as unhandled.
    group.done.promise.catch(() => undefined);
    this.#queue.push(group);
    return group;
  }

  async #commit(group: Group): Promise<void> {
    try {
      const answer = await this.#writer.write(group);
      this.#answer = () => {
        answer();
        group.done.resolve();
      };
    } catch (thrown) {
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

  #refusal(): AppError {
    return this.#stopped
      ? new AppError("CANCELLED", "The edge is stopping; nothing was stored", { retryable: true })
      : new AppError(
          "TOO_MANY_REQUESTS",
          `More than ${WAITING_RECORDS_MAX} records wait for the disk; send again later`,
        );
  }
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

function rejectGroup(group: Group, error: AppError): void {
  group.done.reject(error);
  for (const work of group.works) work.done.reject(error);
}
