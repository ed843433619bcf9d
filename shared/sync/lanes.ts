import { AppError } from "../core/errors.ts";

/**
 * An ordered stream of items. downlink goes down, the others up; live carries telemetry that was committed after the Hello, telemetry
 * what waited before. The order of this list is the order of preference: what stands first is sent and applied first.
 */
export const LANES = ["downlink", "config", "live", "telemetry"] as const;

export type Lane = (typeof LANES)[number];

/** The numberings from the edge to the cloud, each from 1 without gaps; live and telemetry share one. */
export const UPLINK_LANES = ["config", "telemetry"] as const satisfies readonly Lane[];

export type UplinkLane = (typeof UPLINK_LANES)[number];

/** The numbering of what a lane carries. @throws AppError PROTOCOL_ERROR for the lane that goes down */
export function uplinkLaneOf(lane: Lane): UplinkLane {
  switch (lane) {
    case "config":
      return "config";
    case "live":
    case "telemetry":
      return "telemetry";
    case "downlink":
      throw new AppError("PROTOCOL_ERROR", "The downlink lane does not go up");
  }
}
