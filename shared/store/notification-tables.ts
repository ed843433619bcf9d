import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, json, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";

// Rules and rows of notifications, on both ends.

const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

/** Who is told of which alarms, and how; an edge has those by which it tells of alarms without a link. Lists are null for any. */
export const notificationRule = pgTable(
  "notification_rule",
  {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    name: text("name").notNull(),
    enabled: boolean("enabled").notNull(),
    transitions: jsonb("transitions").notNull(),
    severities: jsonb("severities"),
    alarmTypes: jsonb("alarm_types"),
    deviceProfileIds: jsonb("device_profile_ids"),
    entityIds: jsonb("entity_ids"),
    target: json("target").notNull(),
    /** Of a webhook. Never shown. */
    webhookSecret: text("webhook_secret"),
    /** Edges without a link tell by it themselves. */
    fromEdges: boolean("from_edges").notNull().default(false),
    createdMs: timeMs("created_ms"),
  },
  (table) => [index("notification_rule_by_tenant").on(table.tenantId, table.createdMs)],
);

/**
 * What is to be told, a row per rule and transition of an alarm, written by a trigger (by hand in the SQL) in the transaction that changes
 * the alarm; see notification-store.ts.
 */
export const notification = pgTable(
  "notification",
  {
    /** Follows from alarm, transition and rule. */
    id: uuid("id").primaryKey(),
    ruleId: uuid("rule_id").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    alarmId: uuid("alarm_id").notNull(),
    transition: text("transition").notNull(),
    /** Of several changes of the severity, which; else 0. */
    occasion: bigint("occasion", { mode: "number" }).notNull(),
    /** The row of the alarm, as it was then. */
    alarm: json("alarm").notNull(),
    /** One of NOTIFICATION_STATES. */
    state: text("state").notNull(),
    attempts: integer("attempts").notNull().default(0),
    /** When it is tried next. */
    dueMs: timeMs("due_ms"),
    createdMs: timeMs("created_ms"),
    sentMs: bigint("sent_ms", { mode: "number" }),
    /** Why the last attempt failed. */
    error: text("error"),
  },
  (table) => [
    index("notification_due")
      .on(table.dueMs)
      .where(sql`${table.state} = 'QUEUED'`),
    index("notification_waiting")
      .on(table.ruleId)
      .where(sql`${table.state} = 'QUEUED'`),
    index("notification_by_tenant").on(table.tenantId, table.createdMs),
    index("notification_by_alarm").on(table.alarmId, table.ruleId),
    index("notification_by_age").on(table.createdMs),
  ],
);
