import type { Uuid } from "../../shared/core/ids.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

/** Decides within a commit what of the telemetry that it stores goes to the cloud. */
export interface UplinkFilter {
  /** All telemetry goes: commits don't ask. */
  readonly isIdle: boolean;
  /** Whether everything of these entities goes, and nothing else is due. */
  passes(entityIds: readonly Uuid[]): boolean;
  /**
   * What goes to the cloud of these records, and of earlier ones whose time has come. What has to be remembered is written by `tx`.
   * Called at most once in a commit, for one commit after the other.
   */
  sift(tx: Queryable, records: readonly TelemetryRecord[]): Promise<readonly TelemetryRecord[]>;
  /** All of it is on the disk. Until this is called, or instead of it, the next `sift` may follow: then it is not known. */
  committed(): void;
}
