import * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";
import { alarmInfoSchema } from "./alarm-form.ts";
import { ALARM_SEVERITIES } from "./alarm.ts";
import { entityConditions, entityDataSchema, KEY_TYPES, keySchema, pageFields } from "./entity-query.ts";

// Queries over alarms of the entities that an entity query finds.

/** ACTIVE and CLEARED are one question, ACK and UNACK another; both answers to a question are none. */
export const ALARM_SEARCH_STATUSES = ["ANY", "ACTIVE", "CLEARED", "ACK", "UNACK"] as const;
export type AlarmSearchStatus = (typeof ALARM_SEARCH_STATUSES)[number];

const uuid = z.custom<Uuid>((value) => typeof value === "string" && isUuid(value), { error: "Invalid UUID string" });
const time = z.number().int().nonnegative().nullish();

const alarmConditions = {
  startTs: time,
  endTs: time,
  /** ms until now, in place of both. */
  timeWindow: time,
  searchPropagatedAlarms: z.boolean().nullish(),
  statusList: z.array(z.enum(ALARM_SEARCH_STATUSES)).max(10).nullish(),
  severityList: z.array(z.enum(ALARM_SEVERITIES)).max(10).nullish(),
  typeList: z.array(z.string().max(255)).max(1_000).nullish(),
  assigneeId: z.object({ id: uuid }).nullish(),
};

export const alarmCountQuery = z
  .object({
    ...entityConditions,
    entityFilter: entityConditions.entityFilter.nullish().meta({ description: "Absent: all that the caller sees" }),
    ...alarmConditions,
  })
  .meta({ id: "AlarmCountQuery" });

/** Fields of the alarm itself are ALARM_FIELD. */
const alarmKeySchema = z.object({ type: z.enum([...KEY_TYPES, "ALARM_FIELD"]), key: z.string().min(1).max(255) });

export const alarmDataQuery = z
  .object({
    ...entityConditions,
    pageLink: z.object({
      ...pageFields,
      ...alarmConditions,
      sortOrder: z.object({ key: alarmKeySchema, direction: z.enum(["ASC", "DESC"]).nullish() }).nullish(),
    }),
    alarmFields: z.array(alarmKeySchema).max(100).nullish(),
    entityFields: z.array(keySchema).max(100).nullish(),
    latestValues: z.array(keySchema).max(200).nullish(),
  })
  .meta({ id: "AlarmDataQuery" });

export type AlarmConditions = z.output<z.ZodObject<typeof alarmConditions>>;
export type AlarmCountQuery = z.output<typeof alarmCountQuery>;
export type AlarmDataQuery = z.output<typeof alarmDataQuery>;

export const alarmDataSchema = alarmInfoSchema
  .extend(entityDataSchema.pick({ entityId: true, latest: true }).shape)
  .meta({ id: "AlarmData" });

export type AlarmData = z.output<typeof alarmDataSchema>;

export interface StatusFilter {
  readonly isCleared?: boolean | undefined;
  readonly isAcknowledged?: boolean | undefined;
}

export function statusFilter(wanted: readonly AlarmSearchStatus[]): StatusFilter {
  const has = (status: AlarmSearchStatus): boolean => wanted.includes(status);
  return {
    isCleared: has("ACTIVE") === has("CLEARED") ? undefined : has("CLEARED"),
    isAcknowledged: has("ACK") === has("UNACK") ? undefined : has("ACK"),
  };
}
