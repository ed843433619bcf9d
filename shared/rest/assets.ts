import { assetForm, assetInfoSchema, assetToRest } from "../entities/asset.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { createResource } from "./entity-resource.ts";
import { addByIdsRoute, addStandardRoutes } from "./entity-routes.ts";
import { customerColumns, type ResourceDeps } from "./resource.ts";
import { TENANT_ROLES, type RouteTable } from "./route.ts";

export const assetResource = createResource({
  form: assetForm,
  tag: "Assets",
  writers: TENANT_ROLES,
  info: { schema: assetInfoSchema, load: assetInfos },
  filters: ["type"],
  infoFilters: ["type", "assetProfileId"],
  edgeFilters: ["type"],
  hasNamePolicy: true,
});

async function assetInfos(db: Queryable, records: readonly EntityRecord[]) {
  const customer = await customerColumns(db, records);
  return (record: EntityRecord) => ({
    ...assetToRest(record),
    ...customer(record),
    assetProfileName: record.subtype ?? "default",
  });
}

export function addAssetRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { whole } = assetResource;
  addStandardRoutes(routes, deps, assetResource);
  addByIdsRoute(routes, deps, assetResource, { path: "/api/assets", view: whole, access: TENANT_ROLES });
}
