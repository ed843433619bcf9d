import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { AppError } from "../../shared/core/errors.ts";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { decodeItems, encodeItems } from "../../shared/wire/changes-codec.ts";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "../../shared/wire/frames-codec.ts";
import {
  ItemsSchema,
  SessionRequestSchema,
  SessionResponseSchema,
  TelemetryRecordsSchema,
} from "../../shared/wire/gen/skerry/sync/v1/sync_pb.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { HELLO, ID, WELCOME } from "./sync-values.ts";

// Whatever a peer sends: decoding gives a value or PROTOCOL_ERROR, and nothing else.

/** The code of what `decode` threw, null when it threw nothing. */
function refusal(decode: () => unknown): string | null {
  try {
    decode();
    return null;
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : `threw ${String(thrown)}`;
  }
}

/** A few bytes replaced. */
const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });

function spoil(bytes: Uint8Array, changes: readonly (readonly [position: number, value: number])[]): Uint8Array {
  const copy = bytes.slice();
  for (const [position, value] of changes) copy[position % copy.length] = value;
  return copy;
}

/** What protobuf itself refuses is answered by the RPC library. */
function parse<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

describe("a spoiled greeting", () => {
  const hello = toBinary(SessionRequestSchema, create(SessionRequestSchema, encodeRequest({ ...HELLO, cloudId: ID })));
  const welcome = toBinary(SessionResponseSchema, create(SessionResponseSchema, encodeResponse(WELCOME)));

  test("is a PROTOCOL_ERROR or another frame", () => {
    fc.assert(
      fc.property(edits, (changes) => {
        const request = parse(() => fromBinary(SessionRequestSchema, spoil(hello, changes)));
        const response = parse(() => fromBinary(SessionResponseSchema, spoil(welcome, changes)));
        if (request !== null) expect([null, "PROTOCOL_ERROR"]).toContain(refusal(() => decodeRequest(request)));
        if (response !== null) expect([null, "PROTOCOL_ERROR"]).toContain(refusal(() => decodeResponse(response)));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["a store id of 15 bytes", { storeId: new Uint8Array(15) }],
    ["a cloud id of 3 bytes", { storeId: new Uint8Array(16), cloudId: new Uint8Array(3) }],
    ["a clock beyond 2^53", { storeId: new Uint8Array(16), wallClockMs: -(2n ** 60n) }],
  ])("with %s is a PROTOCOL_ERROR", (_name, value) => {
    const message = create(SessionRequestSchema, { frame: { case: "hello", value } });
    expect(refusal(() => decodeRequest(message))).toBe("PROTOCOL_ERROR");
  });
});

describe("spoiled items", () => {
  const entity = { type: "DEVICE", id: ID };
  const value = '"a"' as CanonicalJson;
  const items = encodeItems([
    { changedMs: 5, changes: [{ kind: "entity-saved", entity, body: "{}" }] },
    {
      changedMs: 6,
      changes: [
        { kind: "attributes-saved", entity, scope: "SHARED_SCOPE", attributes: [{ key: "k", value, updatedMs: 7 }] },
        { kind: "entity-removed", entity, deleted: true },
      ],
    },
  ]);

  test("are a PROTOCOL_ERROR or other items", () => {
    fc.assert(
      fc.property(edits, (changes) => {
        expect([null, "PROTOCOL_ERROR"]).toContain(refusal(() => decodeItems(spoil(items, changes), 2)));
      }),
      { numRuns: 2_000 },
    );
  });

  function itemWith(id: Uint8Array<ArrayBuffer>, changedMs: bigint): Uint8Array {
    const kind = { case: "entityRemoved" as const, value: { entity: { type: "DEVICE", id }, deleted: true } };
    return toBinary(ItemsSchema, create(ItemsSchema, { items: [{ changedMs, changes: [{ kind }] }] }));
  }

  test.each([
    ["an entity id of 3 bytes", itemWith(new Uint8Array(3), 1n)],
    ["a time beyond 2^53", itemWith(new Uint8Array(16), 2n ** 60n)],
  ])("with %s are a PROTOCOL_ERROR", (_name, bytes) => {
    expect(refusal(() => decodeItems(bytes, 1))).toBe("PROTOCOL_ERROR");
  });
});

describe("spoiled telemetry", () => {
  const RECORD = { entityIds: [new Uint8Array(16)], entityIndex: [0], tsDeltaMs: [5n], keySet: [0], values: "{}" };

  function encode(fields: Partial<typeof RECORD>): Uint8Array {
    return toBinary(TelemetryRecordsSchema, create(TelemetryRecordsSchema, { ...RECORD, ...fields }));
  }

  test("is a PROTOCOL_ERROR or other telemetry, with times that are exact", () => {
    const bytes = encode({ tsDeltaMs: [2n ** 45n] });
    fc.assert(
      fc.property(edits, (changes) => {
        const decode = (): void => {
          expect(decodeTelemetry(spoil(bytes, changes), 1).tsMs.every(Number.isSafeInteger)).toBe(true);
        };
        expect([null, "PROTOCOL_ERROR"]).toContain(refusal(decode));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["an entity id of 3 bytes", { entityIds: [new Uint8Array(3)] }],
    ["a time beyond 2^53", { tsDeltaMs: [2n ** 60n] }],
  ])("with %s is a PROTOCOL_ERROR", (_name, fields) => {
    expect(refusal(() => decodeTelemetry(encode(fields), 1))).toBe("PROTOCOL_ERROR");
  });

  test("keeps the ids of entities as they are", () => {
    const id = uuidFromBytes(new Uint8Array(16).fill(3));
    expect(decodeTelemetry(encode({ entityIds: [new Uint8Array(16).fill(3)] }), 1).entityIds).toEqual([id]);
  });
});
