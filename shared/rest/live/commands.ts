import * as z from "zod";
import { isUuid, type Uuid } from "../../core/ids.ts";
import { alarmCountQuery, alarmDataQuery } from "../../entities/alarm-query.ts";
import { entityCountQuery, entityDataQuery, keySchema } from "../../entities/entity-query.ts";
import { AGGREGATIONS, CALENDAR_INTERVALS } from "../../store/telemetry-history.ts";

// What clients send over a WebSocket: {"authCmd":{…},"cmds":[{"type":…,"cmdId":1,…}]}, or the older form with a list per type.

const uuid = z.custom<Uuid>((value) => typeof value === "string" && isUuid(value), { error: "Invalid UUID string" });
const entity = { entityType: z.string().max(64), entityId: uuid };
const number = z.number().int().nonnegative();

const range = {
  interval: number.nullish(),
  intervalType: z.enum(["MILLISECONDS", ...CALENDAR_INTERVALS]).nullish(),
  timeZoneId: z.string().max(64).nullish(),
  limit: number.nullish(),
  agg: z.enum(AGGREGATIONS).nullish(),
};

/** `"a,b"`; absent: all. */
const keysText = z
  .string()
  .nullish()
  .transform((text) => {
    const keys = (text ?? "").split(",").filter((key) => key !== "");
    return keys.length === 0 ? null : [...new Set(keys)];
  });

const cmdId = z.number().int();

const seriesKeys = z.array(z.string().min(1).max(255)).max(100);

export const commandSchemas = {
  TIMESERIES: z.object({
    cmdId,
    ...entity,
    keys: keysText,
    unsubscribe: z.boolean().nullish(),
    startTs: number.nullish(),
    timeWindow: number.nullish(),
    ...range,
  }),
  ATTRIBUTES: z.object({
    cmdId,
    ...entity,
    keys: keysText,
    scope: z.string().nullish(),
    unsubscribe: z.boolean().nullish(),
  }),
  TIMESERIES_HISTORY: z.object({ cmdId, ...entity, keys: keysText, startTs: number, endTs: number, ...range }),
  ENTITY_DATA: z.object({
    cmdId,
    /** null: that of the subscription with this number, which is changed. */
    query: entityDataQuery.nullish(),
    latestCmd: z.object({ keys: z.array(keySchema).max(200) }).nullish(),
    tsCmd: z.object({ keys: seriesKeys, startTs: number, timeWindow: number, ...range }).nullish(),
    historyCmd: z.object({ keys: seriesKeys, startTs: number, endTs: number, ...range }).nullish(),
  }),
  ENTITY_COUNT: z.object({ cmdId, query: entityCountQuery }),
  ALARM_DATA: z.object({ cmdId, query: alarmDataQuery }),
  ALARM_COUNT: z.object({ cmdId, query: alarmCountQuery }),
} as const;

export type CommandType = keyof typeof commandSchemas;
export type Command<T extends CommandType> = z.output<(typeof commandSchemas)[T]>;

const anyCommand = z.looseObject({ type: z.string().max(64), cmdId });
const legacyList = z.array(z.looseObject({ cmdId })).max(1_000).nullish();

/** Lists of the older form, with the type of what is in them. */
const LEGACY_LISTS = {
  attrSubCmds: "ATTRIBUTES",
  tsSubCmds: "TIMESERIES",
  historyCmds: "TIMESERIES_HISTORY",
  entityDataCmds: "ENTITY_DATA",
  entityDataUnsubscribeCmds: "ENTITY_DATA_UNSUBSCRIBE",
  entityCountCmds: "ENTITY_COUNT",
  entityCountUnsubscribeCmds: "ENTITY_COUNT_UNSUBSCRIBE",
  alarmDataCmds: "ALARM_DATA",
  alarmDataUnsubscribeCmds: "ALARM_DATA_UNSUBSCRIBE",
  alarmCountCmds: "ALARM_COUNT",
  alarmCountUnsubscribeCmds: "ALARM_COUNT_UNSUBSCRIBE",
} as const;

const messageSchema = z.object({
  authCmd: z.object({ token: z.string().nullish(), apiKey: z.string().nullish() }).nullish(),
  cmds: z.array(anyCommand).max(1_000).nullish(),
  attrSubCmds: legacyList,
  tsSubCmds: legacyList,
  historyCmds: legacyList,
  entityDataCmds: legacyList,
  entityDataUnsubscribeCmds: legacyList,
  entityCountCmds: legacyList,
  entityCountUnsubscribeCmds: legacyList,
  alarmDataCmds: legacyList,
  alarmDataUnsubscribeCmds: legacyList,
  alarmCountCmds: legacyList,
  alarmCountUnsubscribeCmds: legacyList,
});

export type AnyCommand = z.output<typeof anyCommand>;

export interface ClientMessage {
  /** As in the header X-Authorization: a scheme and what belongs to it. */
  readonly credentials: { readonly scheme: string; readonly value: string } | null;
  readonly commands: readonly AnyCommand[];
}

/** @throws Error for what is no message */
export function readMessage(text: string): ClientMessage {
  const { authCmd, cmds, ...lists } = messageSchema.parse(JSON.parse(text));
  const legacy = Object.entries(LEGACY_LISTS).flatMap(([name, type]) =>
    // The names are those of the schema.
    (lists[name as keyof typeof LEGACY_LISTS] ?? []).map((command) => ({ ...command, type })),
  );
  return { credentials: credentialsOf(authCmd), commands: [...(cmds ?? []), ...legacy] };
}

function credentialsOf(
  command:
    | { readonly token?: string | null | undefined; readonly apiKey?: string | null | undefined }
    | null
    | undefined,
): ClientMessage["credentials"] {
  if (typeof command?.apiKey === "string") return { scheme: "apikey", value: command.apiKey };
  if (typeof command?.token === "string") return { scheme: "bearer", value: command.token };
  return null;
}
