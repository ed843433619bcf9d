import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { Json } from "./entity-record.ts";
import { idText, parsePeerJson, timeMs } from "./peer-json.ts";
import type { CanonicalJson } from "./telemetry.ts";
import { JsonCursor } from "./values-cursor.ts";

// A request to a device. What it asks for never changes; what happened to it is a set of steps that only grows. Each side adds the steps
// that it saw, and both have the same when they have heard of each other: the newest step is its status.
//
//   QUEUED -> SENT(1) -> DELIVERED(1) -> SUCCESSFUL     a request without an answer is done when it is delivered
//             SENT(1) -> TIMEOUT(1) -> SENT(2) -> …     nobody acknowledged it; FAILED when no attempt is left
//   EXPIRED   its time was over before it was sent, or answered
//   DELETED   somebody deleted it; nothing that is said of it later brings it back

export const RPC_STATUSES = [
  "QUEUED",
  "SENT",
  "DELIVERED",
  "SUCCESSFUL",
  "TIMEOUT",
  "EXPIRED",
  "FAILED",
  "DELETED",
] as const;
export type RpcStatus = (typeof RPC_STATUSES)[number];

export interface RpcStep {
  readonly status: RpcStatus;
  /** From 1; 0 for what is about no attempt to send it. */
  readonly attempt: number;
  /** On the clock of the side that saw it. */
  readonly atMs: number;
}

export interface RpcRecord {
  readonly id: Uuid;
  readonly deviceId: Uuid;
  readonly method: string;
  readonly params: CanonicalJson;
  /** Whether the device's answer is not waited for. */
  readonly isOneway: boolean;
  /** Whether it is kept, and its status can be asked for; else somebody waits for its answer. */
  readonly isPersistent: boolean;
  /** Attempts after the first one. */
  readonly retries: number;
  readonly additionalInfo: Json;
  readonly createdMs: number;
  /** When it is of no use any more; on the clock of the side that made it. */
  readonly expirationMs: number;
  /** In the order in which they happened. */
  readonly steps: readonly RpcStep[];
  /** The device's answer, or `{"error":"…"}`; null: there is none yet. */
  readonly response: CanonicalJson | null;
}

/** Attempts after the first one, at most. */
export const RPC_RETRIES_MAX = 5;
export const RPC_METHOD_LENGTH_MAX = 255;
/** Of params and of an answer: what a message to or from a device may carry. */
export const RPC_CONTENT_LENGTH_MAX = 65_536;
const STEPS_MAX = 64;

export function rpcStatus({ steps }: Pick<RpcRecord, "steps">): RpcStatus {
  return steps.at(-1)?.status ?? "QUEUED";
}

/** How often it was sent. */
export function rpcAttempts({ steps }: Pick<RpcRecord, "steps">): number {
  return Math.max(0, ...steps.map(({ attempt }) => attempt));
}

/** Whether nothing more will happen to it. */
export function isRpcDone(record: Pick<RpcRecord, "steps" | "isOneway">): boolean {
  const status = rpcStatus(record);
  return DONE.has(status) || (status === "DELIVERED" && record.isOneway);
}

const DONE: ReadonlySet<RpcStatus> = new Set(["SUCCESSFUL", "EXPIRED", "FAILED", "DELETED"]);

export interface NewStep extends RpcStep {
  /** What the device answered, or why it did not. */
  readonly response?: CanonicalJson;
}

/** The request after one more step. */
export function withStep(record: RpcRecord, { response, ...step }: NewStep): RpcRecord {
  return mergeRpcs(record, { ...record, steps: [step], response: response ?? null });
}

/** What both sides know of one request. Commutative, associative and idempotent. */
export function mergeRpcs(one: RpcRecord, other: RpcRecord): RpcRecord {
  const steps = new Map<string, RpcStep>();
  for (const step of [...one.steps, ...other.steps]) {
    const key = `${step.status} ${step.attempt}`;
    const known = steps.get(key);
    if (known === undefined || known.atMs > step.atMs) steps.set(key, step);
  }
  const sorted = [...steps.values()].toSorted(
    (left, right) => rankOf(left, one.isOneway) - rankOf(right, one.isOneway),
  );
  return { ...one, steps: sorted, response: responseOf(one, other) };
}

/** An answer goes before what was said while there was none; of two the same one on both sides. */
function responseOf(one: RpcRecord, other: RpcRecord): CanonicalJson | null {
  if (one.response === null || other.response === null) return one.response ?? other.response;
  const [first, second] = [one, other].map((record) => rankOf(lastStepOf(record), record.isOneway));
  if (first !== undefined && second !== undefined && first !== second)
    return first > second ? one.response : other.response;
  return one.response > other.response ? one.response : other.response;
}

const NO_STEP: RpcStep = { status: "QUEUED", attempt: 0, atMs: 0 };

function lastStepOf({ steps }: RpcRecord): RpcStep {
  return steps.at(-1) ?? NO_STEP;
}

const STEPS_OF_ATTEMPT = { SENT: 1, TIMEOUT: 2, DELIVERED: 3 } as const;
/** Above those of all attempts. */
const ENDS = { EXPIRED: 1e6, FAILED: 1e6 + 1, DELIVERED: 1e6 + 2, SUCCESSFUL: 1e6 + 3, DELETED: 1e6 + 4 } as const;

/** What happened says more than what did not: an answer goes before the end of the time, in which it came after all. */
function rankOf({ status, attempt }: RpcStep, isOneway: boolean): number {
  switch (status) {
    case "QUEUED":
      return 0;
    case "SENT":
    case "TIMEOUT":
      return attempt * 4 + STEPS_OF_ATTEMPT[status];
    case "DELIVERED":
      return isOneway ? ENDS.DELIVERED : attempt * 4 + STEPS_OF_ATTEMPT.DELIVERED;
    case "EXPIRED":
    case "FAILED":
    case "SUCCESSFUL":
    case "DELETED":
      return ENDS[status];
  }
}

/** How a request ended that somebody waited for. */
export type CallOutcome =
  | { readonly kind: "delivered" }
  | { readonly kind: "answered"; readonly response: CanonicalJson }
  /** The device answered something that is no JSON. */
  | { readonly kind: "unreadable" }
  /** It was sent; nothing came back in time. */
  | { readonly kind: "no-answer" }
  /** It could not be sent in time. */
  | { readonly kind: "no-connection" };

/** The record as JSON, with its fields in one order. */
export function rpcBody(record: RpcRecord): string {
  const { id, deviceId, method, params, isOneway, isPersistent, retries, additionalInfo } = record;
  const { createdMs, expirationMs, response } = record;
  const steps = record.steps.map(({ status, attempt, atMs }) => ({ status, attempt, atMs }));
  const asked = { id, deviceId, method, params, isOneway, isPersistent, retries, additionalInfo };
  return JSON.stringify({ ...asked, createdMs, expirationMs, steps, response });
}

export function isSameRpc(one: RpcRecord, other: RpcRecord): boolean {
  return rpcBody(one) === rpcBody(other);
}

const jsonText = z
  .string()
  .max(RPC_CONTENT_LENGTH_MAX)
  .refine(isJson, { error: "Expected JSON" })
  // Compact by contract.
  .transform((text) => text as CanonicalJson);

const rpcRecordSchema: z.ZodType<RpcRecord> = z.object({
  id: idText,
  deviceId: idText,
  method: z.string().min(1).max(RPC_METHOD_LENGTH_MAX),
  params: jsonText,
  isOneway: z.boolean(),
  isPersistent: z.boolean(),
  retries: z.int().min(0).max(RPC_RETRIES_MAX),
  // Out of JSON.parse; kept without a look inside.
  additionalInfo: z.unknown().transform((info) => (info ?? null) as Json),
  createdMs: timeMs,
  expirationMs: timeMs,
  steps: z
    .array(z.object({ status: z.enum(RPC_STATUSES), attempt: z.int().min(0).max(1000), atMs: timeMs }))
    .max(STEPS_MAX),
  response: jsonText.nullable(),
});

/** The record in the body of an RpcSaved. @throws AppError INVALID_ARGUMENT that names the field */
export function parseRpcRecord(text: string): RpcRecord {
  return parsePeerJson(text, { what: "a request to a device", schema: rpcRecordSchema });
}

/** Any JSON, compact, with its numbers as they are written. @throws AppError INVALID_PAYLOAD with the position */
export function readRpcJson(text: string): CanonicalJson {
  const cursor = new JsonCursor(text);
  const value = cursor.compactValue(() => undefined);
  cursor.expectEnd();
  return value;
}

function isJson(text: string): boolean {
  try {
    readRpcJson(text);
    return true;
  } catch {
    return false;
  }
}
