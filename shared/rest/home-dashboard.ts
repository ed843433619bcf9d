import * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";
import { dashboardSchema } from "../entities/dashboard.ts";
import type { Json } from "../entities/entity-record.ts";
import { entityIdSchema, restId } from "../entities/fields.ts";
import { findEntity } from "../store/entity-store.ts";
import { findUser } from "../store/user-store.ts";
import { wholeDashboard, dashboardResource } from "./dashboards.ts";
import type { Principal } from "./principal.ts";
import { isVisible, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, TENANT_ADMIN, type RouteTable } from "./route.ts";

// The dashboard that a user interface begins with: the user's, else that of its customer, else that of its tenant. Each is named in
// `additionalInfo`, as homeDashboardId and homeDashboardHideToolbar.

export interface HomeDashboard {
  readonly id: Uuid;
  readonly hideToolbar: boolean;
}

export interface HomeDashboardDeps extends Pick<ResourceDeps, "db"> {
  /** `additionalInfo` of a tenant. @default nothing is known of tenants */
  readonly tenantInfo?: (tenantId: Uuid) => Promise<Json>;
}

const homeDashboardInfoSchema = z
  .object({ dashboardId: entityIdSchema.nullable(), hideDashboardToolbar: z.boolean() })
  .meta({ id: "HomeDashboardInfo" });

const homeDashboardSchema = dashboardSchema.extend({ hideDashboardToolbar: z.boolean() }).meta({ id: "HomeDashboard" });

/** Add them in front of `/api/dashboard/{dashboardId}`, which would take "home" for an id. */
export function addHomeDashboardRoutes(routes: RouteTable, deps: HomeDashboardDeps): void {
  const { db } = deps;
  const common = { method: "get", tag: dashboardResource.tag, access: EVERY_ROLE } as const;
  routes.add(
    {
      ...common,
      path: "/api/dashboard/home",
      summary: "The dashboard that the caller begins with; empty when there is none",
      answer: homeDashboardSchema,
    },
    async ({ principal }) => {
      const home = await findHome(deps, principal);
      const record = home === null ? null : await findVisible(deps, principal, home.id);
      if (home === null || record === null) return undefined;
      return wholeDashboard(db, record, { hideDashboardToolbar: home.hideToolbar });
    },
  );
  routes.add(
    {
      ...common,
      path: "/api/dashboard/home/info",
      summary: "Which dashboard the caller begins with; empty when there is none",
      answer: homeDashboardInfoSchema,
    },
    async ({ principal }) => {
      const home = await findHome(deps, principal);
      if (home === null || (await findVisible(deps, principal, home.id)) === null) return undefined;
      return homeToRest(home);
    },
  );
  routes.add(
    {
      ...common,
      path: "/api/tenant/dashboard/home/info",
      summary: "The dashboard that users of the tenant begin with",
      access: TENANT_ADMIN,
      answer: homeDashboardInfoSchema,
    },
    async ({ principal: { tenantId } }) => homeToRest(readHome(await deps.tenantInfo?.(tenantId))),
  );
}

function homeToRest(home: HomeDashboard | null): z.input<typeof homeDashboardInfoSchema> {
  if (home === null) return { dashboardId: null, hideDashboardToolbar: true };
  return { dashboardId: restId("DASHBOARD", home.id), hideDashboardToolbar: home.hideToolbar };
}

async function findVisible({ db }: HomeDashboardDeps, principal: Principal, id: Uuid) {
  const record = await findEntity(db, { type: "DASHBOARD", id, tenantId: principal.tenantId });
  return record !== null && isVisible(principal, record) ? record : null;
}

async function findHome({ db, tenantInfo }: HomeDashboardDeps, principal: Principal): Promise<HomeDashboard | null> {
  const { customerId, tenantId, userId } = principal;
  const user = await findUser(db, userId);
  const customer = customerId === null ? null : await findEntity(db, { type: "CUSTOMER", id: customerId, tenantId });
  return (
    readHome(user?.additionalInfo) ??
    readHome(customer?.body["additionalInfo"]) ??
    readHome(await tenantInfo?.(tenantId))
  );
}

/** null: it names none. */
function readHome(additionalInfo: Json | undefined): HomeDashboard | null {
  if (typeof additionalInfo !== "object" || additionalInfo === null || !("homeDashboardId" in additionalInfo))
    return null;
  const { homeDashboardHideToolbar, homeDashboardId: id } = additionalInfo;
  if (typeof id !== "string" || !isUuid(id)) return null;
  return { id: id.toLowerCase() as Uuid, hideToolbar: homeDashboardHideToolbar !== false };
}
