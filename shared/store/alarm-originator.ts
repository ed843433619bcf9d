import { sql, type SQL } from "drizzle-orm";
import { pgView, text, uuid } from "drizzle-orm/pg-core";
import { arrayParam } from "./array-param.ts";

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

/** Originators that are on edges without being put there: the edge itself, its tenant, users who sign in on it. */
export const UNASSIGNED_ORIGINATORS = ["EDGE", "TENANT", "USER"] as const;

/** `type` is the type of an originator, as SQL. */
export function isUnassignedOriginator(type: SQL): SQL {
  return sql`${type} = any(${arrayParam(UNASSIGNED_ORIGINATORS, "text")})`;
}
