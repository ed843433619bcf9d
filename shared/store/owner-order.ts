import { sql, type SQL } from "drizzle-orm";
import { entity } from "./tables.ts";

export interface OwnerPage {
  /** About rows of `entity`. */
  readonly where: SQL | undefined;
  readonly direction: "asc" | "desc";
  readonly offset: number;
  readonly limit: number;
}

/**
 * A page of entities in the order of the titles of their customers, then of their ids: those of nobody stand last, or first downwards.
 * Entities are counted per customer first, so that the rows that are skipped lie within one customer, whose index skips them.
 *
 * @returns a query of `id` and `sort_key`
 */
export function pageByOwner({ where, direction, limit, offset }: OwnerPage): SQL {
  const way = sql.raw(direction);
  const conditions = where ?? sql`true`;
  // An index gives rows without a customer in the order of ids only when the customer is named in it.
  const ofOwner = (isOwner: SQL): SQL => sql`(
    select ${entity.id} from ${entity} where ${conditions} and ${isOwner}
    order by ${entity.customerId} ${way}, ${entity.id} ${way}
    offset greatest(${offset}::bigint - chosen.before, 0) limit ${limit})`;
  return sql`
    with counted as materialized (
      select ${entity.customerId} as customer_id, count(*) as entities from ${entity} where ${conditions}
      group by ${entity.customerId}
    ),
    placed as (
      select c.customer_id, c.entities, row_number() over by_title as place, sum(c.entities) over by_title - c.entities as before
      from counted c left join entity owner on owner.id = c.customer_id
      window by_title as (order by owner.name ${way}, owner.id ${way}, c.customer_id ${way})
    ),
    chosen as (select * from placed where before < ${offset + limit}::bigint and before + entities > ${offset}::bigint)
    select found.id, chosen.place as sort_key from chosen cross join lateral (
      ${ofOwner(sql`${entity.customerId} = chosen.customer_id`)}
      union all
      ${ofOwner(sql`${entity.customerId} is null and chosen.customer_id is null`)}
    ) as found
    order by chosen.place, found.id ${way} limit ${limit}`;
}
