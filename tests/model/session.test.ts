import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Frame, Lane } from "../../shared/sync/frames.ts";
import { LANES } from "../../shared/sync/frames.ts";
import type { SessionEvent } from "../../shared/sync/session.ts";
import {
  ACK_WITHIN_MS,
  advanceSession,
  GREETING_WITHIN_MS,
  nextTickMs,
  PING_AFTER_MS,
  PONG_WITHIN_MS,
  startCloudSession,
  startEdgeSession,
} from "../../shared/sync/session.ts";
import type { End } from "./session-pair.ts";
import { HELLO, SessionPair, WELCOME } from "./session-pair.ts";

const lanes = fc.constantFrom<Lane[]>(...LANES);
const windows = fc.record({ bytes: fc.nat(200), items: fc.nat(40) });

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant("deliver" as const), end: fc.constantFrom(0, 1) }) },
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constant("work" as const), end: fc.constantFrom(0, 1), choice: fc.nat(5) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("commit" as const),
        lane: lanes,
        count: fc.integer({ min: 1, max: 30 }),
        bytes: fc.nat(150),
      }),
    },
  ),
  { maxLength: 200 },
);

const seqs = fc.integer({ min: -1, max: 5 });
const frames = fc.oneof<fc.Arbitrary<Frame>[]>(
  fc.constant(HELLO),
  fc.constant(WELCOME),
  fc.record({
    type: fc.constant("batch"),
    lane: lanes,
    firstSeq: seqs,
    count: seqs,
    compression: fc.constant("none"),
    payload: fc.uint8Array({ maxLength: 10 }),
  }),
  fc.record({ type: fc.constant("ack"), lane: lanes, seq: seqs, rejections: fc.constant([]) }),
  fc.record({ type: fc.constantFrom("ping", "pong"), nonce: fc.nat() }),
  fc.record({
    type: fc.constant("go-away"),
    code: fc.constant("CANCELLED"),
    text: fc.string(),
    retryAfterMs: fc.nat(),
  }),
);
const events = fc.oneof<fc.Arbitrary<SessionEvent>[]>(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("frame"), frame: frames }) } as never,
  fc.record({ type: fc.constant("woken"), lane: lanes }),
  fc.record({ type: fc.constant("applied"), lane: lanes, rejections: fc.constant([]) }),
  fc.record({ type: fc.constant("loaded"), lane: lanes, batches: fc.constant([]), drained: fc.boolean() }),
  fc.record({ type: fc.constant("tick") }),
);
