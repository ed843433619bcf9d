import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Uuid } from "../../shared/core/ids.ts";
import {
  isRpcDone,
  mergeRpcs,
  parseRpcRecord,
  RPC_STATUSES,
  rpcBody,
  rpcStatus,
  withStep,
  type RpcRecord,
  type RpcStep,
} from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";

const json = (text: string): CanonicalJson => text as CanonicalJson;

const BASE: RpcRecord = {
  id: "00000000-0000-7000-8000-000000000001" as Uuid,
  deviceId: "00000000-0000-7000-8000-000000000002" as Uuid,
  method: "setGpio",
  params: json('{"pin":7}'),
  isOneway: false,
  isPersistent: true,
  retries: 2,
  additionalInfo: null,
  createdMs: 1,
  expirationMs: 1_000,
  steps: [{ status: "QUEUED", attempt: 0, atMs: 1 }],
  response: null,
};

/** Attempts belong to some statuses only. */
function stepOf(status: RpcStep["status"], attempt: number, atMs: number): RpcStep {
  const isOfAttempt = status === "SENT" || status === "DELIVERED" || status === "TIMEOUT";
  return { status, attempt: isOfAttempt ? attempt : 0, atMs };
}

const step = fc
  .tuple(fc.constantFrom(...RPC_STATUSES), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 }))
  .map(([status, attempt, atMs]) => ({ ...stepOf(status, attempt, atMs) }));
const response = fc.constantFrom(undefined, json("1"), json('{"error":"x"}'));

/** What one side has seen of a request. */
const record: fc.Arbitrary<RpcRecord> = fc
  .array(fc.tuple(step, response), { maxLength: 6 })
  .map((steps) =>
    steps.reduce(
      (known, [seen, answer]) => withStep(known, answer === undefined ? seen : { ...seen, response: answer }),
      BASE,
    ),
  );

describe("mergeRpcs() gives", () => {
  test("the same steps whatever the order and number of times", () => {
    fc.assert(
      fc.property(record, record, record, (one, two, three) => {
        const stepsOf = (merged: RpcRecord): string => JSON.stringify(merged.steps);
        const merged = stepsOf(mergeRpcs(mergeRpcs(one, two), three));
        expect(stepsOf(mergeRpcs(three, mergeRpcs(two, one)))).toBe(merged);
        expect(stepsOf(mergeRpcs(mergeRpcs(two, mergeRpcs(three, one)), two))).toBe(merged);
      }),
      { numRuns: 2_000 },
    );
  });

  test("the same record on both sides that hear of each other", () => {
    fc.assert(
      fc.property(record, record, (one, two) => {
        expect(rpcBody(mergeRpcs(one, two))).toBe(rpcBody(mergeRpcs(two, one)));
      }),
      { numRuns: 2_000 },
    );
  });

  test("a deleted one when either side has deleted it", () => {
    fc.assert(
      fc.property(record, record, (one, two) => {
        const isDeleted = [one, two].some((side) => rpcStatus(side) === "DELETED");
        expect(rpcStatus(mergeRpcs(one, two)) === "DELETED").toBe(isDeleted);
      }),
    );
  });

  test.each<[string, RpcStep["status"][], RpcStep["status"]]>([
    ["an answer that came in time after all", ["SENT", "DELIVERED", "SUCCESSFUL", "EXPIRED"], "SUCCESSFUL"],
    ["an acknowledgement of an attempt that seemed lost", ["SENT", "TIMEOUT", "DELIVERED"], "DELIVERED"],
    ["the end of the time of one that was sent", ["SENT", "EXPIRED"], "EXPIRED"],
  ])("%s", (_, statuses, status) => {
    const known = statuses.reduce((before, next) => withStep(before, stepOf(next, 1, 5)), BASE);
    expect(rpcStatus(known)).toBe(status);
  });
});

test("isRpcDone() is true of one that wants no answer when it is delivered", () => {
  const delivered = withStep(BASE, { status: "DELIVERED", attempt: 1, atMs: 5 });
  expect([isRpcDone(delivered), isRpcDone({ ...delivered, isOneway: true })]).toEqual([false, true]);
});

test("parseRpcRecord() reads what rpcBody() writes, and refuses anything else", () => {
  fc.assert(fc.property(record, (written) => expect(parseRpcRecord(rpcBody(written))).toEqual(written)));
  for (const wrong of ["", "{}", rpcBody({ ...BASE, method: "" }), rpcBody({ ...BASE, params: json("{") })])
    expect(() => parseRpcRecord(wrong)).toThrow("Can't read a request to a device");
});
