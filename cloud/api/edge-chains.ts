import * as z from "zod";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { findMissingChains, setEdgeRoot } from "../store/edge-chains.ts";
import { edgeSchema, edgeToRest } from "./edge-form.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

const tag = "Edges";

/** Rule chains of edges. */
export function addEdgeChainRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db, unitOfWork, clock } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/edge/missingToRelatedRuleChains/{edgeId}",
      tag,
      summary: "Chains of an edge that hand messages to chains that are not there",
      access: TENANT_ADMIN,
      answer: z.record(z.string(), z.array(z.string())),
    },
    async (call) => findMissingChains(db, (await readableEdge(deps, call.principal, call.uuid("edgeId"))).id),
  );
  routes.add(
    {
      method: "post",
      path: "/api/edge/{edgeId}/{ruleChainId}/root",
      tag,
      summary: "Make a rule chain the root of an edge",
      access: TENANT_ADMIN,
      answer: edgeSchema,
    },
    async (call) => {
      const key = { id: call.uuid("edgeId"), tenantId: call.principal.tenantId };
      const root = { ruleChainId: call.uuid("ruleChainId"), nowMs: clock.nowMs() };
      return edgeToRest(await unitOfWork.runEvents((tx) => setEdgeRoot(tx, key, root)));
    },
  );
}
