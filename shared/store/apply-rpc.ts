import type { RpcSaved } from "../entities/change.ts";
import { isSameRpc, mergeRpcs, parseRpcRecord, type RpcRecord } from "../entities/rpc.ts";
import { applied, orRejected, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import { lockRpc, lockRpcDevice, putRpc, rpcSaved, type StoredRpc } from "./rpc-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import type { Queryable } from "./unit-of-work.ts";

/**
 * A request to a device, or what happened to one. What the other side says is joined with what is here (mergeRpcs). One that is not
 * persistent is kept by the side that waits for its answer alone: an edge carries it out once, when it hears of it.
 */
export function applyRpcSaved(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  { change, context }: { readonly change: RpcSaved; readonly context: ApplyContext },
): Promise<ApplyResult> {
  const nowMs = clock.nowMs();
  const { from, tenantId } = context;
  return orRejected(async () => {
    const sent = parseRpcRecord(change.body);
    if (change.entity.type !== "DEVICE" || sent.deviceId !== change.entity.id)
      return rejected("INVALID_ARGUMENT", "Can't read a request: its body is about another device");
    if (!(await lockRpcDevice(tx, { deviceId: sent.deviceId, tenantId })))
      return from === "cloud" ? applied() : rejected("NOT_FOUND", `DEVICE with id [${sent.deviceId}] is not found`);
    if (from === "cloud" && !sent.isPersistent) return applied([change]);
    const stored = await lockRpc(tx, sent.id);
    if (stored !== null && stored.record.deviceId !== sent.deviceId)
      return rejected("ALREADY_EXISTS", `The id ${sent.id} belongs to a request to another device`);
    if (stored === null && !sent.isPersistent) return applied();
    const whole = stored === null ? sent : mergeRpcs(stored.record, sent);
    const next = {
      requestNumber: null,
      ...stored,
      record: whole,
      deadlineMs: deadlineOf(stored, { change, from, nowMs }),
    };
    const saved = rpcSaved(next, nowMs);
    const followUps = from === "edge" && isMore(whole, sent) ? [saved] : [];
    if (stored !== null && isSameRpc(stored.record, whole)) return applied([], followUps);
    await putRpc(tx, next, nowMs);
    return applied([saved], followUps);
  });
}

/** Whether there is something to say that the sender does not know; of what was not persistent it wants to know nothing more. */
function isMore(whole: RpcRecord, sent: RpcRecord): boolean {
  return sent.isPersistent && !isSameRpc(whole, sent);
}

/** The clocks of both sides may differ: what is left of the time counts. The clock of an edge that made a request is its own affair. */
function deadlineOf(
  stored: StoredRpc | null,
  { change, from, nowMs }: { readonly change: RpcSaved; readonly from: "edge" | "cloud"; readonly nowMs: number },
): number | null {
  if (stored !== null) return stored.deadlineMs;
  return from === "cloud" ? nowMs + change.leftMs : null;
}
