import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { entityIdSchema, jsonInput, restId } from "./fields.ts";
import { idText } from "./peer-json.ts";
import {
  readRpcJson,
  RPC_CONTENT_LENGTH_MAX,
  RPC_METHOD_LENGTH_MAX,
  RPC_RETRIES_MAX,
  RPC_STATUSES,
  rpcStatus,
  type RpcRecord,
} from "./rpc.ts";
import type { CanonicalJson } from "./telemetry.ts";
import { joinValues, splitValues } from "./values.ts";

// A request to a device as the REST convention writes it.

const TIMEOUT_MS = 10_000;
const TIMEOUT_MIN_MS = 5_000;

const wholeNumber = (field: string) => z.int({ error: `Validation error: ${field} must be a whole number` }).min(0);

const rpcInputSchema = z.object({
  method: z
    .string({ error: "Method should be specified!" })
    .max(RPC_METHOD_LENGTH_MAX)
    .refine((text) => text.trim() !== "" && !text.includes("\0"), { error: "Method should be specified!" }),
  timeout: wholeNumber("timeout").nullish(),
  expirationTime: wholeNumber("expirationTime").nullish(),
  persistent: z.boolean({ error: "Validation error: persistent must be true or false" }).nullish(),
  retries: wholeNumber("retries").nullish(),
  requestUUID: idText.nullish(),
  additionalInfo: jsonInput.nullish(),
});

export interface RpcInput {
  readonly method: string;
  readonly params: CanonicalJson;
  readonly isPersistent: boolean;
  readonly expirationMs: number;
  readonly retries: number;
  /** null: the caller gave none. */
  readonly id: Uuid | null;
  readonly additionalInfo: RpcRecord["additionalInfo"];
}

/**
 * `{"method":"setGpio","params":{"pin":7},"timeout":10000,"persistent":false,"retries":3,"expirationTime":0,"requestUUID":"…","additionalInfo":{}}`;
 * method and params are needed.
 *
 * @throws AppError INVALID_ARGUMENT, INVALID_PAYLOAD, PAYLOAD_TOO_LARGE
 */
export function readRpcInput(text: string, nowMs: number): RpcInput {
  const members = splitRequest(text);
  const parsed = rpcInputSchema.safeParse(JSON.parse(joinValues(members)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join(".") ?? "";
    throw new AppError("INVALID_ARGUMENT", issue?.message ?? "Invalid request", { field });
  }
  const params = members.get("params");
  if (params === undefined) throw new AppError("INVALID_ARGUMENT", "Params should be specified!", { field: "params" });
  if (params.length > RPC_CONTENT_LENGTH_MAX) {
    throw new AppError(
      "PAYLOAD_TOO_LARGE",
      `Params have ${params.length} characters, at most ${RPC_CONTENT_LENGTH_MAX} fit into a message to a device`,
      { field: "params" },
    );
  }
  const { method, timeout, expirationTime, persistent, retries, requestUUID, additionalInfo } = parsed.data;
  const timeoutMs = Math.max(timeout ?? TIMEOUT_MS, TIMEOUT_MIN_MS);
  return {
    method,
    params,
    isPersistent: persistent ?? false,
    // 0 is what clients send for none.
    expirationMs: expirationTime || Math.round(nowMs) + timeoutMs,
    retries: Math.min(retries ?? RPC_RETRIES_MAX, RPC_RETRIES_MAX),
    id: requestUUID ?? null,
    additionalInfo: additionalInfo ?? null,
  };
}

/** Numbers in params keep their form, so the body is not simply parsed. */
function splitRequest(text: string): Map<string, CanonicalJson> {
  return splitValues(readRpcJson(text));
}

/** A request that was just made. */
export function newRpc(
  { id, ...input }: RpcInput & { readonly id: Uuid },
  made: { readonly deviceId: Uuid; readonly isOneway: boolean; readonly nowMs: number },
): RpcRecord {
  const { deviceId, isOneway } = made;
  const nowMs = Math.round(made.nowMs);
  const steps = [{ status: "QUEUED", attempt: 0, atMs: nowMs }] as const;
  return { id, deviceId, isOneway, ...input, createdMs: nowMs, steps, response: null };
}

export const rpcSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    deviceId: entityIdSchema,
    expirationTime: z.int(),
    request: z.object({
      id: z.uuid(),
      oneway: z.boolean(),
      expirationTime: z.int(),
      body: z.object({ method: z.string(), params: z.string() }),
      persisted: z.boolean(),
      retries: z.int(),
    }),
    status: z.enum(RPC_STATUSES),
    additionalInfo: z.unknown(),
    trail: z.array(z.object({ status: z.enum(RPC_STATUSES), attempt: z.int(), ts: z.int() })),
    response: z.unknown(),
  })
  .meta({ id: "Rpc", description: "A request to a device; trail: what happened to it, in this order" });

/** The JSON of a record; the answer of the device as it was sent. */
export function rpcToRestText(record: RpcRecord, tenantId: Uuid): string {
  const { id, deviceId, method, params, createdMs, expirationMs, isOneway, isPersistent, retries } = record;
  const rest: Omit<z.input<typeof rpcSchema>, "response"> = {
    id: { entityType: "RPC", id },
    createdTime: createdMs,
    tenantId: restId("TENANT", tenantId),
    deviceId: restId("DEVICE", deviceId),
    expirationTime: expirationMs,
    request: {
      id,
      oneway: isOneway,
      expirationTime: expirationMs,
      body: { method, params },
      persisted: isPersistent,
      retries,
    },
    status: rpcStatus(record),
    additionalInfo: record.additionalInfo,
    trail: record.steps.map(({ status, attempt, atMs }) => ({ status, attempt, ts: atMs })),
  };
  return `${JSON.stringify(rest).slice(0, -1)},"response":${record.response ?? "null"}}`;
}
