import type { z } from "zod";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import { gapSchema, gapToRest } from "../../shared/rest/gaps.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { readableEntity } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, type RouteTable } from "../../shared/rest/route.ts";
import { listGaps, type DeviceGap } from "../store/gap-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

const edgeGapSchema = gapSchema.extend({ edgeId: entityIdSchema }).meta({ id: "EdgeTelemetryGap" });

/** What edges removed before it was sent, because their disk quota was reached. */
export function addGapRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db } = deps;
  const list = { method: "get", query: pageQuery, answer: pageSchema(edgeGapSchema) } as const;
  routes.add(
    {
      ...list,
      path: "/api/edge/{edgeId}/gaps",
      tag: "Edges",
      summary: "Telemetry that an edge removed before it was sent, newest removal first",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return mapPage(await listGaps(db, { edgeId: id }, toPageRequest(call.query)), edgeGapToRest);
    },
  );
  routes.add(
    {
      ...list,
      path: "/api/device/{deviceId}/gaps",
      tag: "Devices",
      summary: "Telemetry of a device that an edge removed before it was sent, newest removal first",
      access: TENANT_ROLES,
    },
    async (call) => {
      const { id } = await readableEntity(db, call.principal, { type: "DEVICE", id: call.uuid("deviceId") });
      return mapPage(await listGaps(db, { deviceId: id }, toPageRequest(call.query)), edgeGapToRest);
    },
  );
}

function edgeGapToRest(gap: DeviceGap): z.input<typeof edgeGapSchema> {
  return { ...gapToRest(gap), edgeId: restId("EDGE", gap.edgeId) };
}
