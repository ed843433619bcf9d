import * as z from "zod";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { idInput } from "../../shared/entities/fields.ts";
import { dashboardResource } from "../../shared/rest/dashboards.ts";
import { addHomeDashboardRoutes } from "../../shared/rest/home-dashboard.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { keepEntity, notFound } from "../../shared/store/entity-store.ts";
import { runTransaction } from "../store/downlink-store.ts";
import { changeTenantInfo, getTenant } from "../store/tenant-store.ts";

const homeInput = z
  .object({ dashboardId: idInput.nullish(), hideDashboardToolbar: z.boolean().nullish() })
  .meta({ id: "HomeDashboardInput" });

/** Dashboards to begin with, and which one that is for the users of a tenant. */
export function addCloudHomeDashboardRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  const tenantInfo = async (tenantId: Uuid): Promise<Json> =>
    (await getTenant(db, tenantId)).body["additionalInfo"] ?? null;
  addHomeDashboardRoutes(routes, { db, tenantInfo });
  routes.add(
    {
      method: "post",
      path: "/api/tenant/dashboard/home/info",
      tag: dashboardResource.tag,
      access: TENANT_ADMIN,
      summary: "Set the dashboard that users of the tenant begin with; without an id: none",
      body: homeInput,
    },
    async ({ principal: { tenantId }, body }) => {
      const id = body.dashboardId ?? null;
      await runTransaction(db, async (tx) => {
        if (id !== null && !(await keepEntity(tx, { type: "DASHBOARD", id, tenantId })))
          throw notFound("DASHBOARD", id);
        const home = { homeDashboardId: id, homeDashboardHideToolbar: body.hideDashboardToolbar ?? true };
        await changeTenantInfo(tx, tenantId, home);
      });
    },
  );
}
