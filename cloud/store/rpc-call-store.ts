import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { RpcRecord } from "../../shared/entities/rpc.ts";
import { auditTelemetry } from "../../shared/store/audit-store.ts";
import { eraseRpc, findRpcs, lockRpc, putRpc, rpcSaved } from "../../shared/store/rpc-store.ts";
import type { Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { RpcCallStore } from "../jobs/rpc-calls.ts";

/** Notes for the transaction's caller that it asks a device for something, or deletes such a request. */
export function auditRpc(tx: Queryable, record: RpcRecord, action: "RPC_CALL" | "DELETED" = "RPC_CALL"): Promise<void> {
  const { deviceId, id, isOneway, isPersistent, method, params } = record;
  const data = JSON.stringify({ rpcId: id, oneway: isOneway, persisted: isPersistent, method, params });
  const of = action === "DELETED" ? { type: "RPC", id } : undefined;
  return auditTelemetry(tx, { actionType: action, data, entityId: deviceId, of });
}

/** Requests to devices that callers wait for: a row each for as long as somebody waits. */
export function createRpcCallStore(deps: {
  readonly db: Queryable;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
}): RpcCallStore {
  const { db, unitOfWork, clock } = deps;
  return {
    begin: (record) =>
      unitOfWork.run(async (tx) => {
        if ((await lockRpc(tx, record.id)) !== null)
          throw new AppError("ALREADY_EXISTS", `A request with the id ${record.id} exists already`, {
            field: "requestUUID",
          });
        const stored = { record, deadlineMs: record.expirationMs, requestNumber: null };
        await putRpc(tx, stored, clock.nowMs());
        await auditRpc(tx, record);
        return { result: undefined, changes: [rpcSaved(stored, clock.nowMs())] };
      }),
    read: (ids) => findRpcs(db, ids),
    end: (id) => eraseRpc(db, id),
  };
}
