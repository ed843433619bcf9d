import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

// How rules take part in a commit: they see what it stores, and what they decide is written with it.

/** What a commit stores. */
export interface Stored {
  /** In the order in which they came. */
  readonly records: readonly TelemetryRecord[];
  /** What people, devices and the cloud changed. */
  readonly changes: readonly Change[];
  /** Newest values of entities that were committed, but are not in telemetry_latest yet. */
  readonly unsettled: (ids: ReadonlySet<Uuid>) => readonly TelemetryRecord[];
}

export interface Decision {
  /** Telemetry that was derived: it is stored, sent, and the newest of its keys, just as what came. */
  readonly records: readonly TelemetryRecord[];
  /** There is nothing to write beside `records`: `write` is not called. */
  readonly isEmpty: boolean;
  /** Within the commit. @param earlier what the rules before these wrote in it */
  write(tx: Queryable, earlier: readonly Change[]): Promise<Written>;
  /** All of it is on the disk. Until this is called, or instead of it, the next `decide` may follow: then it is not known. */
  committed(): void;
}

export interface Written {
  /** What the cloud has to hear of it. */
  readonly changes: readonly Change[];
  /** Telemetry that was derived while writing; as `records` of the decision. */
  readonly records: readonly TelemetryRecord[];
}

/** Has what rules wait for decided without anything else to commit. */
export interface DueCommits {
  commitDue(): Promise<void>;
}

export interface CommitRules {
  /** There are no rules: commits don't ask. */
  readonly isIdle: boolean;
  /** Another one after the rules changed: how long they take is not known then. @default 0 */
  readonly revision?: number;
  /** Whether somebody may wait for what follows from these records, so that they should be committed soon. A guess; changes nothing. */
  isUrgent(records: readonly TelemetryRecord[]): boolean;
  /** What follows from what a commit stores. Called for one commit after the other; waits for `db` only. */
  decide(db: Queryable, stored: Stored): Promise<Decision>;
}

export const NOTHING_DECIDED: Decision = {
  records: [],
  isEmpty: true,
  write: () => Promise.resolve({ changes: [], records: [] }),
  committed: () => undefined,
};
