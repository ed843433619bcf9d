import type { EntityRecord } from "../entities/entity-record.ts";
import { entityViewForm, entityViewInfoSchema, entityViewToRest } from "../entities/entity-view.ts";
import { saveEntityView } from "../store/entity-view-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { createResource } from "./entity-resource.ts";
import { addByIdsRoute, addStandardRoutes } from "./entity-routes.ts";
import { customerColumns, type ResourceDeps } from "./resource.ts";
import { TENANT_ROLES, type RouteTable } from "./route.ts";

export const entityViewResource = createResource({
  form: entityViewForm,
  tag: "Entity views",
  writers: TENANT_ROLES,
  info: { schema: entityViewInfoSchema, load: entityViewInfos },
  filters: ["type"],
  infoFilters: ["type"],
  edgeFilters: ["type"],
  hasNamePolicy: true,
  save: saveEntityView,
});

async function entityViewInfos(db: Queryable, records: readonly EntityRecord[]) {
  const customer = await customerColumns(db, records);
  return (record: EntityRecord) => ({ ...entityViewToRest(record), ...customer(record) });
}

export function addEntityViewRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { whole } = entityViewResource;
  addStandardRoutes(routes, deps, entityViewResource);
  for (const path of ["/api/entityViews/list", "/api/entityViews"] as const) {
    addByIdsRoute(routes, deps, entityViewResource, { path, view: whole, access: TENANT_ROLES });
  }
}
