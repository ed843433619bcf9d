import { sql } from "drizzle-orm";
import { bigint, boolean, index, json, pgTable, uuid } from "drizzle-orm/pg-core";

const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

/** Requests for history, on both ends; an edge keeps those that are open. */
export const backfill = pgTable(
  "backfill",
  {
    id: uuid("id").primaryKey(),
    /** Cloud: whom it asks. */
    edgeId: uuid("edge_id"),
    isOpen: boolean("is_open").notNull(),
    createdMs: timeMs("created_ms"),
    updatedMs: timeMs("updated_ms"),
    /** A BackfillRecord (shared/entities/backfill.ts). */
    body: json("body").notNull(),
  },
  (table) => [
    index("backfill_by_edge").on(table.edgeId, table.createdMs),
    index("backfill_open")
      .on(table.createdMs)
      .where(sql`${table.isOpen}`),
  ],
);
