import { z } from "zod";
import { AppError } from "../../shared/core/errors.ts";
import { booleanQuery } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { readEdgeStatuses } from "../store/edge-store.ts";
import { readSyncRequests } from "../store/reconcile-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

export interface SyncDeps extends Pick<EdgeDeps, "db"> {
  readonly unitOfWork: CloudUnitOfWork;
}

const syncQuery = z.object({
  full: booleanQuery.optional().meta({ description: "Send everything that is assigned, whether it differs or not" }),
});

const syncStateSchema = z
  .object({
    inProgress: z.boolean(),
    result: z
      .object({
        time: z.int(),
        tookMs: z.int(),
        complete: z.boolean().meta({ description: "Whether the edge answered every question" }),
        checkedTypes: z.array(z.string()),
        missing: z.int().meta({ description: "Sent to the edge, which did not have them" }),
        stale: z.int().meta({ description: "Sent to the edge, which had them in another state" }),
        surplus: z.int().meta({ description: "Removed from the edge" }),
        unknown: z.int().meta({ description: "Asked of the edge, because the cloud never knew them" }),
        lasting: z.int().meta({ description: "Not repaired again: they look as they did before the last repair" }),
      })
      .nullable()
      .meta({ description: "Of the newest comparison, whoever asked for it" }),
  })
  .meta({ id: "EdgeSyncRounds" });

/** "Sync Edge": both sides are compared, and what differs is repaired. */
export function addSyncRoutes(routes: RouteTable, deps: SyncDeps): void {
  const { db, unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/edge/sync/{edgeId}",
      tag: "Edges",
      summary: "Compare a connected edge with what it should hold, and repair what differs",
      access: TENANT_ADMIN,
      query: syncQuery,
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const status = (await readEdgeStatuses(db, [id])).get(id);
      if (status?.isConnected !== true) throw new AppError("EDGE_NOT_CONNECTED", "Edge is not connected");
      await unitOfWork.requestSync(id, { full: call.query.full ?? false });
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/sync",
      tag: "Edges",
      summary: "The newest comparison with an edge",
      access: TENANT_ADMIN,
      answer: syncStateSchema,
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const { requested, completed, result } = await readSyncRequests(db, id);
      if (result === null) return { inProgress: requested > completed, result };
      const { atMs: time, isComplete: complete, ...counts } = result;
      return { inProgress: requested > completed, result: { time, complete, ...counts } };
    },
  );
}
