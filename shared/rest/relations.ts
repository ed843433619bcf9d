import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { parseUuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import {
  relationGroup,
  relationInfoSchema,
  relationInput,
  relationSchema,
  relationToRest,
  type RelationKey,
  type StoredRelation,
} from "../entities/relation.ts";
import {
  findRelation,
  findRelations,
  relationNotFound,
  removeRelation,
  removeRelationsOf,
  saveRelation,
} from "../store/relation-store.ts";
import type { Principal } from "./principal.ts";
import { checkEnds, readableRelations, relationInfos, type RelationDeps } from "./relation-access.ts";
import { addRelationQueryRoutes } from "./relation-queries.ts";
import { EVERY_ROLE, type Call, type RouteTable } from "./route.ts";

const tag = "Relations";

const present = (name: string) => z.string({ error: `Required request parameter '${name}' is not present` });
const keyQuery = z.object({
  fromId: present("fromId"),
  fromType: present("fromType"),
  relationType: present("relationType"),
  relationTypeGroup: z.string().optional(),
  toId: present("toId"),
  toType: present("toType"),
});

/** Relations one by one, in lists and by search. */
export function addRelationRoutes(routes: RouteTable, deps: RelationDeps): void {
  addSingleRoutes(routes, deps);
  addListRoutes(routes, deps);
  addRelationQueryRoutes(routes, deps);
}

function addSingleRoutes(routes: RouteTable, deps: RelationDeps): void {
  const { db, unitOfWork } = deps;
  const save = async ({ principal, body }: Call<unknown, z.output<typeof relationInput>>) => {
    await checkEnds(deps, principal, body);
    if (body.typeGroup === "EDGE") throw new AppError("INVALID_ARGUMENT", "Assignments are not changed as relations");
    const { tenantId } = principal;
    return unitOfWork.run((tx) => saveRelation(tx, deps, { tenantId, input: body }));
  };
  const remove = async ({ principal, query }: Call<z.output<typeof keyQuery>, unknown>) => {
    const key = keyOf(query);
    await checkEnds(deps, principal, key);
    return unitOfWork.run((tx) => removeRelation(tx, deps, { tenantId: principal.tenantId, key }));
  };
  const saveSpec = { method: "post", tag, summary: "Make or replace a relation", access: EVERY_ROLE } as const;
  routes.add({ ...saveSpec, path: "/api/relation", body: relationInput }, async (call) => {
    await save(call);
  });
  routes.add({ ...saveSpec, path: "/api/v2/relation", body: relationInput, answer: relationSchema }, async (call) =>
    relationToRest(await save(call)),
  );
  const removeSpec = { method: "delete", tag, summary: "Remove a relation", access: EVERY_ROLE } as const;
  routes.add({ ...removeSpec, path: "/api/relation", query: keyQuery }, async (call) => {
    await remove(call);
  });
  routes.add({ ...removeSpec, path: "/api/v2/relation", query: keyQuery, answer: relationSchema }, async (call) =>
    relationToRest(await remove(call)),
  );
  routes.add(
    {
      method: "get",
      path: "/api/relation",
      tag,
      summary: "The relation between two entities",
      access: EVERY_ROLE,
      query: keyQuery,
      answer: relationSchema,
    },
    async ({ principal, query }) => {
      const key = keyOf(query);
      await checkEnds(deps, principal, key);
      const stored = await findRelation(db, key);
      if (stored === null || stored.isRemoved) throw relationNotFound();
      return relationToRest(stored);
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/relations",
      tag,
      summary: "Remove all common relations of an entity",
      access: EVERY_ROLE,
      query: z.object({ entityId: present("entityId"), entityType: present("entityType") }),
    },
    async ({ principal, query: { entityId, entityType } }) => {
      const entity = { type: entityType, id: parseUuid(entityId, "entityId") };
      await checkEnds(deps, principal, { from: entity, to: entity });
      const { tenantId } = principal;
      await unitOfWork.run((tx) => removeRelationsOf(tx, deps, { tenantId, entityId: entity.id }));
    },
  );
}

const listQuery = z.object({
  fromId: z.string().optional(),
  fromType: z.string().optional(),
  toId: z.string().optional(),
  toType: z.string().optional(),
  relationType: z.string().optional(),
  relationTypeGroup: z.string().optional(),
});

/** The query form, and the path forms that say the same. */
function addListRoutes(routes: RouteTable, deps: RelationDeps): void {
  const groupQuery = listQuery.pick({ relationType: true, relationTypeGroup: true });
  for (const form of ["", "/info"] as const) {
    const answer = z.array(form === "" ? relationSchema : relationInfoSchema);
    const spec = { method: "get", tag, access: EVERY_ROLE, answer } as const;
    const list = (principal: Principal, wanted: ListWanted) =>
      form === "" ? listPlain(deps, principal, wanted) : listInfos(deps, principal, wanted);
    routes.add(
      { ...spec, path: `/api/relations${form}`, summary: "Relations from an entity or to it", query: listQuery },
      ({ principal, query }) => list(principal, wantedOf(query)),
    );
    for (const end of ["from", "to"] as const) {
      const summary = end === "from" ? "Relations from an entity" : "Relations to an entity";
      const path = `/api/relations${form}/${end}/{entityType}/{entityId}` as const;
      const wanted = (call: Call<z.output<typeof groupQuery>, unknown>, relationType?: string): ListWanted => ({
        end,
        entity: { type: call.param("entityType"), id: call.uuid("entityId") },
        type: relationType ?? call.query.relationType,
        group: call.query.relationTypeGroup,
      });
      routes.add({ ...spec, path, summary, query: groupQuery }, (call) => list(call.principal, wanted(call)));
      const typed = { ...spec, path: `${path}/{relationType}`, summary: `${summary}, of one type` } as const;
      routes.add({ ...typed, query: groupQuery }, (call) =>
        list(call.principal, wanted(call, call.param("relationType"))),
      );
    }
  }
}

interface ListWanted {
  readonly end: "from" | "to";
  readonly entity: EntityRef;
  readonly type: string | undefined;
  readonly group: string | undefined;
}

async function listPlain(deps: RelationDeps, principal: Principal, wanted: ListWanted) {
  return (await list(deps, principal, wanted)).map(relationToRest);
}

async function listInfos(deps: RelationDeps, principal: Principal, wanted: ListWanted) {
  return relationInfos(deps, principal, await list(deps, principal, wanted));
}

/** What the caller may see of it. @throws AppError PERMISSION_DENIED when that is not even the entity */
async function list(deps: RelationDeps, principal: Principal, wanted: ListWanted): Promise<StoredRelation[]> {
  const { end, entity, type, group } = wanted;
  await checkEnds(deps, principal, { from: entity, to: entity });
  const typeGroup = relationGroup(group);
  const filter = { [end]: entity, type, typeGroup };
  const isAssignment = typeGroup === "EDGE" && deps.assignments !== undefined;
  const found = isAssignment
    ? await deps.assignments(principal.tenantId, filter)
    : await findRelations(deps.db, principal.tenantId, filter);
  return readableRelations(deps, principal, found);
}

function keyOf(query: z.output<typeof keyQuery>): RelationKey {
  return {
    from: { type: query.fromType, id: parseUuid(query.fromId, "fromId") },
    to: { type: query.toType, id: parseUuid(query.toId, "toId") },
    type: query.relationType,
    typeGroup: relationGroup(query.relationTypeGroup),
  };
}

function wantedOf(query: z.output<typeof listQuery>): ListWanted {
  const { fromId, fromType, toId, toType, relationType: type, relationTypeGroup: group } = query;
  if (fromId !== undefined && fromType !== undefined)
    return { end: "from", entity: { type: fromType, id: parseUuid(fromId, "fromId") }, type, group };
  if (toId !== undefined && toType !== undefined)
    return { end: "to", entity: { type: toType, id: parseUuid(toId, "toId") }, type, group };
  throw new AppError("INVALID_ARGUMENT", "Expected fromId and fromType, or toId and toType");
}
