import { z } from "zod";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import { mapPage, timePageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import type { Edge } from "../store/edge-store.ts";
import { listLifecycleEvents, type LifecycleEvent } from "../store/session-history.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

const lifecycleEventSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    tenantId: entityIdSchema,
    entityId: entityIdSchema,
    type: z.literal("LC_EVENT"),
    uid: z.string(),
    body: z.object({
      server: z.string().meta({ description: "The cloud process that held the session" }),
      event: z.enum(["CONNECTED", "DISCONNECTED"]),
      success: z.boolean().meta({ description: "False for a session that did not end in an orderly way" }),
      error: z.string().nullable().meta({ description: "Why the session ended; a code" }),
      session: z.int(),
      edgeVersion: z.string(),
    }),
  })
  .meta({ id: "LifecycleEvent" });

/** When an edge connected and disconnected: of its newest 500 sessions. */
export function addLifecycleEventRoutes(routes: RouteTable, deps: EdgeDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/events/EDGE/{edgeId}/LC_EVENT",
      tag: "Edges",
      summary: "When an edge connected and disconnected, the newest first",
      access: TENANT_ADMIN,
      query: timePageQuery.extend({ tenantId: z.string().optional() }),
      answer: pageSchema(lifecycleEventSchema),
    },
    async (call) => {
      const edge = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const page = {
        ...toPageRequest(call.query),
        sortOrder: call.query.sortOrder?.toUpperCase() === "ASC" ? "ASC" : "DESC",
      } as const;
      return mapPage(await listLifecycleEvents(deps.db, edge.id, page), (event) => eventToRest(edge, event));
    },
  );
}

function eventToRest(edge: Edge, event: LifecycleEvent): z.input<typeof lifecycleEventSchema> {
  const { edgeVersion, reason, session } = event;
  return {
    id: { id: event.id },
    createdTime: event.createdMs,
    tenantId: restId("TENANT", edge.tenantId),
    entityId: restId("EDGE", edge.id),
    type: "LC_EVENT",
    uid: event.id,
    body: {
      server: event.replicaId,
      event: event.event,
      success: reason === null || reason === "CANCELLED",
      error: reason,
      session,
      edgeVersion,
    },
  };
}
