import type * as z from "zod";
import {
  assetProfileInfoSchema,
  assetProfileInfoToRest,
  assetProfileSchema,
  assetProfileToRest,
} from "../entities/asset-profile.ts";
import {
  deviceProfileInfoSchema,
  deviceProfileInfoToRest,
  deviceProfileSchema,
  deviceProfileToRest,
} from "../entities/device-profile.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { pageSchema } from "../entities/fields.ts";
import { getEntity, listEntities } from "../store/entity-store.ts";
import { getDefaultProfile, type ProfileType } from "../store/profile-store.ts";
import { mapPage, pageQuery, toPageRequest } from "./pages.ts";
import type { ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, type RouteTable } from "./route.ts";

/** Device and asset profiles, read only; they are made by naming them in a device or an asset. */
export function addProfileRoutes(routes: RouteTable, deps: ResourceDeps): void {
  addKind(routes, deps, {
    type: "DEVICE_PROFILE",
    path: "deviceProfile",
    tag: "Device profiles",
    schema: deviceProfileSchema,
    toRest: deviceProfileToRest,
    infoSchema: deviceProfileInfoSchema,
    toInfo: deviceProfileInfoToRest,
  });
  addKind(routes, deps, {
    type: "ASSET_PROFILE",
    path: "assetProfile",
    tag: "Asset profiles",
    schema: assetProfileSchema,
    toRest: assetProfileToRest,
    infoSchema: assetProfileInfoSchema,
    toInfo: assetProfileInfoToRest,
  });
}

interface ProfileKind {
  readonly type: ProfileType;
  readonly path: string;
  readonly tag: string;
  readonly schema: z.ZodType;
  readonly infoSchema: z.ZodType;
  readonly toRest: (record: EntityRecord) => unknown;
  readonly toInfo: (record: EntityRecord) => unknown;
}

function addKind(routes: RouteTable, { db, unitOfWork, clock, random }: ResourceDeps, kind: ProfileKind): void {
  const { type, path, tag, schema, infoSchema, toRest, toInfo } = kind;
  routes.add(
    {
      method: "get",
      path: `/api/${path}Info/default`,
      tag,
      summary: "The default profile",
      access: TENANT_ROLES,
      answer: infoSchema,
    },
    async ({ principal: { tenantId } }) =>
      toInfo(await unitOfWork.run((tx) => getDefaultProfile(tx, { clock, random }, { type, tenantId }))),
  );
  routes.add(
    {
      method: "get",
      path: `/api/${path}Info/{profileId}`,
      tag,
      summary: "A profile, briefly",
      access: TENANT_ROLES,
      answer: infoSchema,
    },
    async (call) =>
      toInfo(await getEntity(db, { type, id: call.uuid("profileId"), tenantId: call.principal.tenantId })),
  );
  routes.add(
    {
      method: "get",
      path: `/api/${path}/{profileId}`,
      tag,
      summary: "A profile",
      access: TENANT_ADMIN,
      answer: schema,
    },
    async (call) =>
      toRest(await getEntity(db, { type, id: call.uuid("profileId"), tenantId: call.principal.tenantId })),
  );
  routes.add(
    {
      method: "get",
      path: `/api/${path}s`,
      tag,
      summary: "Profiles",
      access: TENANT_ADMIN,
      query: pageQuery,
      answer: pageSchema(schema),
    },
    async ({ principal: { tenantId }, query }) =>
      mapPage(await listEntities(db, { type, tenantId }, toPageRequest(query)), toRest),
  );
  routes.add(
    {
      method: "get",
      path: `/api/${path}Infos`,
      tag,
      summary: "Profiles, briefly",
      access: TENANT_ROLES,
      query: pageQuery,
      answer: pageSchema(infoSchema),
    },
    async ({ principal: { tenantId }, query }) =>
      mapPage(await listEntities(db, { type, tenantId }, toPageRequest(query)), toInfo),
  );
}
