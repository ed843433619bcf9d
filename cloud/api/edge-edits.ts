import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { CONFLICT_KINDS } from "../../shared/store/apply-result.ts";
import { deleteConflict, listConflicts, type StoredConflict } from "../store/conflict-store.ts";
import { CHANGEABLE_TYPES, DELETE_MEANINGS, readEdgeRights, saveEdgeRights } from "../store/edge-rights.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

const tag = "Edges";

/** What edges may change in the cloud, and what of their edits was not taken. */
export function addEdgeEditRoutes(routes: RouteTable, deps: EdgeDeps): void {
  addRightsRoutes(routes, deps);
  addConflictRoutes(routes, deps);
}

const rightsSchema = z
  .object({
    changes: z
      .array(z.enum(CHANGEABLE_TYPES, { error: `Kinds that edges change are ${CHANGEABLE_TYPES.join(", ")}` }))
      .meta({ description: "Kinds that the edge makes, changes and deletes" }),
    deletes: z
      .enum(DELETE_MEANINGS, { error: "Deletes should be DELETE or UNASSIGN" })
      .meta({ description: "UNASSIGN: what is deleted on the edge only leaves it" }),
  })
  .meta({ id: "EdgeRights" });

function addRightsRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db } = deps;
  const route = { path: "/api/edge/{edgeId}/rights", tag, access: TENANT_ADMIN, answer: rightsSchema } as const;
  routes.add({ ...route, method: "get", summary: "What the edge may change in the cloud" }, async (call) =>
    readEdgeRights(db, (await readableEdge(deps, call.principal, call.uuid("edgeId"))).id),
  );
  routes.add(
    { ...route, method: "post", summary: "Say what the edge may change in the cloud", body: rightsSchema },
    async (call) => {
      await saveEdgeRights(db, { id: call.uuid("edgeId"), tenantId: call.principal.tenantId }, call.body);
      return call.body;
    },
  );
}

const conflictSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    edgeId: entityIdSchema,
    entityId: entityIdSchema,
    entityName: z.string(),
    kind: z.enum(CONFLICT_KINDS).meta({
      description:
        "fields: the cloud had changed them too; name: another entity has it; deleted: the entity was deleted in the cloud; " +
        "not-allowed: the edge may not change such entities",
    }),
    fields: z.array(z.object({ field: z.string(), kept: z.string(), dropped: z.string() })),
  })
  .meta({ id: "EdgeConflict" });

function addConflictRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/conflicts",
      tag,
      summary:
        "Edits of the edge that were not taken as they were made, newest first; values as JSON, cut when they are long",
      access: TENANT_ADMIN,
      query: pageQuery,
      answer: pageSchema(conflictSchema),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return mapPage(await listConflicts(db, id, toPageRequest(call.query)), toRest);
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/edge/{edgeId}/conflicts/{conflictId}",
      tag,
      summary: "Take a conflict off the list",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const { id: edgeId } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const isThere = await deleteConflict(db, { edgeId, id: call.uuid("conflictId") });
      if (!isThere) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
    },
  );
}

function toRest({ id, createdMs, edgeId, entity, name, kind, fields }: StoredConflict): z.input<typeof conflictSchema> {
  return {
    id: { id },
    createdTime: createdMs,
    edgeId: restId("EDGE", edgeId),
    entityId: { entityType: entity.type, id: entity.id },
    entityName: name,
    kind,
    fields: [...fields],
  };
}
