import * as z from "zod";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  pageSchema,
  restId,
  textInput,
  versionInput,
} from "../../shared/entities/fields.ts";
import { looseListQuery } from "../../shared/rest/entity-resource.ts";
import { mapPage, pageQuery, parseIdList, toPageRequest } from "../../shared/rest/pages.ts";
import { permissionDenied, type Principal } from "../../shared/rest/principal.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, validate, type RouteTable } from "../../shared/rest/route.ts";
import { writeAudit } from "../../shared/store/audit-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { findUser } from "../../shared/store/user-store.ts";
import { runTransaction, type CloudUnitOfWork } from "../store/downlink-store.ts";
import { noteSettingsChange } from "../store/edge-settings.ts";
import { findTenantProfiles, LIMITS, readLimits } from "../store/tenant-profile-store.ts";
import { deleteTenant } from "../store/tenant-removal.ts";
import {
  countOfTenant,
  findTenants,
  getTenant,
  listTenants,
  saveTenant,
  tenantNotFound,
  type Tenant,
} from "../store/tenant-store.ts";
import type { EdgeSessions } from "./edge-sessions.ts";

export interface TenantDeps extends Pick<ResourceDeps, "db" | "clock" | "random"> {
  readonly sessions: EdgeSessions;
  readonly unitOfWork: Pick<CloudUnitOfWork, "runSettings">;
}

const tag = "Tenants";
const SYS_ADMIN = ["SYS_ADMIN"] as const;
const ADMINS = ["SYS_ADMIN", "TENANT_ADMIN"] as const;

const contactInput = {
  country: textInput("country").nullish(),
  state: textInput("state").nullish(),
  city: textInput("city").nullish(),
  address: textInput("address").nullish(),
  address2: textInput("address2").nullish(),
  zip: textInput("zip").nullish(),
  phone: textInput("phone").nullish(),
  email: textInput("email").nullish(),
};
const CONTACT_FIELDS = ["country", "state", "city", "address", "address2", "zip", "phone", "email"] as const;

const tenantInput = z
  .object({
    id: idInput.nullish(),
    title: nameInput("Tenant", "title"),
    region: textInput("region").nullish(),
    tenantProfileId: idInput.nullish(),
    ...contactInput,
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "TenantInput" });

const text = z.string().nullable();
const tenantSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    title: z.string(),
    name: z.string(),
    region: text,
    tenantProfileId: entityIdSchema,
    country: text,
    state: text,
    city: text,
    address: text,
    address2: text,
    zip: text,
    phone: text,
    email: text,
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "Tenant" });
const tenantInfoSchema = tenantSchema.extend({ tenantProfileName: z.string() }).meta({ id: "TenantInfo" });

/** Add them behind all other routes below /api/tenant/: `{tenantId}` would match their names. */
export function addTenantRoutes(routes: RouteTable, deps: TenantDeps): void {
  addTenantListRoutes(routes, deps);
  addTenantReadRoutes(routes, deps);
  addTenantWriteRoutes(routes, deps);
}

function addTenantReadRoutes(routes: RouteTable, { db }: TenantDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/tenant/info/{tenantId}",
      tag,
      summary: "A tenant with the name of its profile",
      access: ADMINS,
      answer: tenantInfoSchema,
    },
    async (call) => {
      const tenant = await getTenant(db, ownTenant(call.principal, call.uuid("tenantId")));
      return (await tenantInfos(db, [tenant]))(tenant);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/{tenantId}",
      tag,
      summary: "A tenant",
      access: ADMINS,
      answer: tenantSchema,
    },
    async (call) => tenantToRest(await getTenant(db, ownTenant(call.principal, call.uuid("tenantId")))),
  );
}

/** An administrator of a tenant sees its own. @throws AppError NOT_FOUND */
function ownTenant({ authority, tenantId }: Principal, wanted: Uuid): Uuid {
  if (authority !== "SYS_ADMIN" && wanted !== tenantId) throw tenantNotFound(wanted);
  return wanted;
}

function addTenantListRoutes(routes: RouteTable, { db }: TenantDeps): void {
  const byIds = async (principal: Principal, ids: string) => {
    const tenants = await findTenants(db, parseIdList(ids, "tenantIds"));
    const isVisible = ({ id }: Tenant) => principal.authority === "SYS_ADMIN" || id === principal.tenantId;
    return tenants.filter(isVisible).map(tenantToRest);
  };
  routes.add(
    {
      method: "get",
      path: "/api/tenants/list",
      tag,
      summary: "Tenants by id; unknown ids are left out",
      access: ADMINS,
      query: z.object({ tenantIds: z.string({ error: "Required request parameter 'tenantIds' is not present" }) }),
      answer: z.array(tenantSchema),
    },
    ({ principal, query }) => byIds(principal, query.tenantIds),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenants",
      tag,
      summary: "All tenants, for the system administrator; with tenantIds those with these ids",
      access: ADMINS,
      query: looseListQuery([], ["tenantIds"]),
      answer: pageSchema(tenantSchema),
    },
    async ({ principal, query: { tenantIds, ...query } }) => {
      if (tenantIds !== undefined) return byIds(principal, tenantIds);
      if (principal.authority !== "SYS_ADMIN") throw permissionDenied();
      return mapPage(await listTenants(db, toPageRequest(validate(pageQuery, query))), tenantToRest);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenantInfos",
      tag,
      summary: "All tenants with the names of their profiles",
      access: SYS_ADMIN,
      query: pageQuery,
      answer: pageSchema(tenantInfoSchema),
    },
    async ({ query }) => {
      const found = await listTenants(db, toPageRequest(query));
      return mapPage(found, await tenantInfos(db, found.data));
    },
  );
}

function addTenantWriteRoutes(routes: RouteTable, deps: TenantDeps): void {
  const { db, clock, sessions, unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/tenant",
      tag,
      summary: "Create a tenant, or update the one with this id",
      access: SYS_ADMIN,
      body: tenantInput,
      answer: tenantSchema,
    },
    async ({ body: { id, title, version, region, tenantProfileId, additionalInfo, ...contact } }) => {
      const fields = { region: region ?? null, additionalInfo: additionalInfo ?? null };
      const given = Object.fromEntries(CONTACT_FIELDS.map((field) => [field, contact[field] ?? null]));
      const names = { id: id ?? null, title, profileId: tenantProfileId ?? null };
      const save = { ...names, expectedVersion: version ?? null, body: { ...given, ...fields } };
      return await unitOfWork.runSettings(async (tx) => {
        const saved = await saveTenant(tx, deps, save);
        // Its profile may be another one.
        return { result: tenantToRest(saved), edgeIds: await noteSettingsChange(tx, { tenantId: saved.id }) };
      });
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/tenant/{tenantId}",
      tag,
      summary: "Delete a tenant with everything that is its own",
      access: ADMINS,
    },
    async (call) => {
      const tenantId = ownTenant(call.principal, call.uuid("tenantId"));
      const { userId } = call.principal;
      const userName = (await findUser(db, userId))?.email ?? "";
      const edgeIds = await runTransaction(db, async (tx) => {
        const { title } = await getTenant(tx, tenantId);
        const deleted = await deleteTenant(tx, tenantId, clock.nowMs());
        const what = { entityType: "TENANT", entityId: tenantId, entityName: title, actionType: "DELETED" };
        // Nothing of the tenant is left that could hold it.
        const whose = { tenantId: NULL_UUID, customerId: null, userId, userName, createdMs: clock.nowMs() };
        await writeAudit(tx, { ...what, ...whose, actionData: {}, failure: "" });
        return deleted;
      });
      for (const edgeId of edgeIds) sessions.end({ edgeId, fence: Number.MAX_SAFE_INTEGER, code: "NOT_FOUND" });
    },
  );
}

/** Kinds that the usage of a tenant counts, as its answer names them. */
const COUNTED = {
  devices: "DEVICE",
  assets: "ASSET",
  customers: "CUSTOMER",
  users: "USER",
  dashboards: "DASHBOARD",
  ruleChains: "RULE_CHAIN",
  edges: "EDGE",
} as const;

/** What a tenant has, and what this program is. */
export function addUsageRoute(routes: RouteTable, { db }: Pick<TenantDeps, "db">): void {
  routes.add(
    {
      method: "get",
      path: "/api/usage",
      tag,
      summary: "How much of everything the tenant has; 0 as a maximum: no limit",
      access: TENANT_ADMIN,
      answer: z.record(z.string(), z.int()),
    },
    async ({ principal }) => {
      const [counts, limits] = await Promise.all([
        countOfTenant(db, principal.tenantId),
        readLimits(db, principal.tenantId),
      ]);
      const entries = Object.entries(COUNTED).flatMap(([name, type]) => [
        [name, counts.get(type) ?? 0] as const,
        [LIMITS[type], limits.get(LIMITS[type]) ?? 0] as const,
      ]);
      return { ...Object.fromEntries(entries), alarms: counts.get("ALARM") ?? 0, maxAlarms: 0 };
    },
  );
}

function tenantToRest(tenant: Tenant): z.input<typeof tenantSchema> {
  const { id, title, profileId, version, createdMs, body } = tenant;
  const contact = Object.fromEntries(CONTACT_FIELDS.map((field) => [field, textOf(body[field])]));
  return {
    id: restId("TENANT", id),
    createdTime: createdMs,
    title,
    name: title,
    region: textOf(body["region"]),
    tenantProfileId: { entityType: "TENANT_PROFILE", id: profileId },
    ...(contact as Record<(typeof CONTACT_FIELDS)[number], string | null>), // made from these fields
    version,
    additionalInfo: infoOf(body["additionalInfo"]),
  };
}

async function tenantInfos(db: Queryable, tenants: readonly Tenant[]) {
  const profiles = await findTenantProfiles(
    db,
    tenants.map(({ profileId }) => profileId),
  );
  const names = new Map(profiles.map(({ id, name }) => [id, name]));
  return (tenant: Tenant): z.input<typeof tenantInfoSchema> => ({
    ...tenantToRest(tenant),
    tenantProfileName: names.get(tenant.profileId) ?? "",
  });
}

function textOf(value: Json | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function infoOf(value: Json | undefined): { readonly [key: string]: Json } | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: Json }) // Array.isArray does not know readonly arrays
    : null;
}
