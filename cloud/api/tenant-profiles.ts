import * as z from "zod";
import type { Json } from "../../shared/entities/entity-record.ts";
import {
  entityIdSchema,
  idInput,
  nameInput,
  pageSchema,
  textInput,
  versionInput,
} from "../../shared/entities/fields.ts";
import { looseListQuery } from "../../shared/rest/entity-resource.ts";
import { mapPage, pageQuery, parseIdList, toPageRequest } from "../../shared/rest/pages.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { validate, type RouteTable } from "../../shared/rest/route.ts";
import { runTransaction, type CloudUnitOfWork } from "../store/downlink-store.ts";
import { noteSettingsChange } from "../store/edge-settings.ts";
import {
  deleteTenantProfile,
  findTenantProfiles,
  getTenantProfile,
  LIMITS,
  listTenantProfiles,
  makeDefaultTenantProfile,
  saveTenantProfile,
  type TenantProfile,
} from "../store/tenant-profile-store.ts";

export interface TenantProfileDeps extends Pick<ResourceDeps, "db" | "clock" | "random"> {
  readonly unitOfWork: Pick<CloudUnitOfWork, "runSettings">;
}

const tag = "Tenant profiles";
const access = ["SYS_ADMIN"] as const;

const limit = z.int().min(0).optional().meta({ description: "How many; 0: any number" });
const limits = Object.fromEntries(Object.values(LIMITS).map((name) => [name, limit]));

const profileDataInput = z
  .looseObject({ configuration: z.looseObject(limits) })
  // What JSON.parse made is Json; zod has no cheaper words for it than checking it all again.
  .transform((value) => value as unknown as { readonly [key: string]: Json });

const profileInput = z
  .object({
    id: idInput.nullish(),
    name: nameInput("Tenant profile"),
    description: textInput("description").nullish(),
    profileData: profileDataInput.nullish(),
    version: versionInput.nullish(),
  })
  .meta({ id: "TenantProfileInput" });

const profileSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    name: z.string(),
    description: z.string().nullable(),
    isolatedTbRuleEngine: z.boolean(),
    default: z.boolean(),
    version: z.int(),
    profileData: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "TenantProfile" });
const profileInfoSchema = z.object({ id: entityIdSchema, name: z.string() }).meta({ id: "TenantProfileInfo" });

/** Profiles of tenants, with how much their tenants may have. */
export function addTenantProfileRoutes(routes: RouteTable, deps: TenantProfileDeps): void {
  addInfoRoutes(routes, deps);
  addListRoutes(routes, deps);
  addWriteRoutes(routes, deps);
}

function addInfoRoutes(routes: RouteTable, { db }: TenantProfileDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/tenantProfileInfo/default",
      tag,
      summary: "The profile of new tenants",
      access,
      answer: profileInfoSchema,
    },
    async () => infoToRest(await getTenantProfile(db, null)),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenantProfileInfo/{tenantProfileId}",
      tag,
      summary: "The name of a profile of tenants",
      access,
      answer: profileInfoSchema,
    },
    async (call) => infoToRest(await getTenantProfile(db, call.uuid("tenantProfileId"))),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenantProfile/{tenantProfileId}",
      tag,
      summary: "A profile of tenants with its limits",
      access,
      answer: profileSchema,
    },
    async (call) => profileToRest(await getTenantProfile(db, call.uuid("tenantProfileId"))),
  );
}

function addListRoutes(routes: RouteTable, { db }: TenantProfileDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/tenantProfiles",
      tag,
      summary: "All profiles of tenants; with ids those with these ids",
      access,
      query: looseListQuery([], ["ids"]),
      answer: pageSchema(profileSchema),
    },
    async ({ query: { ids, ...query } }) =>
      ids === undefined
        ? mapPage(await listTenantProfiles(db, toPageRequest(validate(pageQuery, query))), profileToRest)
        : (await findTenantProfiles(db, parseIdList(ids, "ids"))).map(profileToRest),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenantProfileInfos",
      tag,
      summary: "The names of all profiles of tenants",
      access,
      query: pageQuery,
      answer: pageSchema(profileInfoSchema),
    },
    async ({ query }) => mapPage(await listTenantProfiles(db, toPageRequest(query)), infoToRest),
  );
}

function addWriteRoutes(routes: RouteTable, deps: TenantProfileDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/tenantProfile",
      tag,
      summary:
        "Create a profile of tenants, or update the one with this id; limits below what is there take nothing away",
      access,
      body: profileInput,
      answer: profileSchema,
    },
    async ({ body: { id, name, description, profileData, version } }) => {
      const save = {
        id: id ?? null,
        name,
        description: description ?? null,
        profileData: profileData ?? { configuration: { type: "DEFAULT" } },
        expectedVersion: version ?? null,
      };
      return await deps.unitOfWork.runSettings(async (tx) => {
        const saved = await saveTenantProfile(tx, deps, save);
        return { result: profileToRest(saved), edgeIds: await noteSettingsChange(tx, { profileId: saved.id }) };
      });
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/tenantProfile/{tenantProfileId}/default",
      tag,
      summary: "Make it the profile of new tenants",
      access,
      answer: profileSchema,
    },
    async (call) => {
      const id = call.uuid("tenantProfileId");
      return profileToRest(await runTransaction(db, (tx) => makeDefaultTenantProfile(tx, id)));
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/tenantProfile/{tenantProfileId}",
      tag,
      summary: "Delete a profile that no tenant has",
      access,
    },
    async (call) => {
      const id = call.uuid("tenantProfileId");
      await runTransaction(db, (tx) => deleteTenantProfile(tx, id));
    },
  );
}

function profileToRest(profile: TenantProfile): z.input<typeof profileSchema> {
  const { createdMs, isDefault, description, version, profileData } = profile;
  const fields = { description, isolatedTbRuleEngine: false, default: isDefault, version, profileData };
  return { ...infoToRest(profile), createdTime: createdMs, ...fields };
}

function infoToRest({ id, name }: TenantProfile): z.input<typeof profileInfoSchema> {
  return { id: { entityType: "TENANT_PROFILE", id }, name };
}
