import * as z from "zod";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { listRefusedUplinks, type RefusedUplink } from "../store/uplink-rejections.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

const refusedUplinkSchema = z
  .object({
    edgeId: entityIdSchema,
    lane: z.enum(UPLINK_LANES),
    seq: z.int(),
    storeId: z.uuid().meta({ description: "Database of the edge that the sequence belongs to" }),
    code: z.string(),
    reason: z.string(),
    refusedBy: z.string().meta({ description: "Version of the cloud that refused" }),
    parkedTime: z.int(),
  })
  .meta({ id: "RefusedUplink" });

/** What this cloud refused of an edge. The items are parked there, where they are replayed or discarded. */
export function addParkedRoutes(routes: RouteTable, deps: EdgeDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/parked",
      tag: "Edges",
      summary:
        "Uplink items of an edge that the cloud refused: the newest 1,000 per lane, and what the edge does not know yet",
      access: TENANT_ADMIN,
      query: pageQuery.extend({ lane: z.enum(UPLINK_LANES).optional(), code: z.string().optional() }),
      answer: pageSchema(refusedUplinkSchema),
    },
    async (call) => {
      const { id: edgeId } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const { lane, code, ...query } = call.query;
      const found = await listRefusedUplinks(deps.db, { edgeId, lane, code }, toPageRequest(query));
      return mapPage(found, ({ text, version, rejectedMs, ...item }: RefusedUplink) => ({
        ...item,
        edgeId: restId("EDGE", edgeId),
        reason: text,
        refusedBy: version,
        parkedTime: rejectedMs,
      }));
    },
  );
}
