import * as z from "zod";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { createClaimCode, type ClaimCode } from "../store/claim-store.ts";
import { runTransaction } from "../store/downlink-store.ts";
import { saveEdgeWithChains } from "../store/edge-chains.ts";
import { edgeInput, edgeSchema, edgeToRest, toEdgeSave } from "./edge-form.ts";
import type { EdgeDeps } from "./edges.ts";

const tag = "Enrolment";

const claimCodeSchema = z
  .object({
    claimCode: z.string().meta({ description: "Shown in this answer only; good for one gateway" }),
    expirationTime: z.int(),
  })
  .meta({ id: "ClaimCode" });

/** Codes with which a new gateway becomes an edge: `skerry-edge enroll --cloud URL --code CODE`. */
export function addClaimCodeRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db, claimCodeLifeMs: lifeMs } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/edge/{edgeId}/claimCode",
      tag,
      summary: "A claim code for an edge; the gateway that uses it takes the edge over",
      access: TENANT_ADMIN,
      answer: claimCodeSchema,
    },
    async (call) => {
      const key = { id: call.uuid("edgeId"), tenantId: call.principal.tenantId, lifeMs };
      return toRest(await runTransaction(db, (tx) => createClaimCode(tx, deps, key)));
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/edge/claimCode",
      tag,
      summary: "A new edge with a claim code, all or nothing",
      access: TENANT_ADMIN,
      body: edgeInput,
      answer: claimCodeSchema.extend({ edge: edgeSchema }).meta({ id: "ClaimableEdge" }),
    },
    async ({ principal: { tenantId }, body }) =>
      deps.unitOfWork.runEvents(async (tx) => {
        // Its secret is the gateway's to make: whoever knows the one of now has no use for it.
        const save = { ...toEdgeSave(body, tenantId), id: null, secret: null };
        const { result, events } = await saveEdgeWithChains(tx, deps, save);
        const code = await createClaimCode(tx, deps, { id: result.edge.id, tenantId, lifeMs });
        return { result: { ...toRest(code), edge: edgeToRest(result.edge) }, events };
      }),
  );
}

function toRest({ code, expiresMs }: ClaimCode): z.input<typeof claimCodeSchema> {
  return { claimCode: code, expirationTime: expiresMs };
}
