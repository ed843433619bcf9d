import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { EntityInput } from "../entities/entity-kind.ts";
import type { EntityType } from "../entities/entity-types.ts";
import { findEntities } from "../store/entity-store.ts";
import { assetResource } from "./assets.ts";
import { deviceResource } from "./devices.ts";
import type { EntityResource } from "./entity-resource.ts";
import { entityViewResource } from "./entity-views.ts";
import type { Principal } from "./principal.ts";
import type { RelationDeps } from "./relation-access.ts";
import { searchParameters, searchRelations } from "./relation-queries.ts";
import { TENANT_ROLES, type RouteTable } from "./route.ts";

const types = z.array(z.string()).nullish();

export const searchInput = z
  .object({
    parameters: searchParameters,
    relationType: z.string().nullish(),
    deviceTypes: types,
    assetTypes: types,
    entityViewTypes: types,
    edgeTypes: types,
  })
  .meta({ id: "EntitySearchQuery", description: "Of the lists of types the one of the kind that is asked for counts" });

type SearchInput = z.output<typeof searchInput>;

/** Entities that relations lead to from a root. */
export function addEntitySearchRoutes(routes: RouteTable, deps: RelationDeps): void {
  addKind(routes, deps, { resource: deviceResource, typesOf: ({ deviceTypes }) => deviceTypes });
  addKind(routes, deps, { resource: assetResource, typesOf: ({ assetTypes }) => assetTypes });
  addKind(routes, deps, { resource: entityViewResource, typesOf: ({ entityViewTypes }) => entityViewTypes });
}

/** Ids of what relations lead to. Whoever sees a relation sees both of its ends. */
export async function searchEntities(
  deps: RelationDeps,
  principal: Principal,
  { search, type }: { readonly search: SearchInput; readonly type: EntityType },
): Promise<Uuid[]> {
  const { parameters, relationType } = search;
  const filters = [{ relationType, entityTypes: [type] }];
  const relations = await searchRelations(deps, principal, { parameters, filters });
  return [...new Set(relations.map(({ from, to }) => (parameters.direction === "FROM" ? to : from).id))];
}

interface Search<Input extends EntityInput> {
  readonly resource: EntityResource<Input>;
  readonly typesOf: (input: SearchInput) => readonly string[] | null | undefined;
}

function addKind<Input extends EntityInput>(
  routes: RouteTable,
  deps: RelationDeps,
  { resource, typesOf }: Search<Input>,
): void {
  const { form, tag, whole } = resource;
  const { type, title, word } = form.kind;
  routes.add(
    {
      method: "post",
      path: `/api/${word}s`,
      tag,
      summary: `${title}s that relations lead to from a root`,
      access: TENANT_ROLES,
      body: searchInput,
      answer: z.array(whole.schema),
    },
    async ({ principal, body }) => {
      const ids = await searchEntities(deps, principal, { search: body, type });
      const wanted = typesOf(body) ?? [];
      const found = await findEntities(deps.db, { type, tenantId: principal.tenantId, ids });
      const chosen = found.filter(({ subtype }) => wanted.length === 0 || wanted.includes(subtype ?? ""));
      return chosen.map(await whole.load(deps.db, chosen));
    },
  );
}
