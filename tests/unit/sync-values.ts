import type { Uuid } from "../../shared/core/ids.ts";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { Batch, Hello, Welcome } from "../../shared/sync/frames.ts";
import type { Lane } from "../../shared/sync/lanes.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { Opening } from "../../shared/sync/session-state.ts";

// Values for tests of the sync protocol.

export const ID: Uuid = uuidFromBytes(new Uint8Array(16).fill(7));

export interface BatchShape {
  readonly lane: Lane;
  readonly firstSeq: number;
  readonly count: number;
  readonly bytes?: number;
}

export function batch({ lane, firstSeq, count, bytes = count }: BatchShape): Batch {
  return { type: "batch", lane, firstSeq, count, compression: "none", payload: new Uint8Array(bytes) };
}

export function outgoing(shape: BatchShape, configSeq = 0): OutgoingBatch {
  return { ...batch(shape), configSeq };
}

export const HELLO: Hello = {
  type: "hello",
  protocolMin: 1,
  protocolMax: 1,
  edgeVersion: "test",
  storeId: ID,
  lanes: [
    { lane: "config", nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 },
    { lane: "telemetry", nextSeq: 1, oldestSeq: 1, ackedSeq: 0, firstSeq: 1 },
  ],
  cloudId: null,
  downlinkApplied: 0,
  downlinkTag: null,
  machineId: ID,
  wallClockMs: 0,
  backlogOrder: "oldest-first",
};

export const WINDOW = { bytes: 100, items: 20 } as const;

export const WELCOME: Welcome = {
  type: "welcome",
  protocol: 1,
  session: 1,
  edgeId: ID,
  tenantId: ID,
  edgeName: "edge",
  edgeType: "default",
  cloudId: ID,
  cloudVersion: "test",
  courses: [
    { lane: "config", course: inOrderFrom(1) },
    { lane: "telemetry", course: inOrderFrom(1) },
  ],
  tags: [],
  window: WINDOW,
  wallClockMs: 0,
  downlinkResume: 0,
  downlinkAcked: 0,
  settings: { rateLimits: {} },
};

export const EDGE_OPENING: Opening = {
  window: WINDOW,
  sending: WELCOME.courses.map((start) => ({ ...start, missed: [] })),
  receiving: [{ lane: "downlink", course: inOrderFrom(1) }],
  welcome: null,
  missedAcks: [],
};

export const CLOUD_OPENING: Opening = {
  window: WINDOW,
  sending: [{ lane: "downlink", course: inOrderFrom(1), missed: [] }],
  receiving: WELCOME.courses,
  welcome: WELCOME,
  missedAcks: [],
};
