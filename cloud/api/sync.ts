import { AppError } from "../../shared/core/errors.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

export interface SyncDeps extends EdgeDeps {
  readonly unitOfWork: CloudUnitOfWork;
}

/** "Sync Edge": everything assigned is sent again. */
export function addSyncRoutes(routes: RouteTable, deps: SyncDeps): void {
  const { sessions, unitOfWork } = deps;
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
      if (!sessions.isConnected(id)) throw new AppError("EDGE_NOT_CONNECTED", "Edge is not connected");
      await unitOfWork.requestFullSync(id);
    },
  );
}
