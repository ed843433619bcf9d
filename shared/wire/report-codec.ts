import { AppError } from "../core/errors.ts";
import type { QuotaState } from "../core/sync-states.ts";
import { KEY_LENGTH_MAX } from "../entities/values.ts";
import { THINNED_KEYS_MAX, type EdgeReport, type LaneBacklog, type ThinnedKey } from "../sync/edge-report.ts";
import { numberFromWire } from "./checked.ts";
import type {
  LaneBacklog as LaneBacklogMessage,
  Status,
  ThinnedKey as ThinnedKeyMessage,
} from "./gen/skerry/sync/v1/sync_pb.ts";
import { Lane as WireLane, Quota } from "./gen/skerry/sync/v1/sync_pb.ts";

const QUOTA_TO_WIRE = {
  ok: Quota.OK,
  thinning: Quota.THINNING,
  full: Quota.FULL,
} as const satisfies Record<QuotaState, Quota>;
const QUOTA_FROM_WIRE: Partial<Record<Quota, QuotaState>> = { [Quota.THINNING]: "thinning", [Quota.FULL]: "full" };
const STATE_CHARACTERS_MAX = 64;

export function statusMessage(report: EdgeReport) {
  return {
    wallClockMs: BigInt(Math.round(report.wallClockMs)),
    lanes: report.lanes.map(({ lane, items, bytes, oldestMs }) => ({
      lane: lane === "config" ? WireLane.CONFIG : WireLane.TELEMETRY,
      items: BigInt(items),
      ...(bytes === null ? {} : { bytes: BigInt(bytes) }),
      ...(oldestMs === null ? {} : { oldestMs: BigInt(Math.round(oldestMs)) }),
    })),
    parkedItems: BigInt(report.parkedItems),
    quota: QUOTA_TO_WIRE[report.quota],
    state: report.state,
    stateForMs: BigInt(Math.max(0, Math.round(report.stateForMs))),
    thinned: (report.thinned ?? []).map(({ key, ...counts }) => ({
      key,
      came: BigInt(counts.came),
      sent: BigInt(counts.sent),
      cameBytes: BigInt(counts.cameBytes),
      sentBytes: BigInt(counts.sentBytes),
    })),
  };
}

/** Lanes that this version does not know are left out. @throws AppError PROTOCOL_ERROR on malformed content */
export function statusFrom(message: Status): EdgeReport {
  if (message.lanes.length > 16) throw new AppError("PROTOCOL_ERROR", `Status names ${message.lanes.length} lanes`);
  return {
    wallClockMs: numberFromWire(message.wallClockMs),
    lanes: message.lanes.flatMap(backlogFrom),
    parkedItems: numberFromWire(message.parkedItems),
    quota: QUOTA_FROM_WIRE[message.quota] ?? "ok",
    state: message.state.slice(0, STATE_CHARACTERS_MAX),
    stateForMs: numberFromWire(message.stateForMs),
    ...(message.thinned.length === 0 ? {} : { thinned: message.thinned.slice(0, THINNED_KEYS_MAX).map(thinnedFrom) }),
  };
}

function thinnedFrom({ key, came, cameBytes, sent, sentBytes }: ThinnedKeyMessage): ThinnedKey {
  return {
    key: key.slice(0, KEY_LENGTH_MAX),
    came: numberFromWire(came),
    sent: numberFromWire(sent),
    cameBytes: numberFromWire(cameBytes),
    sentBytes: numberFromWire(sentBytes),
  };
}

function backlogFrom({ lane, items, bytes, oldestMs }: LaneBacklogMessage): LaneBacklog[] {
  if (lane !== WireLane.CONFIG && lane !== WireLane.TELEMETRY) return [];
  return [
    {
      lane: lane === WireLane.CONFIG ? "config" : "telemetry",
      items: numberFromWire(items),
      bytes: bytes === undefined ? null : numberFromWire(bytes),
      oldestMs: oldestMs === undefined ? null : numberFromWire(oldestMs),
    },
  ];
}
