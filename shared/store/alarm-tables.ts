import { sql } from "drizzle-orm";
import { bigint, boolean, index, json, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";

// Alarms and their comments, on both ends. Whose they are is said by their originator (alarm-originator.ts).

const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

export const alarm = pgTable(
  "alarm",
  {
    id: uuid("id").primaryKey(),
    originatorId: uuid("originator_id").notNull(),
    originatorType: text("originator_type").notNull(),
    type: text("type").notNull(),
    severity: text("severity").notNull(),
    startMs: timeMs("start_ms"),
    endMs: timeMs("end_ms"),
    details: json("details"),
    propagate: boolean("propagate").notNull(),
    propagateToOwner: boolean("propagate_to_owner").notNull(),
    propagateToTenant: boolean("propagate_to_tenant").notNull(),
    /** An array of texts. */
    propagateRelationTypes: json("propagate_relation_types").notNull(),
    createdMs: timeMs("created_ms"),
    /** When severity, times, details and propagation were edited last. */
    editedMs: timeMs("edited_ms"),
    /** 0: not acknowledged. */
    ackMs: timeMs("ack_ms"),
    /** 0: active. */
    clearMs: timeMs("clear_ms"),
    assigneeId: uuid("assignee_id"),
    /** When it was assigned, or unassigned, last; 0: never. */
    assignMs: timeMs("assign_ms"),
  },
  (table) => [
    uniqueIndex("alarm_active")
      .on(table.originatorId, table.type)
      .where(sql`${table.clearMs} = 0`),
    index("alarm_by_originator").on(table.originatorId, table.createdMs),
    index("alarm_by_time").on(table.createdMs),
  ],
);

/**
 * Ids that alarms had before they were joined with another one, and for some time those of deleted alarms: what the other side still
 * says of them is about the alarm that they are now, or about none.
 */
export const alarmFormerId = pgTable(
  "alarm_former_id",
  {
    id: uuid("id").primaryKey(),
    originatorId: uuid("originator_id").notNull(),
    /** null: it was deleted. */
    alarmId: uuid("alarm_id"),
    endedMs: timeMs("ended_ms"),
  },
  (table) => [
    index("alarm_former_id_by_alarm").on(table.alarmId),
    index("alarm_former_id_by_originator").on(table.originatorId),
    index("alarm_former_id_by_time").on(table.endedMs),
  ],
);

export const alarmComment = pgTable(
  "alarm_comment",
  {
    id: uuid("id").primaryKey(),
    alarmId: uuid("alarm_id").notNull(),
    userId: uuid("user_id"),
    type: text("type").notNull(),
    comment: json("comment").notNull(),
    createdMs: timeMs("created_ms"),
    updatedMs: timeMs("updated_ms"),
  },
  (table) => [index("alarm_comment_by_alarm").on(table.alarmId, table.createdMs)],
);
