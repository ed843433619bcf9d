import { AppError } from "../../shared/core/errors.ts";
import { readRpcJson, RPC_METHOD_LENGTH_MAX } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { joinValues, kindOf, splitValues, textOf } from "../../shared/entities/values.ts";
import type { DeviceQuestion, RpcToDevice } from "./rpc-ports.ts";

// Requests between devices and the server as texts, the same in each protocol.

/** `{"method":"setGpio","params":{"pin":7}}`, with `"id":5` in front where the protocol has no other place for it. */
export function rpcText(
  { number, method, params }: RpcToDevice,
  { withNumber }: { withNumber: boolean },
): CanonicalJson {
  const members: [string, CanonicalJson][] = [
    ["method", JSON.stringify(method) as CanonicalJson], // a text is canonical as it is
    ["params", params],
  ];
  return joinValues(withNumber ? [["id", String(number) as CanonicalJson], ...members] : members);
}

/** `{"method":"getTime","params":{}}`; params may be missing. @throws AppError INVALID_PAYLOAD */
export function readQuestion(text: string): DeviceQuestion {
  const members = splitValues(readRpcJson(text));
  const method = members.get("method");
  if (method === undefined || kindOf(method) !== "string" || method.length > RPC_METHOD_LENGTH_MAX + 2)
    throw new AppError("INVALID_PAYLOAD", 'Expected text in "method"', { field: "method" });
  return { method: textOf(method), params: members.get("params") ?? ("{}" as CanonicalJson) };
}
