import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { parseUuid } from "../core/ids.ts";
import { ALARM_STATUSES, alarmInfoSchema, alarmInfoToRest } from "../entities/alarm-form.ts";
import {
  ALARM_SEARCH_STATUSES,
  statusFilter,
  type AlarmSearchStatus,
  type StatusFilter,
} from "../entities/alarm-query.ts";
import { ALARM_SEVERITIES } from "../entities/alarm.ts";
import { entityIdSchema, pageSchema, restId } from "../entities/fields.ts";
import { highestSeverity, listAlarms, listAlarmTypes, type AlarmFilter } from "../store/alarm-lists.ts";
import { booleanQuery, mapPage, pageQuery, timePageQuery, toPageRequest } from "./pages.ts";
import { readableRef, visibleTo, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, TENANT_ROLES, type Call, type RouteTable } from "./route.ts";

const tag = "Alarms";

const oneOf = <const T extends readonly [string, ...string[]]>(values: T, name: string) =>
  z.enum(values, {
    error: (issue) => `Incorrect value '${String(issue.input).slice(0, 32)}' of parameter '${name}'`,
  });
const listOf = <const T extends readonly [string, ...string[]]>(values: T, name: string) =>
  z
    .string()
    .transform((text) => splitList(text))
    .pipe(z.array(oneOf(values, name)));

const LIST_MAX = 100;

/** A comma list; what is too long is cut off by no one, but refused. */
function splitList(text: string): string[] {
  const parts = text.split(",").filter((part) => part !== "");
  if (parts.length > LIST_MAX) throw new AppError("INVALID_ARGUMENT", `Expected at most ${LIST_MAX} values`);
  return parts;
}

const statusQuery = {
  searchStatus: oneOf(ALARM_SEARCH_STATUSES, "searchStatus").optional(),
  status: oneOf(ALARM_STATUSES, "status").optional(),
  assigneeId: z.string().optional(),
};
const listQuery = timePageQuery.extend({ ...statusQuery, fetchOriginator: booleanQuery.optional() });
const listQueryV2 = timePageQuery.extend({
  statusList: listOf(ALARM_SEARCH_STATUSES, "statusList").optional(),
  severityList: listOf(ALARM_SEVERITIES, "severityList").optional(),
  typeList: z.string().transform(splitList).optional(),
  assigneeId: z.string().optional(),
});

/** Lists of alarms, of the tenant and of one entity, in the older and the newer form. */
export function addAlarmListRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db } = deps;
  const answer = pageSchema(alarmInfoSchema);
  const list = async (filter: AlarmFilter, query: z.output<typeof timePageQuery>) =>
    mapPage(await listAlarms(db, filter, toPageRequest(query)), alarmInfoToRest);
  const v1 = { method: "get", tag, query: listQuery, answer } as const;
  const v2 = { method: "get", tag, query: listQueryV2, answer } as const;
  routes.add({ ...v1, path: "/api/alarms", summary: "All alarms", access: TENANT_ROLES }, ({ principal, query }) =>
    list({ ...visibleTo(principal), ...olderFilter(query) }, query),
  );
  routes.add(
    { ...v2, path: "/api/v2/alarms", summary: "All alarms, by lists of states", access: TENANT_ROLES },
    ({ principal, query }) => list({ ...visibleTo(principal), ...newerFilter(query) }, query),
  );
  routes.add(
    {
      ...v1,
      path: "/api/alarm/{entityType}/{entityId}",
      summary: "Alarms of an entity, with those that are propagated to it",
      access: EVERY_ROLE,
    },
    async (call) => list({ ...(await ofEntity(deps, call)), ...olderFilter(call.query) }, call.query),
  );
  routes.add(
    {
      ...v2,
      path: "/api/v2/alarm/{entityType}/{entityId}",
      summary: "Alarms of an entity, by lists of states",
      access: EVERY_ROLE,
    },
    async (call) => list({ ...(await ofEntity(deps, call)), ...newerFilter(call.query) }, call.query),
  );
}

/** What is said of all alarms: their types, how bad the worst is. */
export function addAlarmSummaryRoutes(routes: RouteTable, deps: ResourceDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/alarm/types",
      tag,
      summary: "Types of the alarms that there are",
      access: TENANT_ROLES,
      query: pageQuery,
      answer: pageSchema(z.object({ tenantId: entityIdSchema, entityType: z.string(), type: z.string() })),
    },
    async ({ principal, query }) => {
      const tenantId = restId("TENANT", principal.tenantId);
      const page = await listAlarmTypes(deps.db, visibleTo(principal), toPageRequest(query));
      return mapPage(page, (type) => ({ tenantId, entityType: "ALARM", type }));
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/alarm/highestSeverity/{entityType}/{entityId}",
      tag,
      summary: "The highest severity among the alarms of an entity; empty when there are none",
      access: TENANT_ROLES,
      query: z.object(statusQuery),
      answer: z.enum(ALARM_SEVERITIES),
    },
    async (call) => {
      const filter = { ...(await ofEntity(deps, call)), ...olderFilter(call.query) };
      return (await highestSeverity(deps.db, filter)) ?? undefined;
    },
  );
}

/** @throws AppError NOT_FOUND when the caller may not see the entity */
async function ofEntity(
  { db }: Pick<ResourceDeps, "db">,
  call: Call<unknown, unknown>,
): Promise<Pick<AlarmFilter, "tenantId" | "customerId" | "entity">> {
  const entity = { type: call.param("entityType"), id: call.uuid("entityId") };
  await readableRef(db, call.principal, entity);
  return { ...visibleTo(call.principal), entity };
}

function olderFilter(query: {
  readonly searchStatus?: AlarmSearchStatus | undefined;
  readonly status?: (typeof ALARM_STATUSES)[number] | undefined;
  readonly assigneeId?: string | undefined;
}): StatusFilter & Pick<AlarmFilter, "assigneeId"> {
  const { searchStatus, status } = query;
  if (searchStatus !== undefined && status !== undefined) {
    const both = "Both parameters 'searchStatus' and 'status' can't be specified at the same time!";
    throw new AppError("INVALID_ARGUMENT", `Invalid alarms search query: ${both}`);
  }
  const byStatus =
    status === undefined
      ? statusFilter(searchStatus === undefined ? [] : [searchStatus])
      : { isCleared: status.startsWith("CLEARED"), isAcknowledged: !status.endsWith("UNACK") };
  return { ...byStatus, assigneeId: assigneeOf(query) };
}

function newerFilter(query: z.output<typeof listQueryV2>): Omit<AlarmFilter, "tenantId"> {
  const { statusList = [], severityList, typeList } = query;
  return {
    ...statusFilter(statusList),
    severities: nonEmpty(severityList),
    types: nonEmpty(typeList),
    assigneeId: assigneeOf(query),
  };
}

function assigneeOf({ assigneeId = "" }: { readonly assigneeId?: string | undefined }) {
  return assigneeId === "" ? undefined : parseUuid(assigneeId, "assigneeId");
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}
