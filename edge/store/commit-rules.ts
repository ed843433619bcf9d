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
  /** There is nothing to write. */
  readonly isEmpty: boolean;
  /** Within the commit. @returns what the cloud has to hear of it */
  write(tx: Queryable): Promise<readonly Change[]>;
  /** All of it is on the disk. Until this is called, or instead of it, the next `decide` may follow: then it is not known. */
  committed(): void;
}

export interface CommitRules {
  /** There are no rules: commits don't ask. */
  readonly isIdle: boolean;
  /** Whether somebody may wait for what follows from these records, so that they should be committed soon. A guess; changes nothing. */
  isUrgent(records: readonly TelemetryRecord[]): boolean;
  /** What follows from what a commit stores. Called for one commit after the other; waits for `db` only. */
  decide(db: Queryable, stored: Stored): Promise<Decision>;
}

export const NOTHING_DECIDED: Decision = {
  isEmpty: true,
  write: () => Promise.resolve([]),
  committed: () => undefined,
};
