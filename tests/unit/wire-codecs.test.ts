import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { AppError } from "../../shared/core/errors.ts";
import { parseUuid, uuidFromBytes } from "../../shared/core/ids.ts";
import { ATTRIBUTE_SCOPES } from "../../shared/entities/attributes.ts";
import type { SentChange, SentItem } from "../../shared/entities/change.ts";
import { ALARM_ACTIONS, COMMENT_ACTIONS, GAP_REASONS } from "../../shared/entities/change.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import { recordsBetween, thinRecords } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { Frame } from "../../shared/sync/frames.ts";
import { LANES, UPLINK_LANES } from "../../shared/sync/lanes.ts";
import type { EncodableItem } from "../../shared/wire/changes-codec.ts";
import { decodeItems, encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "../../shared/wire/frames-codec.ts";
import {
  ItemsSchema,
  SessionRequestSchema,
  SessionResponseSchema,
} from "../../shared/wire/gen/skerry/sync/v1/sync_pb.ts";
import { fromConnectError, toConnectError } from "../../shared/wire/rpc-errors.ts";
import { decodeTelemetry, encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { HELLO, ID, WELCOME } from "./sync-values.ts";

const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes);
const seq = fc.maxSafeNat();
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const timeMs = fc.maxSafeInteger();
const lane = fc.constantFrom(...LANES);

const sha256 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.toHex());
const blob = fc.record({ sha256, bytes: seq });
/** Some of it large and alike, so that it is compressed. */
const chunkContent = fc.oneof(
  fc.uint8Array({ minLength: 1 }),
  fc.nat(255).map((byte) => new Uint8Array(5_000).fill(byte)),
);

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record(
    {
      type: fc.constant("batch" as const),
      lane,
      firstSeq: seq,
      count: fc.integer({ min: 1, max: 0xffff_ffff }),
      compression: fc.constantFrom("none" as const, "zstd" as const),
      payload: fc.uint8Array(),
      heardSeq: seq,
    },
    { requiredKeys: ["type", "lane", "firstSeq", "count", "compression", "payload"] },
  ),
  fc.record({
    type: fc.constant("ack" as const),
    lane,
    seq,
    rejections: fc.array(fc.record({ seq, code: text, text, version: text })),
  }),
  fc.record({ type: fc.constant("blob-offer" as const), blob }),
  fc.record({ type: fc.constant("chunk" as const), sha256, offset: seq, content: chunkContent }),
  fc.record({ type: fc.constant("chunk-ack" as const), sha256, offset: seq, isDone: fc.boolean() }),
  fc.record({ type: fc.constantFrom("ping" as const, "pong" as const), nonce: seq }),
  fc.record({ type: fc.constant("go-away" as const), code: text, text, retryAfterMs: fc.nat() }),
);

const hash = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bucketCount = fc.integer({ min: 0, max: 12 }).map((power) => 2 ** power);
const buckets = fc
  .record({ entityType: text, bucketCount })
  .chain((head) =>
    fc.uniqueArray(fc.nat(head.bucketCount - 1), { maxLength: 20 }).map((list) => ({ ...head, buckets: list })),
  );
const typeDigest = fc
  .record({ entityType: text, size: fc.integer({ min: 0, max: 5 }) })
  .chain(({ entityType, size }) =>
    fc.array(hash, { minLength: 2 ** size, maxLength: 2 ** size }).map((hashes) => ({ entityType, buckets: hashes })),
  );
const question: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant("digest" as const), round: seq, types: fc.array(typeDigest, { maxLength: 4 }) }),
  fc.record({ type: fc.constant("entries-wanted" as const), round: seq, buckets }),
);
const answer: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant("digest-diff" as const), round: seq, types: fc.array(buckets, { maxLength: 4 }) }),
  fc.record({
    type: fc.constant("entries" as const),
    round: seq,
    buckets,
    downlinkApplied: seq,
    entries: fc.array(fc.record({ id: uuid, hash })),
    busyIds: fc.array(uuid),
  }),
);

const entity = fc.record({ type: text, id: uuid });
const scope = fc.constantFrom(...ATTRIBUTE_SCOPES);
const value = fc.json().map((json) => json as CanonicalJson);
const attributes = fc.array(fc.record({ key: text, value, updatedMs: timeMs }));

const change: fc.Arbitrary<SentChange> = fc.oneof(
  fc.record({ kind: fc.constant("large-change" as const), entity, content: blob }),
  fc.record({ kind: fc.constant("entity-saved" as const), entity, body: fc.json() }),
  fc.record({ kind: fc.constant("entity-wanted" as const), entity }),
  fc.record({ kind: fc.constant("entity-removed" as const), entity, deleted: fc.boolean() }),
  fc.record({ kind: fc.constant("attributes-saved" as const), entity, scope, attributes }),
  fc.record({ kind: fc.constant("attributes-deleted" as const), entity, scope, keys: fc.array(text) }),
  fc.record({
    kind: fc.constant("credentials-saved" as const),
    entity,
    credentialsType: text,
    credentialsId: text,
    credentialsValue: fc.option(fc.string({ minLength: 1 })),
  }),
  fc.record({
    kind: fc.constant("alarm-saved" as const),
    entity,
    originator: entity,
    action: fc.constantFrom(...ALARM_ACTIONS),
    body: fc.json(),
  }),
  fc.record({ kind: fc.constant("relation-saved" as const), entity, from: entity, to: entity, body: fc.json() }),
  fc.record({ kind: fc.constant("alarm-removed" as const), entity, originator: entity }),
  fc.record({
    kind: fc.constant("alarm-comment-saved" as const),
    entity,
    originator: entity,
    action: fc.constantFrom(...COMMENT_ACTIONS),
    body: fc.json(),
  }),
  fc.record({
    kind: fc.constant("telemetry-gap" as const),
    entity,
    fromMs: timeMs,
    toMs: timeMs,
    records: seq,
    reason: fc.constantFrom(...GAP_REASONS),
  }),
);

const items = fc.array(fc.record({ changedMs: timeMs, changes: fc.array(change, { maxLength: 4 }) }), { maxLength: 6 });
const record = fc.record({
  entity: fc.nat(),
  tsMs: fc.integer({ min: 0, max: 2 ** 45 }),
  keySet: fc.nat(3),
  value: fc.nat(),
});

const columns: fc.Arbitrary<TelemetryColumns> = fc
  .tuple(fc.array(uuid, { minLength: 1, maxLength: 5 }), fc.array(record, { minLength: 1, maxLength: 30 }))
  .map(([entityIds, records]) => ({
    entityIds,
    entityIndex: records.map((one) => one.entity % entityIds.length),
    tsMs: records.map((one) => one.tsMs),
    keySet: records.map((one) => one.keySet),
    values: records.map((one) => `{"a":${one.value}}`).join("\n"),
  }));

const EDGE_CHAIN = parseUuid("0194d2a0-0000-7000-8000-000000000001", "rootRuleChainId");

describe("frames", () => {
  function up(sent: Frame): Frame | null {
    const bytes = toBinary(SessionRequestSchema, create(SessionRequestSchema, encodeRequest(sent)));
    return decodeRequest(fromBinary(SessionRequestSchema, bytes));
  }

  function down(sent: Frame): Frame | null {
    const bytes = toBinary(SessionResponseSchema, create(SessionResponseSchema, encodeResponse(sent)));
    return decodeResponse(fromBinary(SessionResponseSchema, bytes));
  }

  test("stay the same through the wire, in both directions", () => {
    fc.assert(
      fc.property(frame, (sent) => {
        expect(up(sent)).toEqual(sent);
        expect(down(sent)).toEqual(sent);
      }),
    );
  });

  test("of a digest round stay the same in their direction, and don't go the other way", () => {
    fc.assert(
      fc.property(question, answer, (asked, answered) => {
        expect(down(asked)).toEqual(asked);
        expect(up(answered)).toEqual(answered);
        expect(() => encodeRequest(asked)).toThrow(AppError);
        expect(() => encodeResponse(answered)).toThrow(AppError);
      }),
    );
  });

  test.each([
    ["three buckets", { types: [{ type: "DEVICE", buckets: [1n, 2n, 3n] }] }],
    ["no buckets", { types: [{ type: "DEVICE", buckets: [] }] }],
    [
      "more buckets than there may be",
      { types: [{ type: "DEVICE", buckets: Array.from({ length: 8_192 }, () => 0n) }] },
    ],
  ])("of a digest with %s are a PROTOCOL_ERROR", (_name, value) => {
    const message = create(SessionResponseSchema, { frame: { case: "digest", value } });
    expect(() => decodeResponse(message)).toThrow(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
  });

  test.each([
    ["a bucket that there is not", { buckets: { type: "DEVICE", bucketCount: 2, buckets: [2] } }],
    ["more ids than hashes", { buckets: { type: "DEVICE", bucketCount: 1 }, ids: [new Uint8Array(16)] }],
    ["no buckets", { ids: [] }],
  ])("of entries with %s are a PROTOCOL_ERROR", (_name, value) => {
    const message = create(SessionRequestSchema, { frame: { case: "entries", value } });
    expect(() => decodeRequest(message)).toThrow(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
  });

  test("of the greeting stay the same in theirs, and don't go the other way", () => {
    expect(up(HELLO)).toEqual(HELLO);
    expect(up({ ...HELLO, cloudId: ID })).toEqual({ ...HELLO, cloudId: ID });
    expect(down(WELCOME)).toEqual(WELCOME);
    expect(() => encodeRequest(WELCOME)).toThrow(AppError);
    expect(() => encodeResponse(HELLO)).toThrow(AppError);
  });

  test("of settings stay the same on their way down, don't go up, and give a Welcome without them none", () => {
    const settings = { rateLimits: { transportDeviceMsgRateLimit: "5:1,90:60" } };
    const sent: Frame = { type: "settings", settings };
    expect(down(sent)).toEqual(sent);
    expect(() => encodeRequest(sent)).toThrow(AppError);
    expect(down({ ...WELCOME, settings })).toEqual({ ...WELCOME, settings });
    const rooted: Frame = { ...sent, settings: { ...settings, rootRuleChainId: EDGE_CHAIN } };
    expect(down(rooted)).toEqual(rooted);
    expect(down({ ...WELCOME, settings: null })).toEqual({ ...WELCOME, settings: null });
    const newer = { ...sent, settings: { rateLimits: { transportMoonMsgRateLimit: "1:1" } } };
    expect(down(newer)).toEqual({ ...sent, settings: { rateLimits: {} } });
  });

  test("of the edge's status stay the same on their way up, and don't come down", () => {
    const status = fc.record({
      type: fc.constant("status" as const),
      report: fc.record({
        wallClockMs: timeMs,
        lanes: fc.array(
          fc.record({
            lane: fc.constantFrom(...UPLINK_LANES),
            items: seq,
            bytes: fc.option(seq),
            oldestMs: fc.option(timeMs),
          }),
          { maxLength: 2 },
        ),
        parkedItems: seq,
        quota: fc.constantFrom("ok" as const, "thinning" as const, "full" as const),
        state: text,
        stateForMs: seq,
        thinned: fc.array(fc.record({ key: text, came: seq, sent: seq, cameBytes: seq, sentBytes: seq }), {
          minLength: 1,
          maxLength: 3,
        }),
      }),
    });
    fc.assert(
      fc.property(status, (sent) => {
        expect(up(sent)).toEqual(sent);
        expect(() => encodeResponse(sent)).toThrow(AppError);
      }),
    );
  });

  test("that this version does not know are skipped", () => {
    expect(decodeRequest(create(SessionRequestSchema))).toBeNull();
    expect(decodeResponse(create(SessionResponseSchema))).toBeNull();
  });
});

describe("items", () => {
  const known = (list: readonly EncodableItem[]): SentItem[] => list.map((item) => ({ ...item, unknown: 0 }));

  test("stay the same through the wire", () => {
    fc.assert(fc.property(items, (sent) => expect(decodeItems(encodeItems(sent), sent.length)).toEqual(known(sent))));
  });

  test("can be joined end to end", () => {
    fc.assert(
      fc.property(items, items, (first, second) => {
        const joined = new Uint8Array([...encodeItems(first), ...encodeItems(second)]);
        expect(decodeItems(joined, first.length + second.length)).toEqual(known([...first, ...second]));
      }),
    );
  });

  test("of another number are a PROTOCOL_ERROR", () => {
    expect(() => decodeItems(encodeItems([{ changedMs: 1, changes: [] }]), 2)).toThrow(
      expect.objectContaining({ code: "PROTOCOL_ERROR" }),
    );
  });

  test("that repair stay so", () => {
    const repair = { changedMs: 1, changes: [], isRepair: true };
    expect(decodeItems(encodeItems([repair]), 1)).toEqual([{ ...repair, unknown: 0 }]);
  });

  test("keep count of changes that this version does not know", () => {
    const bytes = toBinary(ItemsSchema, create(ItemsSchema, { items: [{ changedMs: 5n, changes: [{}, {}] }] }));
    expect(decodeItems(bytes, 1)).toEqual([{ changedMs: 5, changes: [], unknown: 2 }]);
  });
});

describe("telemetry", () => {
  test("stays the same through the wire", () => {
    fc.assert(
      fc.property(columns, (sent) => expect(decodeTelemetry(encodeTelemetry(sent), sent.tsMs.length)).toEqual(sent)),
    );
  });

  test("that was thinned keeps the number of every record", () => {
    fc.assert(
      fc.property(
        columns,
        fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
        fc.nat(60),
        (sent, keeps, skipped) => {
          const keep = sent.tsMs.flatMap((_, position) => (keeps[position] === true ? [position] : []));
          const thinned = thinRecords(sent, keep);
          const count = sent.tsMs.length;
          const decoded = decodeTelemetry(encodeTelemetry(thinned), count);
          expect(decoded).toEqual(thinned);
          fc.pre(skipped < count);
          const partItems = Math.ceil((count - skipped) / 2);
          const part = recordsBetween(decoded, { skipped, count: partItems });
          const expected = keep.filter((at) => at >= skipped && at < skipped + partItems);
          expect(part.sparse?.count).toBe(partItems);
          expect(part.sparse?.offsets.map((offset) => offset + skipped)).toEqual(expected);
          expect(part.tsMs).toEqual(expected.map((at) => sent.tsMs[at] ?? Number.NaN));
          const other = (): TelemetryColumns => decodeTelemetry(encodeTelemetry(thinned), count + 1);
          expect(other).toThrow(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
        },
      ),
    );
  });

  test("of another number is a PROTOCOL_ERROR", () => {
    fc.assert(
      fc.property(columns, fc.nat(60), (sent, count) => {
        fc.pre(count !== sent.tsMs.length);
        const decode = (): TelemetryColumns => decodeTelemetry(encodeTelemetry(sent), count);
        expect(decode).toThrow(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
      }),
    );
  });
});

describe("compress()", () => {
  const repeated = fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(200))
    .map(([part, times]) => new Uint8Array(Array.from({ length: times }, () => [...part]).flat()));

  test("is undone by decompress(), and never makes a payload longer", () => {
    fc.assert(
      fc.property(repeated, (bytes) => {
        const packed = compress(bytes);
        expect(packed.payload.length).toBeLessThanOrEqual(bytes.length);
        expect(new Uint8Array(decompress(packed))).toEqual(bytes);
      }),
    );
  });

  test("is not undone where there is no zstd", () => {
    expect(() => decompress({ compression: "zstd", payload: new Uint8Array([1, 2, 3]) })).toThrow(
      expect.objectContaining({ code: "PROTOCOL_ERROR" }),
    );
  });
});

test("an error of a call keeps its code and text", () => {
  const error = fromConnectError(toConnectError(new AppError("STORE_MISMATCH", "older")));
  expect([error.code, error.message]).toEqual(["STORE_MISMATCH", "older"]);
});
