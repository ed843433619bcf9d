import { AppError } from "../core/errors.ts";
import type { Lane, UplinkLane } from "../sync/lanes.ts";
import { Lane as WireLane } from "./gen/skerry/sync/v1/sync_pb.ts";

export const LANE_TO_WIRE = {
  config: WireLane.CONFIG,
  live: WireLane.LIVE,
  telemetry: WireLane.TELEMETRY,
  downlink: WireLane.DOWNLINK,
} as const satisfies Record<Lane, WireLane>;

/** @throws AppError PROTOCOL_ERROR for one that this version does not know */
export function laneFrom(lane: WireLane): Lane {
  switch (lane) {
    case WireLane.CONFIG:
      return "config";
    case WireLane.LIVE:
      return "live";
    case WireLane.TELEMETRY:
      return "telemetry";
    case WireLane.DOWNLINK:
      return "downlink";
    default:
      throw new AppError("PROTOCOL_ERROR", `Lane ${lane} is not known`);
  }
}

/** @throws AppError PROTOCOL_ERROR for one that has no numbers of its own that go up */
export function uplinkLaneFrom(wire: WireLane): UplinkLane {
  const lane = laneFrom(wire);
  if (lane === "config" || lane === "telemetry") return lane;
  throw new AppError("PROTOCOL_ERROR", `Lane ${lane} has no numbers of its own that go up`);
}
