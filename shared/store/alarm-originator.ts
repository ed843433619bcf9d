import { pgView, text, uuid } from "drizzle-orm/pg-core";

/** Columns of the view on both ends; which rows it has is said in the schema of each. */
export const alarmOriginatorColumns = {
  id: uuid("id").notNull(),
  type: text("type").notNull(),
  tenantId: uuid("tenant_id").notNull(),
  /** Whose users see its alarms. */
  customerId: uuid("customer_id"),
  name: text("name").notNull(),
  label: text("label"),
};

/** What alarms may be of: every kind of entity, users, edges and the tenant. */
export const alarmOriginator = pgView("alarm_originator", alarmOriginatorColumns).existing();
