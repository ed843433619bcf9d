import fc from "fast-check";
import type { Uuid } from "../../shared/core/ids.ts";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { Batch, Hello, Lane, Welcome } from "../../shared/sync/frames.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { Opening, SessionState } from "../../shared/sync/session.ts";

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

export const window = fc.record({ bytes: fc.integer({ min: 1, max: 60 }), items: fc.integer({ min: 1, max: 30 }) });

export const HELLO: Hello = {
  type: "hello",
  protocolMin: 1,
  protocolMax: 1,
  edgeVersion: "test",
  storeId: ID,
  lanes: [
    { lane: "config", nextSeq: 1, oldestSeq: 1 },
    { lane: "telemetry", nextSeq: 1, oldestSeq: 1 },
  ],
  cloudId: null,
  downlinkApplied: 0,
  wallClockMs: 0,
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
  watermarks: [
    { lane: "config", seq: 0 },
    { lane: "telemetry", seq: 0 },
  ],
  window: WINDOW,
  wallClockMs: 0,
  downlinkResume: 0,
};

export const EDGE_OPENING: Opening = {
  window: WINDOW,
  sending: WELCOME.watermarks,
  receiving: [{ lane: "downlink", seq: 0 }],
  welcome: null,
};

export const CLOUD_OPENING: Opening = {
  window: WINDOW,
  sending: [{ lane: "downlink", seq: 0 }],
  receiving: WELCOME.watermarks,
  welcome: WELCOME,
};

/** What every state of a session has to fulfil: the invariants of SPEC.md that a single end can see. @returns what is broken */
export function brokenInvariants(state: SessionState): readonly string[] {
  const broken: string[] = [];
  const check = (holds: boolean, text: string): void => {
    if (!holds) broken.push(text);
  };
  for (const { lane, acked, sent, loaded, staged, inFlight, inFlightBytes } of state.senders) {
    check(acked <= sent && sent <= loaded, `${lane}: acked ${acked} <= sent ${sent} <= loaded ${loaded}`);
    let next = sent + 1;
    for (const { firstSeq, count } of staged) {
      check(firstSeq === next, `${lane}: staged ${firstSeq} follows ${next - 1}`);
      next = firstSeq + count;
    }
    check(next === loaded + 1, `${lane}: staged ends at ${loaded}`);
    check(
      (inFlight.at(-1)?.lastSeq ?? acked) === (inFlight.length === 0 ? acked : sent),
      `${lane}: in flight ends at sent`,
    );
    const bytes = inFlight.reduce((sum, one) => sum + one.bytes, 0);
    check(bytes === inFlightBytes, `${lane}: ${inFlightBytes} bytes in flight, counted ${bytes}`);
    const fits = sent - acked <= state.window.items && inFlightBytes <= state.window.bytes;
    check(fits || inFlight.length === 1, `${lane}: inside the window, or one batch alone`);
  }
  for (const { lane, applied, received, pending, applying } of state.receivers) {
    check(applied <= received, `${lane}: applied ${applied} <= received ${received}`);
    let next = (applying ?? applied) + 1;
    for (const { firstSeq, count } of pending) {
      check(firstSeq === next, `${lane}: pending ${firstSeq} follows ${next - 1}`);
      next = firstSeq + count;
    }
    check(next === received + 1, `${lane}: pending ends at ${received}`);
  }
  check(state.receivers.filter(({ applying }) => applying !== null).length <= 1, "one apply at a time");
  check(state.phase === "opening" || state.held.length === 0 || state.phase === "closed", "held only while opening");
  return broken;
}
