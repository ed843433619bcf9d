import type { Uuid } from "../../shared/core/ids.ts";
import type { EntityInput } from "../../shared/entities/entity-kind.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import { assetResource } from "../../shared/rest/assets.ts";
import { dashboardResource } from "../../shared/rest/dashboards.ts";
import { deviceResource } from "../../shared/rest/devices.ts";
import { listQuery, showOne, type EntityResource } from "../../shared/rest/entity-resource.ts";
import { showPage } from "../../shared/rest/entity-routes.ts";
import { entityViewResource } from "../../shared/rest/entity-views.ts";
import { visibleTo, type ResourceDeps } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { ruleChainResource } from "../../shared/rest/rule-chains.ts";
import { assignedTo, assignEntity, unassignEntity } from "../store/assignment-store.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { readableEdge } from "./edges.ts";

export interface AssignmentDeps extends Pick<ResourceDeps, "db" | "clock"> {
  readonly unitOfWork: CloudUnitOfWork;
}

const tag = "Assignments";

/** What goes to which edge. */
export function addAssignmentRoutes(routes: RouteTable, deps: AssignmentDeps): void {
  addKind(routes, deps, deviceResource);
  addKind(routes, deps, assetResource);
  addKind(routes, deps, entityViewResource);
  addKind(routes, deps, dashboardResource);
  addKind(routes, deps, ruleChainResource);
}

function addKind<Input extends EntityInput>(
  routes: RouteTable,
  deps: AssignmentDeps,
  resource: EntityResource<Input>,
): void {
  const { db, unitOfWork, clock } = deps;
  const { form, whole, onEdge, edgeFilters, readers } = resource;
  const { type, word, title } = form.kind;
  const parameter = `${word}Id`;
  const path = `/api/edge/{edgeId}/${word}/{${parameter}}` as const;
  const what = title.toLowerCase();
  const answer = whole.schema;
  const assignment = (tenantId: Uuid, edgeId: Uuid, entityId: Uuid) => ({ edgeId, tenantId, type, entityId });
  routes.add(
    { method: "post", path, tag, summary: `Assign: the ${what} goes to the edge`, access: TENANT_ADMIN, answer },
    async (call) => {
      const wanted = assignment(call.principal.tenantId, call.uuid("edgeId"), call.uuid(parameter));
      const assigned = await unitOfWork.runEvents((tx) => assignEntity(tx, wanted, { nowMs: clock.nowMs() }));
      return showOne(db, whole, assigned);
    },
  );
  routes.add(
    { method: "delete", path, tag, summary: `Unassign: the ${what} leaves the edge`, access: TENANT_ADMIN, answer },
    async (call) => {
      const ended = assignment(call.principal.tenantId, call.uuid("edgeId"), call.uuid(parameter));
      return showOne(db, whole, await unitOfWork.runEvents((tx) => unassignEntity(tx, ended)));
    },
  );
  routes.add(
    {
      method: "get",
      path: `/api/edge/{edgeId}/${word}s`,
      tag,
      summary: `${title}s that are assigned to an edge`,
      access: readers,
      query: listQuery(edgeFilters, { hasTimes: true }),
      answer: pageSchema(onEdge.schema),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const scope = { ...visibleTo(call.principal), condition: assignedTo(id) };
      return showPage(db, resource, { scope, query: call.query, view: onEdge });
    },
  );
}
