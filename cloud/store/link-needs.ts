import { sql, type SQL } from "drizzle-orm";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { SYSTEM_LINK } from "../../shared/entities/resource-links.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

/** How the file in the row `f` of `entity` is named by others. */
export function linkNameOf(file: "e" | "f"): SQL {
  const row = sql.raw(file);
  return sql`case ${row}.tenant_id when ${NULL_UUID}::uuid then ${SYSTEM_LINK}::text || ${row}.link else ${row}.link end`;
}

/** Ids of the files that the row `e` of `entity` names. */
export const NAMED_FILES = sql`
  select f.id from entity f where f.link = any(e.links) and f.tenant_id = e.tenant_id
  union all select f.id from unnest(e.links) as named (link)
    join entity f on f.link = substr(named.link, ${SYSTEM_LINK.length + 1}::int) and f.tenant_id = ${NULL_UUID}::uuid
  where starts_with(named.link, ${SYSTEM_LINK})`;

/**
 * What changes mean for files that entities name by link: a file may be there before what names it, or come after that.
 * Locks: each link, until the commit, so that neither of two who write both ends at the same time misses the other.
 *
 * @param newcomers entities that have just been put on an edge
 * @returns `gaining`: entities that name a file which was written; `dropped`: files that may not be needed any more
 */
export async function readLinkNeeds(
  tx: Queryable,
  changes: readonly Change[],
  newcomers: readonly Uuid[],
): Promise<{ readonly gaining: readonly Uuid[]; readonly dropped: readonly Uuid[] }> {
  const files: Uuid[] = [];
  const added: string[] = [];
  const dropped: string[] = [];
  for (const change of changes) {
    if (change.kind !== "entity-saved" && change.kind !== "entity-removed") continue;
    added.push(...(change.needs?.addedLinks ?? []));
    dropped.push(...(change.needs?.droppedLinks ?? []));
    if (change.kind === "entity-saved" && change.entity.type === "TB_RESOURCE") files.push(change.entity.id);
  }
  const isEmpty = files.length + added.length + dropped.length + newcomers.length === 0;
  if (isEmpty) return { gaining: [], dropped: [] };
  await lockLinks(tx, { links: [...added, ...dropped], entityIds: [...files, ...newcomers] });
  const unneeded = await tx.execute<{ id: Uuid }>(sql`
    select f.id from entity f where f.link = any(${arrayParam(dropped.map(withoutScope), "text")}) or f.id = any(${arrayParam(files, "uuid")})`);
  const droppedIds = unneeded.map(({ id }) => id);
  if (files.length === 0) return { gaining: [], dropped: droppedIds };
  // Locked: whoever is just putting one of them on an edge goes first.
  const users = await tx.execute<{ id: Uuid }>(sql`
    select u.id from entity f
      join entity u on u.links @> array[${linkNameOf("f")}] and f.tenant_id in (u.tenant_id, ${NULL_UUID}::uuid)
    where f.id = any(${arrayParam(files, "uuid")}) order by u.id for no key update of u`);
  return { gaining: users.map(({ id }) => id), dropped: droppedIds };
}

function withoutScope(link: string): string {
  return link.startsWith(SYSTEM_LINK) ? link.slice(SYSTEM_LINK.length) : link;
}

/** In one order. Of other tenants' links of the same name too, which nobody notices. */
async function lockLinks(
  tx: Queryable,
  { links, entityIds }: { readonly links: readonly string[]; readonly entityIds: readonly Uuid[] },
): Promise<void> {
  const ids = arrayParam(entityIds, "uuid");
  await tx.execute(sql`
    select pg_advisory_xact_lock(key) from (
      select distinct hashtextextended(link, 1) as key from (
        select unnest(${arrayParam(links, "text")})
        union all select ${linkNameOf("e")} from entity e where e.id = any(${ids}) and e.link is not null
        union all select unnest(e.links) from entity e where e.id = any(${ids})
      ) as named (link)
      order by key
    ) as locked`);
}
