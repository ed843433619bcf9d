import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import { ALARM_SEVERITIES, type Alarm } from "./alarm.ts";
import type { EntityRef } from "./change.ts";
import { entityIdSchema, idInput, jsonInput, nameInput, restCustomerId, restId } from "./fields.ts";
import { refInput } from "./refs.ts";

// Alarms in the form of the public REST convention.

export const ALARM_STATUSES = ["ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK"] as const;
export type AlarmStatus = (typeof ALARM_STATUSES)[number];

const timeInput = (field: string) =>
  z.int({ error: `Validation error: ${field} must be a time in ms` }).min(0, {
    error: `Validation error: ${field} must not be negative`,
  });
const RELATION_TYPES_MAX = 100;

export const alarmInput = z
  .object({
    id: idInput.nullish(),
    originator: refInput("Alarm originator should be specified!"),
    type: nameInput("Alarm", "type"),
    severity: z.enum(ALARM_SEVERITIES, { error: "Alarm severity should be specified!" }),
    acknowledged: z.boolean().nullish(),
    cleared: z.boolean().nullish(),
    assigneeId: idInput.nullish(),
    startTs: timeInput("startTs").nullish(),
    endTs: timeInput("endTs").nullish(),
    ackTs: timeInput("ackTs").nullish(),
    clearTs: timeInput("clearTs").nullish(),
    details: jsonInput.nullish(),
    propagate: z.boolean().nullish(),
    propagateToOwner: z.boolean().nullish(),
    propagateToTenant: z.boolean().nullish(),
    propagateRelationTypes: z.array(z.string().max(255)).max(RELATION_TYPES_MAX).nullish(),
  })
  .meta({ id: "AlarmInput" });

export type AlarmInput = z.output<typeof alarmInput>;

export const alarmSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    type: z.string(),
    originator: entityIdSchema,
    severity: z.enum(ALARM_SEVERITIES),
    acknowledged: z.boolean(),
    cleared: z.boolean(),
    assigneeId: entityIdSchema.nullable(),
    startTs: z.int(),
    endTs: z.int(),
    ackTs: z.int(),
    clearTs: z.int(),
    assignTs: z.int(),
    details: z.unknown(),
    propagate: z.boolean(),
    propagateToOwner: z.boolean(),
    propagateToTenant: z.boolean(),
    propagateRelationTypes: z.array(z.string()),
    name: z.string(),
    status: z.enum(ALARM_STATUSES),
  })
  .meta({ id: "Alarm" });

export const alarmInfoSchema = alarmSchema
  .extend({
    originatorName: z.string(),
    originatorLabel: z.string().nullable(),
    originatorDisplayName: z.string(),
    assignee: z
      .object({
        id: entityIdSchema,
        firstName: z.string().nullable(),
        lastName: z.string().nullable(),
        email: z.string(),
      })
      .nullable(),
  })
  .meta({ id: "AlarmInfo" });

/** An alarm with what lists show of its originator and its assignee. */
export interface AlarmInfo {
  readonly alarm: Alarm;
  readonly tenantId: Uuid;
  /** Of the originator. */
  readonly customerId: Uuid | null;
  readonly originatorName: string;
  readonly originatorLabel: string | null;
  /** The entity of a query at which it is shown: its originator, or one that it is propagated to. */
  readonly shownAt: EntityRef;
  readonly assignee: {
    readonly id: Uuid;
    readonly email: string;
    readonly firstName: string | null;
    readonly lastName: string | null;
  } | null;
}

export function alarmStatus({ ackMs, clearMs }: Pick<Alarm, "ackMs" | "clearMs">): AlarmStatus {
  return `${clearMs === 0 ? "ACTIVE" : "CLEARED"}_${ackMs === 0 ? "UNACK" : "ACK"}`;
}

export function alarmToRest({
  alarm,
  tenantId,
  customerId,
}: Pick<AlarmInfo, "alarm" | "tenantId" | "customerId">): z.input<typeof alarmSchema> {
  const { id, originator, type, createdMs, startMs, endMs, ackMs, clearMs, assigneeId, assignMs } = alarm;
  return {
    id: { entityType: "ALARM", id },
    createdTime: createdMs,
    tenantId: restId("TENANT", tenantId),
    customerId: restCustomerId(customerId),
    type,
    originator: { entityType: originator.type, id: originator.id },
    severity: alarm.severity,
    acknowledged: ackMs > 0,
    cleared: clearMs > 0,
    assigneeId: assigneeId === null ? null : restId("USER", assigneeId),
    startTs: startMs,
    endTs: endMs,
    ackTs: ackMs,
    clearTs: clearMs,
    assignTs: assignMs,
    details: alarm.details,
    propagate: alarm.propagate,
    propagateToOwner: alarm.propagateToOwner,
    propagateToTenant: alarm.propagateToTenant,
    propagateRelationTypes: [...alarm.propagateRelationTypes],
    name: type,
    status: alarmStatus(alarm),
  };
}

export function alarmInfoToRest(info: AlarmInfo): z.input<typeof alarmInfoSchema> {
  const { originatorName, originatorLabel, assignee } = info;
  return {
    ...alarmToRest(info),
    originatorName,
    originatorLabel,
    originatorDisplayName: originatorLabel === null || originatorLabel === "" ? originatorName : originatorLabel,
    assignee: assignee === null ? null : { ...assignee, id: restId("USER", assignee.id) },
  };
}
