import * as z from "zod";
import { isUuid } from "../core/ids.ts";
import { ALARM_SEVERITIES } from "../entities/alarm.ts";
import { operandSchema, predicateSchema } from "../entities/entity-query.ts";
import { CEL_LENGTH_MAX } from "./cel.ts";

// Alarm rules as device profiles hold them (`profileData.alarms`), in the form of the public REST convention, and one thing more: a
// condition may carry an expression in CEL, which has to hold beside the list.

/** Of one profile. */
const RULES_MAX = 500;
const CONDITIONS_MAX = 100;
const DETAILS_LENGTH_MAX = 4_096;
const DAY_MS = 86_400_000;

const name = z.string().max(255);
const flag = z.boolean().nullish();

const keyFilterSchema = z.object({
  key: z.object({
    type: z.enum(["ATTRIBUTE", "TIME_SERIES", "ENTITY_FIELD", "CONSTANT"]),
    key: name.min(1),
  }),
  valueType: z.enum(["STRING", "NUMERIC", "BOOLEAN", "DATE_TIME"]),
  /** Of a CONSTANT. */
  value: z.union([z.string().max(1_000), z.number(), z.boolean()]).nullish(),
  predicate: predicateSchema,
});

export type AlarmKeyFilter = z.output<typeof keyFilterSchema>;

export const DURATION_UNITS_MS = { SECONDS: 1_000, MINUTES: 60_000, HOURS: 3_600_000, DAYS: DAY_MS } as const;

const specSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("SIMPLE") }),
  z.object({
    type: z.literal("DURATION"),
    unit: z.enum(["SECONDS", "MINUTES", "HOURS", "DAYS"]),
    predicate: operandSchema,
  }),
  z.object({ type: z.literal("REPEATING"), predicate: operandSchema }),
]);

export type AlarmSpec = z.output<typeof specSchema>;

const conditionSchema = z
  .object({
    condition: z.array(keyFilterSchema).max(CONDITIONS_MAX).nullish(),
    expression: z
      .object({ type: z.literal("CEL"), expression: z.string().trim().min(1).max(CEL_LENGTH_MAX) })
      .nullish(),
    spec: specSchema.nullish(),
  })
  .refine(({ condition, expression }) => (condition ?? []).length > 0 || (expression ?? null) !== null, {
    error: "Alarm rule condition should be specified!",
    path: ["condition"],
  });

export type AlarmCondition = z.output<typeof conditionSchema>;

const timezone = name.refine(isTimeZone, { error: "Alarm schedule time zone should be one of the IANA database!" });
const timeOfDay = z.int().min(0).max(DAY_MS);
const day = z.int().min(1).max(7);

const dynamicSchedule = z
  .object({ sourceType: z.string().max(64).nullish(), sourceAttribute: name.nullish(), inherit: flag })
  .nullish();

export const scheduleSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ANY_TIME"), dynamicValue: dynamicSchedule }),
  z.object({
    type: z.literal("SPECIFIC_TIME"),
    timezone,
    /** Empty: every day. */
    daysOfWeek: z.array(day).max(7).nullish(),
    startsOn: timeOfDay,
    endsOn: timeOfDay,
    dynamicValue: dynamicSchedule,
  }),
  z.object({
    type: z.literal("CUSTOM"),
    timezone,
    items: z.array(z.object({ enabled: z.boolean(), dayOfWeek: day, startsOn: timeOfDay, endsOn: timeOfDay })).max(7),
    dynamicValue: dynamicSchedule,
  }),
]);

export type AlarmScheduleForm = z.output<typeof scheduleSchema>;

const partSchema = z.object({
  condition: conditionSchema,
  schedule: scheduleSchema.nullish(),
  alarmDetails: z.string().max(DETAILS_LENGTH_MAX).nullish(),
  dashboardId: z.object({ id: z.string().refine(isUuid, { error: "Invalid UUID string" }) }).nullish(),
});

/** What raises an alarm of a severity, or clears it. */
export type AlarmRulePart = z.output<typeof partSchema>;

const ruleSchema = z.object({
  id: name.min(1),
  alarmType: name.refine((text) => text.trim() !== "" && !text.includes("\0"), {
    error: "Alarm rule alarm type should be specified!",
  }),
  createRules: z
    .partialRecord(z.enum(ALARM_SEVERITIES), partSchema)
    .refine((parts) => Object.keys(parts).length > 0, { error: "Alarm rule create rules should be specified!" }),
  clearRule: partSchema.nullish(),
  propagate: flag,
  propagateToOwner: flag,
  propagateToTenant: flag,
  propagateRelationTypes: z.array(name).max(100).nullish(),
});

export type AlarmRule = z.output<typeof ruleSchema>;

/** All rules of a profile: two with one id or one type would fight over the same alarm. */
const rulesSchema = z
  .array(ruleSchema)
  .max(RULES_MAX)
  .superRefine((rules, context) => {
    for (const key of ["id", "alarmType"] as const) {
      const seen = new Set<string>();
      for (const [index, rule] of rules.entries()) {
        if (seen.has(rule[key]))
          context.addIssue({
            code: "custom",
            message: `Can't create two alarm rules with the same ${key}!`,
            path: [index, key],
          });
        seen.add(rule[key]);
      }
    }
  });

export const profileAlarmsSchema = z.object({ profileData: z.object({ alarms: rulesSchema.nullish() }).nullish() });

export interface ReadRules {
  readonly rules: readonly AlarmRule[];
  /** Of rules that can't be read: an older or newer program let them pass. They are left out. */
  readonly problems: readonly string[];
}

/** The alarm rules in the body of a stored device profile. */
export function readAlarmRules(body: unknown): ReadRules {
  const read = z.object({ profileData: z.object({ alarms: z.array(z.unknown()) }) }).safeParse(body);
  if (!read.success) return { rules: [], problems: [] };
  const rules: AlarmRule[] = [];
  const problems: string[] = [];
  for (const [index, form] of read.data.profileData.alarms.slice(0, RULES_MAX).entries()) {
    const rule = ruleSchema.safeParse(form);
    const issue = rule.error?.issues[0];
    if (rule.success) rules.push(rule.data);
    else problems.push(`alarms.${index}.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
  }
  return { rules, problems };
}

/** The CEL expressions of a rule, with the names of their fields. */
export function expressionsOf({
  clearRule,
  createRules,
}: AlarmRule): readonly (readonly [field: string, text: string])[] {
  const parts: [string, AlarmRulePart | null | undefined][] = Object.entries(createRules).map(([severity, part]) => [
    `createRules.${severity}`,
    part,
  ]);
  return [...parts, ["clearRule", clearRule] as const].flatMap(([field, part]) => {
    const text = part?.condition.expression?.expression;
    return text === undefined ? [] : [[`${field}.condition.expression.expression`, text] as const];
  });
}

export function usesCel(rule: AlarmRule): boolean {
  return expressionsOf(rule).length > 0;
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
