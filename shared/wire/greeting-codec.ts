import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { isUuid, uuidToBytes } from "../core/ids.ts";
import { SEQ_MAX } from "../core/seq-range.ts";
import { readRateLimits } from "../entities/rate-limit-names.ts";
import type { EdgeNotificationRule, EdgeSettings } from "../sync/edge-settings.ts";
import type { BacklogOrder, Hello, LaneCourse, LaneTag, Welcome } from "../sync/frames.ts";
import { numberFromWire, uuidBytesOrNone, uuidFromBytesOrNone, uuidFromWire } from "./checked.ts";
import type {
  Hello as HelloMessage,
  LaneTag as LaneTagMessage,
  LaneWatermark as LaneWatermarkMessage,
  Settings as SettingsMessage,
  Welcome as WelcomeMessage,
} from "./gen/skerry/sync/v1/sync_pb.ts";
import { BacklogOrder as WireBacklogOrder, Compression as WireCompression } from "./gen/skerry/sync/v1/sync_pb.ts";
import { LANE_TO_WIRE, laneFrom, uplinkLaneFrom } from "./lane-codec.ts";

// The first frame of each side to protobuf and back.

/** Versions are cut to it, characters. */
export const VERSION_MAX = 64;

const ORDER_TO_WIRE = {
  interleaved: WireBacklogOrder.INTERLEAVED,
  "oldest-first": WireBacklogOrder.OLDEST_FIRST,
  "newest-first": WireBacklogOrder.NEWEST_FIRST,
} as const satisfies Record<BacklogOrder, WireBacklogOrder>;

export function helloMessage(hello: Hello) {
  return {
    protocolMin: hello.protocolMin,
    protocolMax: hello.protocolMax,
    edgeVersion: hello.edgeVersion,
    storeId: uuidToBytes(hello.storeId),
    lanes: hello.lanes.map((offer) => ({
      lane: LANE_TO_WIRE[offer.lane],
      nextSeq: BigInt(offer.nextSeq),
      oldestSeq: BigInt(offer.oldestSeq),
      ackedSeq: BigInt(offer.ackedSeq),
      firstSeq: BigInt(offer.firstSeq),
    })),
    cloudId: uuidBytesOrNone(hello.cloudId),
    downlinkApplied: BigInt(hello.downlinkApplied),
    downlinkTag: uuidBytesOrNone(hello.downlinkTag),
    machineId: uuidBytesOrNone(hello.machineId),
    wallClockMs: BigInt(Math.round(hello.wallClockMs)),
    compressions: [WireCompression.NONE, WireCompression.ZSTD],
    backlogOrder: ORDER_TO_WIRE[hello.backlogOrder],
  };
}

export function helloFrom(message: HelloMessage): Hello {
  return {
    type: "hello",
    protocolMin: message.protocolMin,
    protocolMax: message.protocolMax,
    edgeVersion: message.edgeVersion.slice(0, VERSION_MAX),
    storeId: uuidFromWire(message.storeId),
    lanes: message.lanes.map((offer) => ({
      lane: uplinkLaneFrom(offer.lane),
      nextSeq: numberFromWire(offer.nextSeq),
      oldestSeq: numberFromWire(offer.oldestSeq),
      ackedSeq: numberFromWire(offer.ackedSeq),
      firstSeq: Math.max(1, numberFromWire(offer.firstSeq)),
    })),
    cloudId: uuidFromBytesOrNone(message.cloudId),
    downlinkApplied: numberFromWire(message.downlinkApplied),
    downlinkTag: uuidFromBytesOrNone(message.downlinkTag),
    machineId: uuidFromBytesOrNone(message.machineId),
    wallClockMs: numberFromWire(message.wallClockMs),
    backlogOrder: orderFrom(message.backlogOrder),
  };
}

export function welcomeMessage(welcome: Welcome) {
  return {
    protocol: welcome.protocol,
    session: BigInt(welcome.session),
    edge: {
      edgeId: uuidToBytes(welcome.edgeId),
      tenantId: uuidToBytes(welcome.tenantId),
      name: welcome.edgeName,
      type: welcome.edgeType,
    },
    cloudId: uuidToBytes(welcome.cloudId),
    watermarks: welcome.courses.map(courseMessage),
    tags: welcome.tags.map(tagMessage),
    window: welcome.window,
    wallClockMs: BigInt(Math.round(welcome.wallClockMs)),
    cloudVersion: welcome.cloudVersion,
    downlinkResume: BigInt(welcome.downlinkResume),
    downlinkAcked: BigInt(welcome.downlinkAcked),
    ...(welcome.settings === null ? {} : { settings: settingsMessage(welcome.settings) }),
  };
}

export function welcomeFrom(message: WelcomeMessage): Welcome {
  const { edge, window } = message;
  if (edge === undefined || window === undefined)
    throw new AppError("PROTOCOL_ERROR", "Welcome names no edge or no window");
  return {
    type: "welcome",
    protocol: message.protocol,
    session: numberFromWire(message.session),
    edgeId: uuidFromWire(edge.edgeId),
    tenantId: uuidFromWire(edge.tenantId),
    edgeName: edge.name,
    edgeType: edge.type,
    cloudId: uuidFromWire(message.cloudId),
    cloudVersion: message.cloudVersion.slice(0, VERSION_MAX),
    courses: message.watermarks.map(courseFrom),
    tags: message.tags.map(tagFrom),
    window: { bytes: window.bytes, items: window.items },
    wallClockMs: numberFromWire(message.wallClockMs),
    downlinkResume: numberFromWire(message.downlinkResume),
    downlinkAcked: numberFromWire(message.downlinkAcked),
    settings: message.settings === undefined ? null : settingsFrom(message.settings),
  };
}

export function settingsMessage({ notificationRules = [], rateLimits, rootRuleChainId }: EdgeSettings) {
  return {
    rateLimits,
    rootRuleChainId: uuidBytesOrNone(rootRuleChainId),
    notificationRules: notificationRules.map((rule) => JSON.stringify(rule)),
  };
}

export function settingsFrom({ notificationRules, rateLimits, rootRuleChainId }: SettingsMessage): EdgeSettings {
  const root = uuidFromBytesOrNone(rootRuleChainId);
  return {
    rateLimits: readRateLimits(rateLimits),
    ...(root === null ? {} : { rootRuleChainId: root }),
    ...(notificationRules.length === 0 ? {} : { notificationRules: notificationRules.flatMap(notificationRuleFrom) }),
  };
}

/** What is not understood is for newer edges. */
function notificationRuleFrom(text: string): EdgeNotificationRule[] {
  const read = notificationRuleSchema.safeParse(parseJsonOrNull(text));
  return read.success ? [read.data] : [];
}

function parseJsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const uuidText = z.string().refine(isUuid);
const texts = z.array(z.string()).nullable();
const notificationRuleSchema = z.object({
  id: uuidText,
  name: z.string(),
  transitions: z.array(z.string()),
  severities: texts,
  alarmTypes: texts,
  deviceProfileIds: z.array(uuidText).nullable(),
  entityIds: z.array(uuidText).nullable(),
  target: z.discriminatedUnion("type", [
    z.object({ type: z.literal("EMAIL"), to: z.array(z.string()) }),
    z.object({ type: z.literal("WEBHOOK"), url: z.string() }),
  ]),
  webhookSecret: z.string().nullable(),
});

function courseMessage({ lane, course }: LaneCourse) {
  return {
    lane: LANE_TO_WIRE[lane],
    seq: BigInt((course[0]?.first ?? 1) - 1),
    course: course.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) })),
  };
}

function courseFrom({ lane, seq, course }: LaneWatermarkMessage): LaneCourse {
  const runs = course.map(({ first, last }) => ({ first: numberFromWire(first), last: numberFromWire(last) }));
  const inOrder = { first: numberFromWire(seq) + 1, last: SEQ_MAX };
  return { lane: laneFrom(lane), course: runs.length === 0 ? [inOrder] : runs };
}

function tagMessage({ lane, seq, tag }: LaneTag) {
  return { lane: LANE_TO_WIRE[lane], seq: BigInt(seq), tag };
}

function tagFrom({ lane, seq, tag }: LaneTagMessage): LaneTag {
  return { lane: uplinkLaneFrom(lane), seq: numberFromWire(seq), tag };
}

/** An order of a newer edge is a wish that this version does not know. */
function orderFrom(order: WireBacklogOrder): BacklogOrder {
  switch (order) {
    case WireBacklogOrder.INTERLEAVED:
      return "interleaved";
    case WireBacklogOrder.NEWEST_FIRST:
      return "newest-first";
    default:
      return "oldest-first";
  }
}
