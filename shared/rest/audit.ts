import * as z from "zod";
import { entityIdSchema, pageSchema, restCustomerId, restId } from "../entities/fields.ts";
import { listAudit, type AuditEntry, type AuditFilter } from "../store/audit-store.ts";
import { mapPage, timePageQuery, toPageRequest } from "./pages.ts";
import type { ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, type Call, type RouteTable } from "./route.ts";

const tag = "Audit log";
const ADMINS = ["SYS_ADMIN", "TENANT_ADMIN"] as const;

const auditSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    entityId: entityIdSchema,
    entityName: z.string().nullable(),
    userId: entityIdSchema,
    userName: z.string(),
    actionType: z.string(),
    actionData: z.record(z.string(), z.unknown()),
    actionStatus: z.enum(["SUCCESS", "FAILURE"]),
    actionFailureDetails: z.string(),
  })
  .meta({
    id: "AuditLog",
    description: "actionData holds what was before and after, as it is stored, without secrets",
  });

const query = timePageQuery.extend({ actionTypes: z.string().optional() });

/** Who changed what: of the caller's tenant; of a system administrator, what concerns no tenant. */
export function addAuditRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  const list = async (call: Call<z.output<typeof query>, unknown>, filter: Omit<AuditFilter, "tenantId">) => {
    const { actionTypes, ...page } = call.query;
    const wanted = actionTypes === undefined || actionTypes === "" ? undefined : actionTypes.split(",");
    const whose = { tenantId: call.principal.tenantId, actionTypes: wanted };
    return mapPage(await listAudit(db, { ...filter, ...whose }, toPageRequest(page)), toRest);
  };
  const route = { method: "get", tag, query, answer: pageSchema(auditSchema) } as const;
  routes.add({ ...route, path: "/api/audit/logs", summary: "Changes", access: ADMINS }, (call) => list(call, {}));
  routes.add(
    {
      ...route,
      path: "/api/audit/logs/customer/{customerId}",
      summary: "Changes of what a customer has",
      access: TENANT_ADMIN,
    },
    (call) => list(call, { customerId: call.uuid("customerId") }),
  );
  routes.add(
    { ...route, path: "/api/audit/logs/user/{userId}", summary: "Changes that a user made", access: TENANT_ADMIN },
    (call) => list(call, { userId: call.uuid("userId") }),
  );
  routes.add(
    {
      ...route,
      path: "/api/audit/logs/entity/{entityType}/{entityId}",
      summary: "Changes of an entity",
      access: ADMINS,
    },
    (call) => list(call, { entityType: call.param("entityType"), entityId: call.uuid("entityId") }),
  );
}

function toRest(entry: AuditEntry): z.input<typeof auditSchema> {
  return {
    id: { id: entry.id },
    createdTime: entry.createdMs,
    tenantId: restId("TENANT", entry.tenantId),
    customerId: restCustomerId(entry.customerId),
    entityId: { entityType: entry.entityType, id: entry.entityId },
    entityName: entry.entityName,
    userId: restId("USER", entry.userId),
    userName: entry.userName,
    actionType: entry.actionType,
    actionData: entry.actionData,
    actionStatus: entry.failure === "" ? "SUCCESS" : "FAILURE",
    actionFailureDetails: entry.failure,
  };
}
