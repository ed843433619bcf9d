import { bigint, boolean, index, json, pgTable, primaryKey, text, uuid } from "drizzle-orm/pg-core";

/** Relations between entities, on both ends; removed ones stay for some time (relation-store.ts). */
export const relation = pgTable(
  "relation",
  {
    fromId: uuid("from_id").notNull(),
    fromType: text("from_type").notNull(),
    toId: uuid("to_id").notNull(),
    toType: text("to_type").notNull(),
    type: text("type").notNull(),
    typeGroup: text("type_group").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    additionalInfo: json("additional_info"),
    /** One more with each change of a relation of the tenant. */
    version: bigint("version", { mode: "number" }).notNull(),
    isRemoved: boolean("is_removed").notNull(),
    updatedMs: bigint("updated_ms", { mode: "number" }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.fromId, table.typeGroup, table.type, table.toId] }),
    index("relation_by_to").on(table.toId, table.typeGroup),
    index("relation_by_version").on(table.tenantId, table.version),
    index("relation_by_time").on(table.isRemoved, table.updatedMs),
  ],
);
