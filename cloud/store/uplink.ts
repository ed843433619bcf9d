import type { Uuid } from "../../shared/core/ids.ts";
import type { Batch } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";

export interface UplinkPosition {
  readonly edgeId: Uuid;
  readonly storeId: Uuid;
  readonly lane: UplinkLane;
  readonly session: number;
}

/** Whose session and lane something arrives on. */
export interface UplinkOrigin extends UplinkPosition {
  readonly tenantId: Uuid;
  readonly edgeName: string;
  /** Version of this program, for what it refuses. */
  readonly cloudVersion: string;
}

export interface Uplink {
  readonly origin: UplinkOrigin;
  /** In order, without a gap, at least one. */
  readonly batches: readonly Batch[];
}
