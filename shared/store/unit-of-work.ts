import type { PgDatabase } from "drizzle-orm/pg-core";
import type { PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import type { Change } from "../entities/change.ts";

/** A database or a transaction of it; store functions take either. */
export type Queryable = PgDatabase<PostgresJsQueryResultHKT>;

export interface Outcome<T> {
  readonly result: T;
  /** What happened, in order; empty when nothing did. */
  readonly changes: readonly Change[];
}

/**
 * The one way in which entities, attributes and credentials are changed by people and devices: `work` runs in a transaction,
 * and its changes are written to the outbox (edge: cloud_event; cloud: edge_event of every edge concerned) in the same one.
 * What `work` throws rolls back its own writes only, and is thrown on. `work` must not wait for anything but `tx`.
 */
export interface UnitOfWork {
  run<T>(work: (tx: Queryable) => Promise<Outcome<T>>): Promise<T>;
}
