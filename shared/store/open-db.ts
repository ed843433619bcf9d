import { drizzle } from "drizzle-orm/postgres-js";
import type { Sql } from "../postgres/connect.ts";
import type { Queryable } from "./unit-of-work.ts";

/** Drizzle over a pool; the pool stays the caller's to close. */
export function openDb(sql: Sql): Queryable {
  return drizzle(sql);
}
