import { and, asc, count, desc, eq, gt, gte, ilike, inArray, lt, or, sql, type SQL } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { AlarmInfo } from "../entities/alarm-form.ts";
import { ALARM_SEVERITIES, type AlarmSeverity } from "../entities/alarm.ts";
import type { EntityRef } from "../entities/change.ts";
import { alarmOriginator } from "./alarm-originator.ts";
import { alarmNotFound, findAlarm, toAlarm } from "./alarm-store.ts";
import { alarm } from "./alarm-tables.ts";
import { containsPattern, toPage, type Page, type PageRequest } from "./entity-store.ts";
import { appUser } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

export interface AlarmFilter {
  readonly tenantId: Uuid;
  /** Only alarms of what belongs to this customer. */
  readonly customerId?: Uuid | undefined;
  /** Only alarms of this entity, and those that it gets by propagation. */
  readonly entity?: EntityRef | undefined;
  /** Only alarms of these, and with `withPropagated` those that relations carry to one of them; `ids` is a query. */
  readonly among?: { readonly ids: SQL; readonly withPropagated: boolean } | undefined;
  readonly isCleared?: boolean | undefined;
  readonly isAcknowledged?: boolean | undefined;
  readonly severities?: readonly AlarmSeverity[] | undefined;
  readonly types?: readonly string[] | undefined;
  readonly assigneeId?: Uuid | undefined;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listAlarms(db: Queryable, filter: AlarmFilter, page: PageRequest): Promise<Page<AlarmInfo>> {
  const where = and(conditionOf(filter), ...pageConditions(page));
  const order = sortColumn(page.sortProperty);
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const [rows, totals] = await Promise.all([
    selectInfos(db, filter.among)
      .where(where)
      .orderBy(direction(order), direction(alarm.id))
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db
      .select({ count: count() })
      .from(alarm)
      .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
      .where(where),
  ]);
  return toPage(rows.map(toInfo), totals[0]?.count ?? 0, page);
}

export async function countAlarms(
  db: Queryable,
  filter: AlarmFilter,
  times: Pick<PageRequest, "startTime" | "endTime">,
): Promise<number> {
  const [row] = await db
    .select({ count: count() })
    .from(alarm)
    .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
    .where(and(conditionOf(filter), ...timeConditions(times)));
  return row?.count ?? 0;
}

/** @throws AppError NOT_FOUND, also for one of another tenant or customer */
export async function getAlarmInfo(
  db: Queryable,
  { alarmId, ...visible }: Pick<AlarmFilter, "tenantId" | "customerId"> & { readonly alarmId: Uuid },
): Promise<AlarmInfo> {
  const current = await findAlarm(db, alarmId);
  const id = current?.id ?? alarmId;
  const [row] = await selectInfos(db).where(and(eq(alarm.id, id), conditionOf(visible)));
  if (row === undefined) throw alarmNotFound(alarmId);
  return toInfo(row);
}

/** null: no alarm passes the filter. */
export async function highestSeverity(db: Queryable, filter: AlarmFilter): Promise<AlarmSeverity | null> {
  const rows = await db
    .selectDistinct({ severity: alarm.severity })
    .from(alarm)
    .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
    .where(conditionOf(filter));
  return ALARM_SEVERITIES.find((severity) => rows.some((row) => row.severity === severity)) ?? null;
}

/** Types of alarms that there are, in order. */
export async function listAlarmTypes(
  db: Queryable,
  filter: Pick<AlarmFilter, "tenantId" | "customerId">,
  page: PageRequest,
): Promise<Page<string>> {
  const search = searchPattern(page);
  const where = and(conditionOf(filter), search === undefined ? undefined : ilike(alarm.type, search));
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const [rows, totals] = await Promise.all([
    db
      .selectDistinct({ type: alarm.type })
      .from(alarm)
      .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
      .where(where)
      .orderBy(direction(alarm.type))
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db
      .select({ count: sql<number>`count(distinct ${alarm.type})`.mapWith(Number) })
      .from(alarm)
      .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
      .where(where),
  ]);
  return toPage(
    rows.map(({ type }) => type),
    totals[0]?.count ?? 0,
    page,
  );
}

function selectInfos(db: Queryable, among?: AlarmFilter["among"]) {
  const { tenantId, customerId, name, label } = alarmOriginator;
  const { id, email, firstName, lastName } = appUser;
  return db
    .select({
      row: alarm,
      tenantId,
      customerId,
      name,
      label,
      assignee: { id, email, firstName, lastName },
      shownAt: placeAmong(among),
    })
    .from(alarm)
    .innerJoin(alarmOriginator, eq(alarmOriginator.id, alarm.originatorId))
    .leftJoin(appUser, eq(appUser.id, alarm.assigneeId))
    .$dynamic();
}

type InfoRow = Awaited<ReturnType<typeof selectInfos>>[number];

function toInfo({ row, tenantId, customerId, name, label, assignee, shownAt }: InfoRow): AlarmInfo {
  const alarmOfRow = toAlarm(row);
  return {
    alarm: alarmOfRow,
    shownAt: shownAt ?? alarmOfRow.originator,
    // Ids are uuid columns.
    tenantId: tenantId as Uuid,
    customerId: customerId as Uuid | null,
    originatorName: name,
    originatorLabel: label,
    assignee: assignee === null ? null : { ...assignee, id: assignee.id as Uuid },
  };
}

function conditionOf(filter: AlarmFilter): SQL | undefined {
  const { tenantId, customerId, isCleared, isAcknowledged, severities, types, assigneeId } = filter;
  return and(
    eq(alarmOriginator.tenantId, tenantId),
    customerId === undefined ? undefined : eq(alarmOriginator.customerId, customerId),
    filter.entity === undefined ? undefined : isShownAt(filter.entity),
    filter.among === undefined ? undefined : isAmong(filter.among),
    isCleared === undefined ? undefined : isCleared ? gt(alarm.clearMs, 0) : eq(alarm.clearMs, 0),
    isAcknowledged === undefined ? undefined : isAcknowledged ? gt(alarm.ackMs, 0) : eq(alarm.ackMs, 0),
    severities === undefined ? undefined : inArray(alarm.severity, [...severities]),
    types === undefined ? undefined : inArray(alarm.type, [...types]),
    assigneeId === undefined ? undefined : eq(alarm.assigneeId, assigneeId),
  );
}

/** How far alarms go up. */
const PROPAGATION_LEVELS_MAX = 10;

/** What relations of the types along which the alarm is propagated lead from to its originator: `found` is a query of `above`. */
function fromAbove(found: SQL): SQL {
  const types = alarm.propagateRelationTypes;
  const carries = sql`r.type_group = 'COMMON' and not r.is_removed and (json_array_length(${types}) = 0
    or r.type in (select json_array_elements_text(${types})))`;
  return sql`(
    with recursive above (id, type, level) as (
      select r.from_id, r.from_type, 1 from relation r where r.to_id = ${alarm.originatorId} and ${carries}
      union
      select r.from_id, r.from_type, a.level + 1 from above a join relation r on r.to_id = a.id
      where a.level < ${PROPAGATION_LEVELS_MAX} and ${carries}
    )
    ${found})`;
}

function isAmong({ ids, withPropagated }: NonNullable<AlarmFilter["among"]>): SQL | undefined {
  const isOwn = sql`${alarm.originatorId} in ${ids}`;
  if (!withPropagated) return isOwn;
  return or(
    isOwn,
    and(eq(alarm.propagate, true), sql`exists ${fromAbove(sql`select from above where above.id in ${ids}`)}`),
  );
}

/** Where an alarm that is none of the entities' own is shown: at the nearest of them. */
function placeAmong(among: AlarmFilter["among"]): SQL<EntityRef | null> {
  if (among?.withPropagated !== true) return sql`null`;
  const nearest = sql`select json_build_object('type', above.type, 'id', above.id) from above
    where above.id in ${among.ids} order by above.level, above.id limit 1`;
  return sql`case when ${alarm.originatorId} in ${among.ids} then null else ${fromAbove(nearest)} end`;
}

/** Its own alarms and those that relations carry to it; as a customer those of what it owns, as a tenant those of what it owns or contains, when they are propagated so. */
function isShownAt({ type, id }: EntityRef): SQL | undefined {
  const isOwner =
    type === "TENANT"
      ? sql`(${alarmOriginator.customerId} is null or ${alarmOriginator.type} = 'CUSTOMER')`
      : eq(alarmOriginator.customerId, id);
  return or(
    eq(alarm.originatorId, id),
    and(eq(alarm.propagate, true), sql`exists ${fromAbove(sql`select from above where above.id = ${id}`)}`),
    type === "TENANT" ? eq(alarm.propagateToTenant, true) : undefined,
    type === "TENANT" || type === "CUSTOMER" ? and(eq(alarm.propagateToOwner, true), isOwner) : undefined,
  );
}

function pageConditions(page: PageRequest): (SQL | undefined)[] {
  const search = searchPattern(page);
  const columns = [alarm.type, alarm.severity, alarmOriginator.name, alarmOriginator.label];
  return [
    search === undefined ? undefined : or(...columns.map((column) => ilike(column, search))),
    ...timeConditions(page),
  ];
}

function timeConditions({ endTime, startTime }: Pick<PageRequest, "startTime" | "endTime">): (SQL | undefined)[] {
  return [
    startTime === undefined ? undefined : gte(alarm.createdMs, startTime),
    endTime === undefined ? undefined : lt(alarm.createdMs, endTime + 1),
  ];
}

function searchPattern({ textSearch = "" }: PageRequest): string | undefined {
  return textSearch === "" ? undefined : containsPattern(textSearch);
}

function sortColumn(property = "") {
  switch (property) {
    case "":
    case "id":
      return alarm.id;
    case "createdTime":
      return alarm.createdMs;
    case "startTs":
      return alarm.startMs;
    case "endTs":
      return alarm.endMs;
    case "ackTs":
      return alarm.ackMs;
    case "clearTs":
      return alarm.clearMs;
    case "assignTs":
      return alarm.assignMs;
    case "type":
      return alarm.type;
    case "severity":
      return sql`array_position(${sql.raw(SEVERITY_ORDER)}, ${alarm.severity})`;
    case "status":
      return sql`(case when ${alarm.clearMs} > 0 then 2 else 0 end + case when ${alarm.ackMs} > 0 then 1 else 0 end)`;
    case "originator":
    case "originatorName":
      return alarmOriginator.name;
    case "originatorLabel":
      return alarmOriginator.label;
    case "assignee":
      return sql`(select u.email from app_user u where u.id = ${alarm.assigneeId})`;
    default:
      throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${property.slice(0, 64)}'!`, {
        field: "sortProperty",
      });
  }
}

/** The least severe first, so that DESC begins with what is urgent. */
const SEVERITY_ORDER = `array[${ALARM_SEVERITIES.toReversed()
  .map((severity) => `'${severity}'`)
  .join(",")}]`;
