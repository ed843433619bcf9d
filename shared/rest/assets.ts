import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { assetInfoSchema, assetInput, assetSchema, assetToRest } from "../entities/asset.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { pageSchema } from "../entities/fields.ts";
import { saveAsset } from "../store/asset-store.ts";
import {
  deleteEntity,
  findEntities,
  findEntityByName,
  listEntities,
  listSubtypes,
  type EntityFilter,
} from "../store/entity-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { mapPage, pageQuery, parseIdList, toPageRequest } from "./pages.ts";
import {
  customerColumns,
  readableEntity,
  subtypeSchema,
  toSubtypes,
  visibleTo,
  type ResourceDeps,
} from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "./route.ts";

const tag = "Assets";

/** Reading assets, one by one. */
export function addAssetReadRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  routes.add(
    {
      method: "get",
      path: "/api/asset/types",
      tag,
      summary: "Types in use",
      access: TENANT_ROLES,
      answer: z.array(subtypeSchema),
    },
    async ({ principal: { tenantId } }) => toSubtypes(tenantId, "ASSET", await listSubtypes(db, "ASSET", tenantId)),
  );
  routes.add(
    {
      method: "get",
      path: "/api/asset/info/{assetId}",
      tag,
      summary: "An asset with what lists show of it",
      access: TENANT_ROLES,
      answer: assetInfoSchema,
    },
    async (call) => {
      const record = await readableEntity(db, call.principal, { type: "ASSET", id: call.uuid("assetId") });
      return (await assetInfos(db, [record]))(record);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/asset/{assetId}",
      tag,
      summary: "An asset",
      access: TENANT_ROLES,
      answer: assetSchema,
    },
    async (call) => assetToRest(await readableEntity(db, call.principal, { type: "ASSET", id: call.uuid("assetId") })),
  );
  routes.add(
    {
      method: "get",
      path: "/api/assets",
      tag,
      summary: "Assets by id; unknown ids are left out",
      access: TENANT_ROLES,
      query: z.object({ assetIds: z.string({ error: "Required request parameter 'assetIds' is not present" }) }),
      answer: z.array(assetSchema),
    },
    async ({ principal, query }) => {
      const visible = visibleTo(principal);
      const records = await findEntities(db, {
        type: "ASSET",
        tenantId: visible.tenantId,
        ids: parseIdList(query.assetIds, "assetIds"),
      });
      return records
        .filter((record) => visible.customerId === undefined || record.customerId === visible.customerId)
        .map(assetToRest);
    },
  );
}

const listQuery = pageQuery.extend({ type: z.string().optional() });
const infoListQuery = listQuery.extend({ assetProfileId: z.string().optional() });

export function addAssetListRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  const byName = async (tenantId: Uuid, name: string) => {
    const record = await findEntityByName(db, { type: "ASSET", tenantId, name });
    if (record === null) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
    return assetToRest(record);
  };
  routes.add(
    {
      method: "get",
      path: "/api/tenant/asset",
      tag,
      summary: "The asset with this name",
      access: TENANT_ADMIN,
      query: z.object({ assetName: z.string({ error: "Required request parameter 'assetName' is not present" }) }),
      answer: assetSchema,
    },
    ({ principal, query }) => byName(principal.tenantId, query.assetName),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/assets",
      tag,
      summary: "Assets of the tenant; with assetName the one with this name",
      access: TENANT_ADMIN,
      query: listQuery.partial().extend({
        pageSize: z.string().optional(),
        page: z.string().optional(),
        sortOrder: z.string().optional(),
        assetName: z.string().optional(),
      }),
      answer: pageSchema(assetSchema),
    },
    async ({ principal, query }) => {
      if (query.assetName !== undefined) return byName(principal.tenantId, query.assetName);
      return assetPage(db, { tenantId: principal.tenantId }, validate(listQuery, query));
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/assetInfos",
      tag,
      summary: "Assets of the tenant, with what lists show of them",
      access: TENANT_ADMIN,
      query: infoListQuery,
      answer: pageSchema(assetInfoSchema),
    },
    async ({ principal: { tenantId }, query: { type, assetProfileId, ...page } }) => {
      const profileId = assetProfileId === undefined ? undefined : parseIdList(assetProfileId, "assetProfileId")[0];
      const filter: EntityFilter = { type: "ASSET", tenantId, subtype: type, profileId };
      const found = await listEntities(db, filter, toPageRequest(page));
      return mapPage(found, await assetInfos(db, found.data));
    },
  );
}

/** @param scope whose assets: a tenant's, or those that a further condition selects */
export async function assetPage(
  db: Queryable,
  scope: Omit<EntityFilter, "type">,
  query: z.output<typeof listQuery> & {
    readonly startTime?: number | undefined;
    readonly endTime?: number | undefined;
  },
) {
  const { type, ...page } = query;
  const filter: EntityFilter = { ...scope, type: "ASSET", subtype: type };
  return mapPage(await listEntities(db, filter, toPageRequest(page)), assetToRest);
}

async function assetInfos(db: Queryable, records: readonly EntityRecord[]) {
  const customer = await customerColumns(db, records);
  return (record: EntityRecord) => ({
    ...assetToRest(record),
    ...customer(record),
    assetProfileName: record.subtype ?? "default",
  });
}

/** Creating, changing and deleting assets. */
export function addAssetWriteRoutes(routes: RouteTable, deps: ResourceDeps): void {
  routes.add(
    {
      method: "post",
      path: "/api/asset",
      tag,
      summary: "Create an asset, or update the one with this id",
      access: TENANT_ADMIN,
      body: assetInput,
      answer: assetSchema,
    },
    async ({ principal: { tenantId }, body }) =>
      assetToRest(await deps.unitOfWork.run((tx) => saveAsset(tx, deps, { tenantId, input: body }))),
  );
  routes.add(
    {
      method: "delete",
      path: "/api/asset/{assetId}",
      tag,
      summary: "Delete an asset with its data",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const key = { type: "ASSET", id: call.uuid("assetId"), tenantId: call.principal.tenantId } as const;
      await deps.unitOfWork.run((tx) => deleteEntity(tx, key));
    },
  );
}
