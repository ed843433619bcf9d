import type { Uuid } from "../core/ids.ts";
import { relationToRest, type RelationKey, type StoredRelation } from "../entities/relation.ts";
import type { RelationFilter } from "../store/relation-store.ts";
import { permissionDenied, type Principal } from "./principal.ts";
import { canRead, namesOf, type RefDeps } from "./refs.ts";
import type { ResourceDeps } from "./resource.ts";

export interface RelationDeps extends ResourceDeps, RefDeps {
  /** What is on which edge, as relations of the group EDGE. @default there are none */
  readonly assignments?: (tenantId: Uuid, filter: RelationFilter) => Promise<StoredRelation[]>;
}

/** Those of which the caller may see both ends. */
export async function readableRelations(
  deps: RelationDeps,
  principal: Principal,
  relations: readonly StoredRelation[],
): Promise<StoredRelation[]> {
  const ends = relations.flatMap(({ from, to }) => [from, to]);
  const readable = await canRead(deps, principal, ends);
  return relations.filter(({ from, to }) => readable.has(from.id) && readable.has(to.id));
}

export async function relationInfos(deps: RelationDeps, { tenantId }: Principal, relations: readonly StoredRelation[]) {
  const names = await namesOf(deps, { tenantId, refs: relations.flatMap(({ from, to }) => [from, to]) });
  return relations.map((relation) => ({
    ...relationToRest(relation),
    fromName: names.get(relation.from.id) ?? null,
    toName: names.get(relation.to.id) ?? null,
  }));
}

/** @throws AppError PERMISSION_DENIED, also for what is not there: nobody learns which ids exist */
export async function checkEnds(
  deps: RelationDeps,
  principal: Principal,
  { from, to }: Pick<RelationKey, "from" | "to">,
): Promise<void> {
  const readable = await canRead(deps, principal, [from, to]);
  if (!readable.has(from.id) || !readable.has(to.id)) throw permissionDenied();
}
