import type { Uuid } from "../../shared/core/ids.ts";
import type { Batch } from "../../shared/sync/frames.ts";
import type { UplinkPosition } from "./edge-session-store.ts";

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
