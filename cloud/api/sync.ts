import { AppError } from "../../shared/core/errors.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { readEdgeStatuses } from "../store/edge-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

export interface SyncDeps extends Pick<EdgeDeps, "db"> {
  readonly unitOfWork: CloudUnitOfWork;
}

/** "Sync Edge": everything assigned is sent again. */
export function addSyncRoutes(routes: RouteTable, deps: SyncDeps): void {
  const { db, unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/edge/sync/{edgeId}",
      tag: "Edges",
      summary: "Send everything that is assigned to a connected edge again",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const status = (await readEdgeStatuses(db, [id])).get(id);
      if (status?.isConnected !== true) throw new AppError("EDGE_NOT_CONNECTED", "Edge is not connected");
      await unitOfWork.requestFullSync(id);
    },
  );
}
