import * as z from "zod";
import type { Uuid } from "../../shared/core/ids.ts";
import { assetSchema, assetToRest } from "../../shared/entities/asset.ts";
import { deviceInfoSchema, deviceSchema, deviceToRest } from "../../shared/entities/device.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { AssignableType } from "../../shared/entities/entity-types.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import { assetPage } from "../../shared/rest/assets.ts";
import { deviceInfoPage } from "../../shared/rest/devices.ts";
import { booleanQuery, timePageQuery } from "../../shared/rest/pages.ts";
import { visibleTo, type ResourceDeps } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, type RouteTable } from "../../shared/rest/route.ts";
import { assignedTo, assignEntity, unassignEntity } from "../store/assignment-store.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { readableEdge } from "./edges.ts";

export interface AssignmentDeps extends Pick<ResourceDeps, "db" | "clock"> {
  readonly unitOfWork: CloudUnitOfWork;
}

const tag = "Assignments";

/** What goes to which edge. */
export function addAssignmentRoutes(routes: RouteTable, deps: AssignmentDeps): void {
  const { db } = deps;
  addKind(routes, deps, { type: "DEVICE", segment: "device", answer: deviceSchema, toRest: deviceToRest });
  addKind(routes, deps, { type: "ASSET", segment: "asset", answer: assetSchema, toRest: assetToRest });
  const typeQuery = timePageQuery.extend({ type: z.string().optional() });
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/devices",
      tag,
      summary: "Devices that are assigned to an edge",
      access: TENANT_ROLES,
      query: typeQuery.extend({ deviceProfileId: z.string().optional(), active: booleanQuery.optional() }),
      answer: pageSchema(deviceInfoSchema),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return deviceInfoPage(db, { ...visibleTo(call.principal), condition: assignedTo(id) }, call.query);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/assets",
      tag,
      summary: "Assets that are assigned to an edge",
      access: TENANT_ROLES,
      query: typeQuery,
      answer: pageSchema(assetSchema),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return assetPage(db, { ...visibleTo(call.principal), condition: assignedTo(id) }, call.query);
    },
  );
}

interface AssignableKind {
  readonly type: AssignableType;
  readonly segment: string;
  readonly answer: z.ZodType;
  readonly toRest: (record: EntityRecord) => unknown;
}

function addKind(routes: RouteTable, { unitOfWork, clock }: AssignmentDeps, kind: AssignableKind): void {
  const { type, segment, answer, toRest } = kind;
  const path = `/api/edge/{edgeId}/${segment}/{entityId}` as const;
  const assignment = (tenantId: Uuid, edgeId: Uuid, entityId: Uuid) => ({ edgeId, tenantId, type, entityId });
  routes.add(
    { method: "post", path, tag, summary: `Assign: the ${segment} goes to the edge`, access: TENANT_ADMIN, answer },
    async (call) => {
      const wanted = assignment(call.principal.tenantId, call.uuid("edgeId"), call.uuid("entityId"));
      return toRest(await unitOfWork.runEvents((tx) => assignEntity(tx, wanted, { nowMs: clock.nowMs() })));
    },
  );
  routes.add(
    { method: "delete", path, tag, summary: `Unassign: the ${segment} leaves the edge`, access: TENANT_ADMIN, answer },
    async (call) => {
      const ended = assignment(call.principal.tenantId, call.uuid("edgeId"), call.uuid("entityId"));
      return toRest(await unitOfWork.runEvents((tx) => unassignEntity(tx, ended)));
    },
  );
}
