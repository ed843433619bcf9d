import * as z from "zod";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import { mapPage, timePageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { listDownlinks, type DownlinkStatus } from "../store/downlink-store.ts";
import { readEdgeStatuses } from "../store/edge-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

const edgeEventSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    seqId: z.int(),
    tenantId: entityIdSchema,
    edgeId: entityIdSchema,
    action: z.string(),
    entityId: z.uuid(),
    uid: z.string(),
    type: z.string(),
    body: z.record(z.string(), z.unknown()).nullable(),
    state: z.enum(["queued", "sent", "applied", "failed"]),
    reason: z.string().nullable(),
    appliedTime: z.int().nullable(),
  })
  .meta({ id: "EdgeEvent" });

/** What was and is on its way to an edge, with the state of each. */
export function addDownlinkRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db, sessions } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/events",
      tag: "Edges",
      summary: "Downlinks of an edge with their state",
      access: TENANT_ADMIN,
      query: timePageQuery,
      answer: pageSchema(edgeEventSchema),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const status = (await readEdgeStatuses(db, [id])).get(id);
      const sentElsewhere = status?.isConnected === true ? status.downlinkSent : 0;
      const sentSeq = sessions.sentSeq(id) ?? sentElsewhere;
      const filter = { edgeId: id, sentSeq, ackedSeq: status?.downlinkAcked ?? 0 };
      return mapPage(await listDownlinks(db, filter, toPageRequest(call.query)), downlinkToRest);
    },
  );
}

function downlinkToRest(event: DownlinkStatus): z.input<typeof edgeEventSchema> {
  return {
    id: { id: event.id },
    createdTime: event.createdMs,
    seqId: event.seq,
    tenantId: restId("TENANT", event.tenantId),
    edgeId: restId("EDGE", event.edgeId),
    action: event.action,
    entityId: event.entityId,
    uid: event.id,
    type: event.type,
    body: event.body,
    state: event.state,
    reason: event.reason,
    appliedTime: event.appliedMs,
  };
}
