import { isUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change, RpcSaved } from "../../shared/entities/change.ts";
import { parseRpcRecord } from "../../shared/entities/rpc.ts";
import { findOpenRpcs, findRpc, rpcSaved } from "../../shared/store/rpc-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { isAssigned } from "./assignment-store.ts";
import type { EdgeEvent, EntityEvent } from "./edge-event.ts";

// Downlinks about requests to devices. A row names the device, and the request in its body.

export function rpcEvent({ body, entity }: RpcSaved): EntityEvent {
  return { type: entity.type, entityId: entity.id, action: "RPC_CALL", body: { rpcId: parseRpcRecord(body).id } };
}

/**
 * What such a row says, with all that is known of the request now. Empty when its device is not on the edge, or it is gone: nobody waits
 * for it any more.
 */
export async function loadRpcChanges(db: Queryable, event: EdgeEvent, nowMs: number): Promise<Change[]> {
  const { edgeId, entityId } = event;
  const id = event.body?.["rpcId"];
  if (typeof id !== "string" || !isUuid(id)) return [];
  const [isWanted, stored] = await Promise.all([isAssigned(db, { edgeId, entityId }), findRpc(db, id)]);
  return isWanted && stored !== null ? [rpcSaved(stored, nowMs)] : [];
}

/** What waits for a device that is put on an edge. */
export async function loadOpenRpcs(db: Queryable, deviceId: Uuid, nowMs: number): Promise<Change[]> {
  return (await findOpenRpcs(db, deviceId)).map((stored) => rpcSaved(stored, nowMs));
}
