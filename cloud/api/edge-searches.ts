import * as z from "zod";
import { searchEntities, searchInput } from "../../shared/rest/entity-searches.ts";
import type { RelationDeps } from "../../shared/rest/relation-access.ts";
import { TENANT_ROLES, type RouteTable } from "../../shared/rest/route.ts";
import { findEdges } from "../store/edge-store.ts";
import { readEdgeSchema } from "./edge-form.ts";
import { edgesWithStatus, isVisible, type EdgeDeps } from "./edges.ts";

/** Edges that relations lead to from a root. */
export function addEdgeSearchRoute(routes: RouteTable, deps: EdgeDeps & RelationDeps): void {
  routes.add(
    {
      method: "post",
      path: "/api/edges",
      tag: "Edges",
      summary: "Edges that relations lead to from a root",
      access: TENANT_ROLES,
      body: searchInput,
      answer: z.array(readEdgeSchema),
    },
    async ({ principal, body }) => {
      const ids = await searchEntities(deps, principal, { search: body, type: "EDGE" });
      const found = await findEdges(deps.db, { tenantId: principal.tenantId, ids });
      const wanted = body.edgeTypes ?? [];
      const chosen = found.filter(
        (edge) => isVisible(principal, edge) && (wanted.length === 0 || wanted.includes(edge.type)),
      );
      return chosen.map(await edgesWithStatus(deps, chosen));
    },
  );
}
