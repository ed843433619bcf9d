import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { parseUuid, type Uuid } from "../core/ids.ts";
import {
  relationGroup,
  relationInfoSchema,
  relationSchema,
  relationToRest,
  type StoredRelation,
} from "../entities/relation.ts";
import { stepRelations } from "../store/relation-store.ts";
import type { Principal } from "./principal.ts";
import { checkEnds, readableRelations, relationInfos, type RelationDeps } from "./relation-access.ts";
import { EVERY_ROLE, type RouteTable } from "./route.ts";

/** A search ends with an error beyond it: its answer is held in memory. */
const RELATIONS_MAX = 10_000;
const LEVELS_MAX = 100;

export const searchParameters = z.object(
  {
    rootId: z.string({ error: "Relation root should be specified!" }),
    rootType: z.string({ error: "Relation root should be specified!" }),
    direction: z.enum(["FROM", "TO"], { error: "Relation direction should be specified!" }),
    relationTypeGroup: z.string().nullish().transform(relationGroup),
    maxLevel: z.int().nullish(),
    fetchLastLevelOnly: z.boolean().nullish(),
  },
  { error: "Relation search parameters should be specified!" },
);

const queryInput = z
  .object({
    parameters: searchParameters,
    filters: z
      .array(
        z.object({
          relationType: z.string().nullish(),
          entityTypes: z.array(z.string()).nullish(),
          negate: z.boolean().nullish(),
        }),
      )
      .nullish(),
  })
  .meta({ id: "EntityRelationsQuery" });

type RelationQuery = z.output<typeof queryInput>;

export function addRelationQueryRoutes(routes: RouteTable, deps: RelationDeps): void {
  const spec = { method: "post", tag: "Relations", access: EVERY_ROLE, body: queryInput } as const;
  routes.add(
    {
      ...spec,
      path: "/api/relations",
      summary: "Relations around an entity, level by level",
      answer: z.array(relationSchema),
    },
    async ({ principal, body }) => (await searchRelations(deps, principal, body)).map(relationToRest),
  );
  routes.add(
    { ...spec, path: "/api/relations/info", summary: "The same, with names", answer: z.array(relationInfoSchema) },
    async ({ principal, body }) => relationInfos(deps, principal, await searchRelations(deps, principal, body)),
  );
}

/** What the caller may see of it. @throws AppError PERMISSION_DENIED for the root, INVALID_ARGUMENT for too large an answer */
export async function searchRelations(
  deps: RelationDeps,
  principal: Principal,
  query: RelationQuery,
): Promise<StoredRelation[]> {
  const { rootId, rootType } = query.parameters;
  const root = { type: rootType, id: parseUuid(rootId, "rootId") };
  await checkEnds(deps, principal, { from: root, to: root });
  const found = await walk(deps, principal.tenantId, { query, rootId: root.id });
  return readableRelations(
    deps,
    principal,
    found.filter((relation) => passes(query, relation)),
  );
}

/** Each entity is visited once, so that circles end. maxLevel 0: all levels. */
async function walk(
  { db }: RelationDeps,
  tenantId: Uuid,
  { query, rootId }: { readonly query: RelationQuery; readonly rootId: Uuid },
): Promise<readonly StoredRelation[]> {
  const { direction, relationTypeGroup: typeGroup, maxLevel, fetchLastLevelOnly } = query.parameters;
  const levels =
    maxLevel === undefined || maxLevel === null || maxLevel <= 0 ? LEVELS_MAX : Math.min(maxLevel, LEVELS_MAX);
  const visited = new Set<Uuid>([rootId]);
  const found: StoredRelation[] = [];
  let last: readonly StoredRelation[] = [];
  let ids: readonly Uuid[] = [rootId];
  for (let level = 1; level <= levels && ids.length > 0; level += 1) {
    const step = await stepRelations(db, tenantId, { ids, direction, typeGroup, limit: RELATIONS_MAX + 1 });
    if (found.length + step.length > RELATIONS_MAX) {
      throw new AppError("INVALID_ARGUMENT", `More than ${RELATIONS_MAX} relations; ask for fewer levels`);
    }
    found.push(...step);
    if (step.length > 0) last = step;
    ids = [...new Set(step.map((relation) => farEnd(relation, direction).id))].filter((id) => !visited.has(id));
    for (const id of ids) visited.add(id);
  }
  return fetchLastLevelOnly === true ? last : found;
}

function farEnd({ from, to }: StoredRelation, direction: "FROM" | "TO") {
  return direction === "FROM" ? to : from;
}

/** Any of the filters; none: all. */
function passes({ filters, parameters }: RelationQuery, relation: StoredRelation): boolean {
  if (filters === undefined || filters === null || filters.length === 0) return true;
  const { type } = farEnd(relation, parameters.direction);
  return filters.some(({ relationType, entityTypes, negate }) => {
    const isOfType = !relationType || (relation.type === relationType) !== (negate === true);
    return isOfType && (!entityTypes || entityTypes.length === 0 || entityTypes.includes(type));
  });
}
