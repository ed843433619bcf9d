import { sql, type SQL } from "drizzle-orm";

/**
 * `values` as one parameter of type `elementType[]`, so that a statement keeps one text whatever the number of rows.
 * Written as an array literal: drizzle would spread a JavaScript array into one parameter per element.
 *
 * @example
 * tx.execute(sql`select * from unnest(${arrayParam(ids, "uuid")}) as input (id)`);
 */
export function arrayParam(values: readonly (string | number | boolean | null)[], elementType: string): SQL {
  return sql`${arrayLiteral(values)}::${sql.raw(elementType)}[]`;
}

/** PostgreSQL's text form of a one-dimensional array. */
export function arrayLiteral(values: readonly (string | number | boolean | null)[]): string {
  return `{${values.map((value) => (value === null ? "NULL" : typeof value === "string" ? quote(value) : String(value))).join(",")}}`;
}

function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
