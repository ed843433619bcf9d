import type { SQL } from "drizzle-orm";
import { alarmInfoToRest, type AlarmInfo } from "../entities/alarm-form.ts";
import {
  statusFilter,
  type AlarmConditions,
  type AlarmCountQuery,
  type AlarmData,
  type AlarmDataQuery,
} from "../entities/alarm-query.ts";
import type { EntityData } from "../entities/entity-query.ts";
import { countAlarms, listAlarms, type AlarmFilter } from "./alarm-lists.ts";
import { findEntityData, matchingIds, type QueryContext } from "./entity-query.ts";
import type { Page, PageRequest } from "./entity-store.ts";
import type { Queryable } from "./unit-of-work.ts";

// Alarms of the entities that a query finds.

export interface AlarmQueryContext extends QueryContext {
  readonly nowMs: number;
}

export async function findAlarmData(
  db: Queryable,
  context: AlarmQueryContext,
  query: AlarmDataQuery,
): Promise<Page<AlarmData>> {
  const { pageLink } = query;
  const filter = filterOf(context, pageLink, matchingIds(query, context));
  const { page, pageSize, textSearch, sortOrder } = pageLink;
  const key = sortOrder?.key ?? { type: "ALARM_FIELD", key: "createdTime" };
  const sortProperty = key.type === "ENTITY_FIELD" && key.key === "name" ? "originatorName" : key.key;
  const order = { sortProperty, sortOrder: sortOrder?.direction ?? "DESC" } as const;
  const request = { page, pageSize, textSearch: textSearch ?? undefined, ...order, ...timesOf(context, pageLink) };
  const alarms = await listAlarms(db, filter, request);
  const entities = await readEntities(db, context, { query, alarms: alarms.data });
  return {
    ...alarms,
    data: alarms.data.map((info) => {
      const { type, id } = info.shownAt;
      const latest = entities.get(id)?.latest ?? {};
      return { ...alarmInfoToRest(info), entityId: { entityType: type, id }, latest }; // branded ids are texts
    }),
  };
}

export function countAlarmsOf(db: Queryable, context: AlarmQueryContext, query: AlarmCountQuery): Promise<number> {
  const { entityFilter } = query;
  const among =
    entityFilter === null || entityFilter === undefined ? undefined : matchingIds({ ...query, entityFilter }, context);
  return countAlarms(db, filterOf(context, query, among), timesOf(context, query));
}

function filterOf({ scope }: AlarmQueryContext, conditions: AlarmConditions, among: SQL | undefined): AlarmFilter {
  const { assigneeId, searchPropagatedAlarms, severityList, statusList, typeList } = conditions;
  return {
    ...scope,
    ...statusFilter(statusList ?? []),
    ...(among === undefined ? {} : { among: { ids: among, withPropagated: searchPropagatedAlarms === true } }),
    severities: nonEmpty(severityList),
    types: nonEmpty(typeList),
    assigneeId: assigneeId?.id,
  };
}

function nonEmpty<T>(list: readonly T[] | null | undefined): readonly T[] | undefined {
  return list === null || list === undefined || list.length === 0 ? undefined : list;
}

function timesOf(
  { nowMs }: AlarmQueryContext,
  { endTs, startTs, timeWindow }: AlarmConditions,
): Pick<PageRequest, "startTime" | "endTime"> {
  const startMs = startTs || (timeWindow ? Math.round(nowMs - timeWindow) : undefined);
  return { startTime: startMs, endTime: endTs || undefined };
}

/** The entities at which the alarms are shown, with what was asked for of them. */
async function readEntities(
  db: Queryable,
  context: QueryContext,
  { alarms, query }: { readonly alarms: readonly AlarmInfo[]; readonly query: AlarmDataQuery },
): Promise<ReadonlyMap<string, EntityData>> {
  const { entityFields, latestValues } = query;
  if ((entityFields ?? []).length + (latestValues ?? []).length === 0) return new Map();
  const found: EntityData[] = [];
  for (const [entityType, of] of Map.groupBy(alarms, ({ shownAt }) => shownAt.type)) {
    const entityList = [...new Set(of.map(({ shownAt }) => shownAt.id))];
    const entityFilter = { type: "entityList", entityType, entityList } as const;
    const pageLink = { page: 0, pageSize: entityList.length };
    const page = await findEntityData(db, context, { entityFilter, pageLink, entityFields, latestValues });
    found.push(...page.data);
  }
  return new Map(found.map((entity) => [entity.entityId.id, entity]));
}
