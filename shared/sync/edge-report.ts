import type { QuotaState } from "../core/sync-states.ts";
import type { UplinkLane } from "./lanes.ts";

/** What an edge tells the cloud of itself, for those who look at it from there. */
export interface EdgeReport {
  /** Of the edge, when it told so; its other times are measured by the same clock. */
  readonly wallClockMs: number;
  readonly lanes: readonly LaneBacklog[];
  /** Items that the cloud refused for good and nobody has decided about. */
  readonly parkedItems: number;
  readonly quota: QuotaState;
  /** A code of shared/core/sync-states.ts; text, because a newer edge may know more of them. */
  readonly state: string;
  readonly stateForMs: number;
  /** Keys of which less goes up than is stored, those that save most first. @default none */
  readonly thinned?: readonly ThinnedKey[];
}

export const THINNED_KEYS_MAX = 50;

/** Values of a key of telemetry, of all devices together, since the program was started. */
export interface ThinnedKey {
  readonly key: string;
  readonly came: number;
  readonly sent: number;
  /** Before compression. */
  readonly cameBytes: number;
  readonly sentBytes: number;
}

export interface LaneBacklog {
  readonly lane: UplinkLane;
  /** What the cloud has not committed yet. */
  readonly items: number;
  /** Null: not known. */
  readonly bytes: number | null;
  /** When the oldest of them was made; null: there is none. */
  readonly oldestMs: number | null;
}

/** Age of the oldest item that waits, when the report was made; null: nothing waits. */
export function backlogAgeMs({ lanes, wallClockMs }: Pick<EdgeReport, "lanes" | "wallClockMs">): number | null {
  const times = lanes.flatMap(({ oldestMs }) => oldestMs ?? []);
  return times.length === 0 ? null : Math.max(0, wallClockMs - Math.min(...times));
}
