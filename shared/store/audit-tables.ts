import { sql } from "drizzle-orm";
import { bigint, index, json, pgTable, text, uuid } from "drizzle-orm/pg-core";

const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

/**
 * What callers of the REST interface changed, a row each, written by triggers (by hand in the SQL) in the transaction of the change; see
 * audit-store.ts.
 */
export const auditLog = pgTable(
  "audit_log",
  {
    id: uuid("id")
      .primaryKey()
      .default(sql`gen_random_uuid()`),
    createdMs: timeMs("created_ms"),
    tenantId: uuid("tenant_id").notNull(),
    customerId: uuid("customer_id"),
    entityType: text("entity_type").notNull(),
    entityId: uuid("entity_id").notNull(),
    entityName: text("entity_name"),
    userId: uuid("user_id").notNull(),
    userName: text("user_name").notNull(),
    /** As in the REST convention: ADDED, UPDATED, … */
    actionType: text("action_type").notNull(),
    /** `{ before, after }` and what belongs to them, without secrets. */
    actionData: json("action_data").notNull(),
    /** SUCCESS or FAILURE. */
    actionStatus: text("action_status").notNull().default("SUCCESS"),
    /** What the caller was told; empty for what succeeded. */
    actionFailure: text("action_failure").notNull().default(""),
    /** Order of what was written in one ms. */
    seq: bigint("seq", { mode: "number" }).generatedAlwaysAsIdentity(),
  },
  (table) => [
    index("audit_log_by_time").on(table.tenantId, table.createdMs),
    index("audit_log_by_entity").on(table.entityId, table.createdMs),
    index("audit_log_by_user").on(table.userId, table.createdMs),
    index("audit_log_by_age").on(table.createdMs),
  ],
);
