import { asc, count, desc, type InferSelectModel, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { AppError } from "../core/errors.ts";
import { toPage, type Page, type PageRequest } from "./entity-store.ts";
import type { Queryable } from "./unit-of-work.ts";

/** A list that is the rows of one table. */
export interface TableList<Table extends PgTable, Item> {
  readonly table: Table;
  readonly where: SQL | undefined;
  /** Unique; settles ties, and sorts where nothing else is asked for. */
  readonly key: PgColumn;
  /** What it can be sorted by, by the names of REST. `""`: when nothing is asked for. */
  readonly sortable: Readonly<Record<string, PgColumn | SQL>>;
  readonly toItem: (row: InferSelectModel<Table>) => Item;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that the list has not */
export async function readTablePage<Table extends PgTable, Item>(
  db: Queryable,
  { key, sortable, table, toItem, where }: TableList<Table, Item>,
  page: PageRequest,
): Promise<Page<Item>> {
  // Any one, since the query builder can't follow a table through a parameter.
  const from: PgTable = table;
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const rows = db
    .select()
    .from(from)
    .where(where)
    .orderBy(direction(sortColumn({ key, sortable }, page.sortProperty ?? "")), direction(key))
    .limit(page.pageSize)
    .offset(page.pageSize * page.page);
  const totals = db.select({ count: count() }).from(from).where(where);
  const [found, [total]] = await Promise.all([rows, totals]);
  const items = (found as InferSelectModel<Table>[]).map(toItem); // of this table
  return toPage(items, total?.count ?? 0, page);
}

function sortColumn(
  { key, sortable }: Pick<TableList<PgTable, unknown>, "key" | "sortable">,
  property: string,
): PgColumn | SQL {
  if (Object.hasOwn(sortable, property)) return sortable[property] ?? key;
  if (property === "" || property === "id") return key;
  throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${property.slice(0, 64)}'!`, {
    field: "sortProperty",
  });
}
